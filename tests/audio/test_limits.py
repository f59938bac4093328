"""What a header may claim: bounded before memory is taken, and the bounds can be moved."""

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio.sounds import joined, noise
from vocable.audio import Audio, header_seconds, read_blocks
from vocable.audio_files.limits import current_limits
from vocable.audio_files.reader import AudioFile
from vocable.errors import AudioError, ConfigError


def wav(path: Path, rate: int, channels: int = 1, frames: int = 100) -> Path:
    data = np.zeros(frames * channels, dtype="<i2").tobytes()
    align, byte_rate = 2 * channels, 2 * channels * rate & 0xFFFFFFFF
    header = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, channels, rate, byte_rate, align & 0xFFFF, 16) + b"data"
    path.write_bytes(b"RIFF" + struct.pack("<I", 36 + len(data)) + header + struct.pack("<I", len(data)) + data)
    return path


@pytest.mark.parametrize(
    ("rate", "channels", "message"),
    [
        (2_000_000_000, 1, "the sample rate is 2000000000 Hz, the limit is 768000; .* VOCABLE_AUDIO_LIMITS=max_rate="),
        (768_001, 1, "the sample rate is 768001 Hz"),
        (1, 1, "the sample rate is 1 Hz, the limit is 1000; .* VOCABLE_AUDIO_LIMITS=min_rate="),
        (999, 2, "the sample rate is 999 Hz"),
        (16_000, 1000, "there are 1000 channels, the limit is 128; .* VOCABLE_AUDIO_LIMITS=max_channels="),
        (16_000, 129, "there are 129 channels"),
        (16_000, 60_000, "cannot be read as audio"),
        (0, 1, "cannot be read as audio|the sample rate is 0 Hz"),
        ((1 << 31) + 16_000, 1, "cannot be read as audio|the sample rate is"),
    ],
)
def test_a_header_beyond_a_limit_is_refused_before_memory_is_taken(
    rate: int, channels: int, message: str, tmp_path: Path
) -> None:
    path = wav(tmp_path / "a.wav", rate, channels)
    tracemalloc.start()
    for read in (Audio.read, header_seconds, lambda path: joined(path, 16_000, 1.0)):
        with pytest.raises(AudioError, match=rf"a\.wav: ({message})"):
            read(path)
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


@pytest.mark.parametrize("suffix", ["flac", "aiff", "au", "caf", "w64"])
def test_every_format_is_bound(suffix: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / f"a.{suffix}", noise(100), 500, subtype="PCM_16")
    with pytest.raises(AudioError, match="the sample rate is 500 Hz, the limit is 1000"):
        Audio.read(tmp_path / f"a.{suffix}")


def test_a_recording_too_long_is_refused_by_its_header_or_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wav(tmp_path / "a.wav", 1_000, frames=40_000)
    monkeypatch.setenv("VOCABLE_AUDIO_LIMITS", "max_hours=0.01")
    with pytest.raises(AudioError, match=r"a\.wav: the recording is 0\.0 h long, the limit is 0\.01"):
        Audio.read(path)
    file = AudioFile(path, 1_000, None, lambda size: iter(np.zeros((40, 1_000, 1), dtype=np.float32)))
    read = []
    with pytest.raises(AudioError, match=r"the recording is 0\.0 h long"):
        read.extend(file.blocks(1_000))
    assert len(read) == 36  # seconds


def test_many_channels_are_read_in_smaller_blocks(tmp_path: Path) -> None:
    samples = np.stack([noise(50_000, seed) for seed in range(100)], axis=1)
    soundfile.write(tmp_path / "a.wav", samples, 8_000, subtype="FLOAT")
    sizes = [block.size for block in read_blocks(tmp_path / "a.wav", 8_000, seconds=100.0)]
    assert len(sizes) == 2
    assert max(sizes) * 100 <= 1 << 22
    assert joined(tmp_path / "a.wav", 8_000, 100.0) == pytest.approx(samples.mean(axis=1), abs=1e-6)


@pytest.mark.parametrize(
    ("limits", "rate", "channels"),
    [("min_rate=1", 1, 1), ("max_rate=2000000000", 2_000_000_000, 1), ("max_channels=1000, max_hours=1", 16_000, 1000)],
)
def test_a_limit_can_be_moved(
    limits: str, rate: int, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOCABLE_AUDIO_LIMITS", limits)
    clip = Audio.read(wav(tmp_path / "a.wav", rate, channels))
    assert (clip.sample_rate, clip.samples.size) == (rate, 100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_hours", "'max_hours' is no limit"), ("max_hours=many", "is no limit; write max_hours=48"),
        ("hours=3", "VOCABLE_AUDIO_LIMITS: hours"), ("max_channels=0", "VOCABLE_AUDIO_LIMITS: max_channels is 0"),
        ("max_hours=nan", "VOCABLE_AUDIO_LIMITS: "), ("max_rate=1e5", "is no limit"),
    ],
)  # fmt: skip
def test_a_limit_that_is_none_is_named(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOCABLE_AUDIO_LIMITS", text)
    with pytest.raises(ConfigError, match=message):
        current_limits()


def test_what_does_not_fit_into_memory_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AudioError, match="the resampled audio: the clip has 76800000000 samples, the limit is"):
        Audio(noise(100_000), 1).resample(768_000)
    monkeypatch.setenv("VOCABLE_AUDIO_LIMITS", "max_samples=1000")
    with pytest.raises(AudioError, match=r"a\.wav: the clip has 2000 samples, the limit is 1000"):
        Audio.read(wav(tmp_path / "a.wav", 8_000), 160_000)
    assert sum(block.size for block in read_blocks(tmp_path / "a.wav", 160_000)) == 2_000


def test_a_lack_of_memory_is_the_error_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = wav(tmp_path / "a.wav", 16_000)

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(soundfile.SoundFile, "read", fail)
        with pytest.raises(AudioError, match=r"a\.wav: there is not enough memory to read it"):
            Audio.read(path)
    monkeypatch.setattr(np, "concatenate", fail)
    with pytest.raises(AudioError, match=r"a\.wav: 100 samples do not fit into memory"):
        Audio.read(path)
