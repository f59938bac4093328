"""Writing: whole files in known formats, or none."""

import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.audio.sounds import noise
from tests.disk import disk_with_room_for, listing
from vocable.audio import Audio
from vocable.errors import OutputError


@pytest.mark.parametrize("name", ["clip.opus", "clip.raw", "clip.xi", "clip.txt", "clip"])
def test_a_suffix_that_is_no_format_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=rf"{name}: .*use \.wav, \.flac, \.ogg, \.mp3"):
        Audio(noise(10), 16_000).write(tmp_path / name)
    assert listing(tmp_path) == []


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_full_disk_keeps_the_recording_there_was(suffix: str, tmp_path: Path) -> None:
    target = tmp_path / f"clip.{suffix}"
    Audio(noise(100), 16_000).write(target)
    before = target.read_bytes()
    with (
        disk_with_room_for(15_000),
        pytest.raises(OutputError, match=rf"clip\.{suffix}: cannot be written .*free space"),
    ):
        Audio(noise(200_000), 16_000).write(target)
    assert target.read_bytes() == before
    assert listing(tmp_path) == [f"clip.{suffix}"]


def test_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere/a\.wav: cannot be written .*check that the folder exists"):
        Audio(noise(10), 16_000).write(tmp_path / "nowhere" / "a.wav")
    assert listing(tmp_path) == []


def test_many_minutes_fit_into_an_ogg(tmp_path: Path) -> None:
    code = (  # in a process of its own: libsndfile crashes when it gets so much at once
        "import sys, numpy; from vocable.audio import Audio\n"
        "Audio(numpy.zeros(4_000_000, numpy.float32), 8_000).write(sys.argv[1])"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path / "long.ogg")], check=False)
    assert ran.returncode == 0
    assert soundfile.info(tmp_path / "long.ogg").frames == 4_000_000
