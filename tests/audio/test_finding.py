"""Audio is found in folders and by patterns."""

from pathlib import Path

import pytest

from vocable.audio import AUDIO_SUFFIXES, find_audio
from vocable.errors import InputError


def test_audio_is_found_in_folders_by_its_suffix(tmp_path: Path) -> None:
    for name in ("notes.txt", "a.json", *(f"clip{suffix}" for suffix in AUDIO_SUFFIXES), "LOUD.WAV"):
        (tmp_path / name).write_bytes(b"")
    found = find_audio([tmp_path])
    assert {path.name for path in found} == {*(f"clip{suffix}" for suffix in AUDIO_SUFFIXES), "LOUD.WAV"}
    assert found == sorted(found)
    assert find_audio([f"{tmp_path}/*.FLAC", tmp_path / "none.wav"][1:]) == [tmp_path / "none.wav"]


@pytest.mark.parametrize("entry", ["", "*.wav"])
def test_a_folder_or_pattern_without_audio_is_an_input_error(entry: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(InputError, match=r"no audio in here .*\.flac"):
        find_audio([tmp_path / entry])
