"""A file can say something of itself, and says nothing unless it is told to."""

from pathlib import Path

import pytest
import soundfile

from vocable.audio import Audio
from vocable.testing import speechlike


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_a_comment_is_in_the_file_and_changes_no_sample(suffix: str, tmp_path: Path) -> None:
    clip = speechlike(8_000)
    plain, told = tmp_path / f"plain{suffix}", tmp_path / f"told{suffix}"
    clip.write(plain)
    clip.write(told, "Edited.")
    comments = []
    for path in (plain, told):
        with soundfile.SoundFile(path) as file:
            comments.append(file.comment)
    assert comments == ["", "Edited."]
    assert (Audio.read(plain).samples == Audio.read(told).samples).all()
