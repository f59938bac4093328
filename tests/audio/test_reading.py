"""Reading: every format, every width, every rate, and streams that do not know their length."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio.sounds import forget_length, joined, noise, tone
from tests.disk import listing
from vocable.audio import Audio, header_seconds
from vocable.errors import AudioError

RATES = (8_000, 22_050, 44_100, 48_000)
LSB = 1 / 32768


@pytest.mark.parametrize("rate", [16_000, *RATES])
@pytest.mark.parametrize(("suffix", "error"), [(".wav", 2 * LSB), (".flac", 2 * LSB), (".ogg", 0.03), (".mp3", 0.03)])
def test_what_is_written_is_read_again(suffix: str, error: float, rate: int, tmp_path: Path) -> None:
    clip = Audio(tone(440, rate, level=0.3), rate)
    clip.write(tmp_path / f"clip{suffix}")
    again = Audio.read(tmp_path / f"clip{suffix}")
    assert again.sample_rate == rate
    assert again.samples.size == clip.samples.size
    middle = slice(rate // 10, -rate // 10)  # an MP3's edges ring
    assert np.abs(again.samples - clip.samples)[middle].max() <= error
    assert listing(tmp_path) == [f"clip{suffix}"]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_a_tone_read_at_another_rate_keeps_its_pitch_level_and_time(suffix: str, rate: int, tmp_path: Path) -> None:
    Audio(tone(440, rate), rate).write(tmp_path / f"clip{suffix}")
    clip = Audio.read(tmp_path / f"clip{suffix}", 16_000)
    assert clip.sample_rate == 16_000
    middle = slice(1600, -1600)
    assert np.abs(clip.samples - tone(440, 16_000)[: clip.samples.size])[middle].max() < 0.06


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_channels_are_averaged(channels: int, tmp_path: Path) -> None:
    parts = np.stack([noise(1000, seed) for seed in range(channels)], axis=1)
    soundfile.write(tmp_path / "a.wav", parts, 16_000, subtype="FLOAT")
    assert Audio.read(tmp_path / "a.wav").samples == pytest.approx(parts.mean(axis=1), abs=1e-7)


@pytest.mark.parametrize(
    ("subtype", "step"),
    [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-23), ("DOUBLE", 2**-24), ("ULAW", 0.02)],
)
def test_every_sample_width_reads_on_one_scale(subtype: str, step: float, tmp_path: Path) -> None:
    samples = noise(2000)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype=subtype)
    assert np.abs(Audio.read(tmp_path / "a.wav").samples - samples).max() <= 2 * step


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_one_sample_is_a_recording(suffix: str, rate: int, tmp_path: Path) -> None:
    soundfile.write(tmp_path / f"a.{suffix}", np.array([0.5], dtype=np.float32), 16_000)
    assert Audio.read(tmp_path / f"a.{suffix}", rate).samples.size == -(-rate // 16_000)


def test_silence_and_clipping_survive_reading_at_another_rate(tmp_path: Path) -> None:
    Audio(np.zeros(4800), 48_000).write(tmp_path / "silent.wav")
    assert not Audio.read(tmp_path / "silent.wav", 16_000).samples.any()
    Audio(np.sign(tone(100, 48_000)) * 3, 48_000).write(tmp_path / "clipped.flac")
    assert np.abs(Audio.read(tmp_path / "clipped.flac").samples).max() <= 1.0
    assert 0.9 < np.abs(Audio.read(tmp_path / "clipped.flac", 16_000).samples).max() < 1.3  # Gibbs


def test_streams_whose_header_does_not_know_their_length_are_read(tmp_path: Path) -> None:
    clip = Audio(noise(1000), 16_000)
    clip.write(tmp_path / "a.wav")
    clip.write(tmp_path / "a.flac")
    wav = bytearray((tmp_path / "a.wav").read_bytes())
    for size in (0xFFFFFFFF, 0x80000000, 0x7FFFF000):  # ffmpeg, arecord, sox
        wav[40:44] = struct.pack("<I", size)
        (tmp_path / "stream.wav").write_bytes(wav)
        assert np.array_equal(Audio.read(tmp_path / "stream.wav").samples, Audio.read(tmp_path / "a.wav").samples)
    shutil.copy(tmp_path / "a.flac", tmp_path / "stream.flac")
    forget_length(tmp_path / "stream.flac")
    assert np.array_equal(Audio.read(tmp_path / "stream.flac").samples, Audio.read(tmp_path / "a.flac").samples)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_the_header_tells_the_seconds(suffix: str, tmp_path: Path) -> None:
    Audio(noise(12_000), 8_000).write(tmp_path / f"a.{suffix}")
    assert header_seconds(tmp_path / f"a.{suffix}") == pytest.approx(1.5, abs=0.1 if suffix == "mp3" else 0)


def test_a_header_that_tells_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("these are words")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    Audio(noise(5000), 16_000).write(tmp_path / "stream.flac")
    forget_length(tmp_path / "stream.flac")
    for name, message in (
        ("gone.wav", "no such file"),
        ("text.wav", "cannot be read as audio"),
        ("empty.wav", "holds no samples"),
        ("stream.flac", "the header has no length"),
    ):
        with pytest.raises(AudioError, match=f"{name}: .*{message}|{name}: {message}"):
            header_seconds(tmp_path / name)


@pytest.mark.parametrize("name", ["digits_fsdd", "emo_emodb_de", "read_librispeech", "read_speechocean762"])
def test_real_recordings_read_and_last_as_long_as_their_manifest_says(name: str, speech_data: Path) -> None:
    with (speech_data / name / "manifest.jsonl").open() as lines:
        line = json.loads(next(lines))
    path = speech_data / name / line["audio_path"]
    clip = Audio.read(path)
    assert clip.duration == pytest.approx(line["duration"], abs=1e-3)
    assert 0.01 < np.abs(clip.samples).max() <= 1.0
    assert np.array_equal(joined(path, 16_000, 0.3), Audio.read(path, 16_000).samples)
