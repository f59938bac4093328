"""Writing: whole files in known formats, or none."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio.sounds import noise
from tests.disk import disk_with_room_for, listing
from vocable.audio import Audio, write_blocks
from vocable.errors import AudioError, OutputError


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


_RATES = (
    1, 100, 999, 1_000, 4_000, 5_999, 6_000, 7_999, 8_000, 11_025, 12_000, 12_345, 16_000, 22_050, 24_000, 32_000,
    44_100, 48_000, 48_001, 65_535, 65_536, 88_200, 96_000, 192_000, 199_999, 200_000, 200_001, 201_000, 384_000,
    655_350, 655_351, 655_360, 768_000,
)  # fmt: skip
_WRITE = """
import sys, numpy
from vocable.audio import Audio
from vocable.errors import OutputError
suffix, folder = sys.argv[1:3]
for rate in map(int, sys.argv[3:]):
    noise = numpy.random.default_rng(0).uniform(-1, 1, 90_000)
    for samples in (numpy.zeros(1), numpy.sin(numpy.arange(7_000) / 9), noise):
        try:
            Audio(samples, rate).write(f"{folder}/{rate}{suffix}")
            result = "written"
        except OutputError as error:
            assert f"not {rate} Hz; resample the clip" in str(error), error
            result = "refused"
    print(rate, result, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_no_rate_crashes_an_encoder(suffix: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", _WRITE, suffix, str(tmp_path), *map(str, _RATES)]
    ran = subprocess.run(words, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-1000:]
    results = {int(rate): result for rate, result in map(str.split, ran.stdout.splitlines())}
    assert set(results) == set(_RATES)
    for rate, result in results.items():
        path = tmp_path / f"{rate}{suffix}"
        assert path.exists() == (result == "written")
        if result == "written":
            info = soundfile.info(path)
            assert info.samplerate == rate
            assert info.frames == 90_000 or suffix == ".mp3"
    assert results[16_000] == results[48_000] == "written"
    refused = {rate for rate, result in results.items() if result == "refused"}
    assert (
        refused
        == {
            ".wav": set(),
            ".ogg": {rate for rate in _RATES if rate > 200_000},
            ".flac": {rate for rate in _RATES if rate > 655_350 or (rate > 65_535 and rate % 10)},
            ".mp3": set(_RATES) - {8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000},
        }[suffix]
    )


@pytest.mark.parametrize(
    ("name", "rate", "message"),
    [
        ("a.ogg", 201_000, r"a\.ogg: an \.ogg file has at most 200000 Hz, not 201000 Hz; resample the clip, or write"),
        ("a.mp3", 96_000, r"a\.mp3: an \.mp3 file has 8000, .* or 48000 Hz, not 96000 Hz"),
        ("a.flac", 655_360, r"a\.flac: a \.flac file has at most 655350 Hz, not 655360 Hz"),
        ("a.flac", 96_001, r"a\.flac: a \.flac file has a rate above 65535 Hz only if it is a multiple of 10 Hz"),
    ],
)
def test_a_rate_that_the_format_does_not_have_is_refused(name: str, rate: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=message):
        Audio(noise(10), rate).write(tmp_path / name)
    assert listing(tmp_path) == []


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("size", [1, 777, 65_536, 100_000])
def test_samples_in_blocks_become_the_same_file(suffix: str, size: int, tmp_path: Path) -> None:
    samples = noise(200_001)
    Audio(samples, 16_000).write(tmp_path / f"a.{suffix}")
    count = 3_000 if size == 1 else samples.size  # one by one takes long
    blocks = [samples[at : at + size] for at in range(0, count, size)] + [samples[count:], samples[:0]]
    write_blocks(tmp_path / f"b.{suffix}", iter(blocks), 16_000)
    same = [Audio.read(tmp_path / f"{name}.{suffix}").samples for name in "ab"]
    assert np.array_equal(*same)
    if suffix != "ogg":  # whose streams have random numbers
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "the audio is empty"),
        ([np.zeros(0, np.float32)], "the audio is empty"),
        ([noise(10), np.full(3, np.nan, np.float32)], "sample 10 is nan"),
        ([noise(70_000), noise(10) * 100], "the peak is"),
    ],
)
def test_blocks_that_are_no_audio_leave_no_file(blocks: list[np.ndarray], message: str, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=message):
        write_blocks(tmp_path / "a.wav", blocks, 16_000)
    assert listing(tmp_path) == []
