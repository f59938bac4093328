"""Reading, writing and resampling: every format, every rate, every way a recording can be broken."""

import json
import shutil
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_files import disk_with_room_for, listing
from vocable.audio import AUDIO_SUFFIXES, Audio, find_audio, header_seconds, read_blocks
from vocable.errors import AudioError, InputError, OutputError

RATES = (8_000, 22_050, 44_100, 48_000)
LSB = 1 / 32768


def tone(frequency: float, rate: int, seconds: float = 0.5, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, size).astype(np.float32)


def unchecked(samples: np.ndarray, rate: int) -> Audio:
    """An Audio as outside the tests, where no annotation is checked before the record looks for itself."""
    clip = object.__new__(Audio)
    object.__setattr__(clip, "samples", samples)
    object.__setattr__(clip, "sample_rate", rate)
    clip.__post_init__()
    return clip


def forget_length(path: Path) -> None:
    """Make a FLAC one whose writer did not know how long it would become."""
    flac = bytearray(path.read_bytes())
    flac[21] &= 0xF0  # the 36 bits of STREAMINFO that count the samples
    flac[22:26] = bytes(4)
    path.write_bytes(flac)


def joined(path: Path, rate: int, seconds: float) -> np.ndarray:
    return np.concatenate(list(read_blocks(path, rate, seconds=seconds)))


# The record


def test_samples_are_float32_and_last_as_long_as_their_rate_says() -> None:
    clip = Audio(noise(4000).astype(np.float64), 8_000)
    assert clip.samples.dtype == np.float32
    assert clip.duration == 0.5
    with pytest.raises(AttributeError):
        clip.sample_rate = 16_000  # type: ignore[misc]


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(0), 16_000, "the audio is empty"),
        (np.array([0.0, 0.1, np.nan]), 16_000, "sample 2 is nan; repair"),
        (np.array([0.0, -np.inf]), 16_000, "sample 1 is -inf"),
        (noise(10) * 32768, 16_000, "full scale is 1.0; are these integers"),
        (np.arange(100, dtype=np.int16), 16_000, "samples reach 99"),
        (np.zeros((2, 10)), 16_000, r"shape \(2, 10\).*average the channels"),
        (np.zeros(()), 16_000, r"shape \(\)"),
        (np.zeros(10), 0, "sample rate is 0 Hz"),
        (np.zeros(10), -8000, "sample rate is -8000 Hz"),
    ],
)
def test_samples_that_cannot_be_used_are_refused(samples: np.ndarray, rate: int, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        unchecked(samples, rate)


@pytest.mark.parametrize("samples", [np.zeros(1), np.ones(100), -np.ones(100), np.zeros(100), noise(50) * 4])
def test_one_sample_silence_clipping_and_some_overshoot_are_sound(samples: np.ndarray) -> None:
    assert np.array_equal(Audio(samples, 16_000).samples, samples.astype(np.float32))


# Reading


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
        ("stream.flac", "the header does not tell the length"),
    ):
        with pytest.raises(AudioError, match=f"{name}: .*{message}|{name}: {message}"):
            header_seconds(tmp_path / name)


# Recordings that are no recordings


def _empty(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        soundfile.write(folder / f"empty.{suffix}", np.zeros(0), 16_000)
        return folder / f"empty.{suffix}"

    return make


def _bytes(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _floats(name: str, samples: np.ndarray) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        soundfile.write(folder / name, samples, 16_000, subtype="FLOAT")
        return folder / name

    return make


def _with(values: dict[int, float]) -> np.ndarray:
    samples = noise(20_000)
    for index, value in values.items():
        samples[index] = value
    return samples


BROKEN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "nowhere.wav", "no such file"),
    "a folder": (lambda folder: folder, "cannot be read as audio"),
    "no bytes": (_bytes("a.wav", b""), "cannot be read as audio .*; copy it again, convert it"),
    "text renamed": (_bytes("a.wav", b"Dear diary, today I recorded nothing.\n" * 50), r"\(Format not recognised\)"),
    "text renamed MP3": (_bytes("a.mp3", b"Dear diary, today I recorded nothing.\n" * 50), "cannot be read as audio"),
    "raw samples": (_bytes("a.raw", bytes(1000)), "cannot be read as audio"),
    "a name with a colon": (_bytes("8: 30.wav", b"x"), r"8: 30\.wav: cannot be read as audio \(Format"),
    "empty WAV": (_empty("wav"), "holds no samples; record or export it again"),
    "empty FLAC": (_empty("flac"), "cannot be read as audio|holds no samples"),
    "empty OGG": (_empty("ogg"), "holds no samples"),
    "NaN": (_floats("a.wav", _with({17_000: np.nan})), "sample 17000 is nan; repair or remove"),
    "infinity": (_floats("a.wav", _with({3: np.inf})), "sample 3 is inf"),
    "integers as floats": (_floats("a.wav", noise(100) * 32768), "are these integers"),
}


@pytest.mark.parametrize(("make", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_named_with_its_reason(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    for read in (Audio.read, lambda path: joined(path, 8_000, 0.1)):
        with pytest.raises(AudioError, match=message) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "aiff", "au", "w64"])
def test_a_cut_file_never_passes_for_a_shorter_one(suffix: str, tmp_path: Path) -> None:
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    soundfile.write(whole, noise(5000), 8_000, **({} if suffix == "ogg" else {"subtype": "PCM_16"}))
    data = whole.read_bytes()
    assert Audio.read(whole).samples.size == 5000
    for size in {0, 1, 10, 50, *range(100, len(data), len(data) // 60), len(data) - 2, len(data) - 1}:
        cut.write_bytes(data[:size])
        with pytest.raises(
            AudioError, match=rf"cut\.{suffix}: (the file is truncated|cannot be read|the file holds no)"
        ):
            Audio.read(cut)


def test_the_message_says_where_the_file_ends(tmp_path: Path) -> None:
    Audio(noise(16_000), 16_000).write(tmp_path / "a.wav")
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[: 44 + 16_000])
    with pytest.raises(AudioError, match=r"a\.wav: the file is truncated after 0\.50 s; copy or export it again"):
        Audio.read(tmp_path / "a.wav")


def test_an_altered_flac_never_passes_for_another_recording(tmp_path: Path) -> None:
    Audio(noise(100), 16_000).write(tmp_path / "a.flac")
    data, samples = (tmp_path / "a.flac").read_bytes(), Audio.read(tmp_path / "a.flac").samples
    first = data.index(b"\xff\xf8", 42)  # the only frame: what stands before is metadata
    for at in range(first, len(data)):
        (tmp_path / "b.flac").write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        try:
            again = Audio.read(tmp_path / "b.flac").samples
        except AudioError:
            continue
        assert np.array_equal(again, samples)


# Block by block, and at other rates


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_the_samples_do_not_depend_on_the_blocks(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    Audio(noise(12_001), 16_000).write(path)  # noise: an MP3 frame of it leans on the frames before
    for rate in (16_000, 11_025, 48_000):
        whole = Audio.read(path, rate).samples
        assert whole.size == -(-12_001 * rate // 16_000)
        for seconds in (0.007, 0.0371, 0.5, 60.0):
            assert np.array_equal(joined(path, rate, seconds), whole)


def test_the_shortest_block_is_one_sample(tmp_path: Path) -> None:
    Audio(noise(50), 16_000).write(tmp_path / "a.wav")
    blocks = list(read_blocks(tmp_path / "a.wav", 16_000, seconds=0.0))
    assert [block.size for block in blocks] == [1] * 50
    assert np.array_equal(joined(tmp_path / "a.wav", 44_100, 0.0), Audio.read(tmp_path / "a.wav", 44_100).samples)


def test_blocks_are_never_empty_and_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for minutes in (1, 8):
        Audio(np.zeros(minutes * 60 * 8_000), 8_000).write(tmp_path / "long.wav")
        tracemalloc.start()
        assert all(block.size for block in read_blocks(tmp_path / "long.wav", 16_000, seconds=1.0))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 2e6


@given(
    size=st.integers(1, 4000),
    old=st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000]) | st.integers(4_000, 96_000),
    new=st.sampled_from([8_000, 16_000, 22_050, 24_000]) | st.integers(4_000, 96_000),
)
@settings(deadline=None, max_examples=150)
def test_resampling_gives_the_duration_rounded_up(size: int, old: int, new: int) -> None:
    assert Audio(noise(size), old).resample(new).samples.size == -(-size * new // old)


@pytest.mark.parametrize("new", [8_000, 11_025, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("frequency", [100.0, 1000.0, 3000.0])
def test_resampling_keeps_a_tone(frequency: float, new: int) -> None:
    made = Audio(tone(frequency, 16_000), 16_000).resample(new).samples
    middle = slice(new // 20, -new // 20)
    assert np.abs(made[: new // 2] - tone(frequency, new))[middle].max() < 2e-4


def test_resampling_removes_what_the_new_rate_cannot_hold() -> None:
    made = Audio(tone(6_000, 16_000), 16_000).resample(8_000).samples
    assert np.abs(made[400:-400]).max() < 1e-4


def test_resampling_there_and_back_is_nearly_the_identity() -> None:
    random = np.random.default_rng(0)
    spectrum = np.fft.rfft(random.standard_normal(16_000))
    spectrum[7_000:] = 0  # bins are Hz: the filter begins to fall at 7.3 kHz
    clip = Audio(np.fft.irfft(spectrum).astype(np.float32) / 8, 16_000)
    again = clip.resample(48_000).resample(16_000)
    assert again.samples.size == clip.samples.size
    assert np.abs(again.samples - clip.samples)[500:-500].max() < 1e-3
    assert clip.resample(16_000) is clip


@pytest.mark.parametrize("speed", [0.8, 0.9, 1.0, 1.1])
def test_a_clip_played_faster_is_shorter_and_higher(speed: float) -> None:
    clip = Audio(tone(1000.0, 16_000), 16_000)
    played = clip.played(speed)
    assert played.sample_rate == 16_000
    assert played.duration == pytest.approx(clip.duration / speed, abs=1 / 16_000)
    assert np.abs(played.samples - tone(1000.0 * speed, 16_000, 1.0)[: played.samples.size])[800:-800].max() < 2e-4


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_that_is_not_positive_is_refused(rate: int, tmp_path: Path) -> None:
    Audio(noise(10), 16_000).write(tmp_path / "a.wav")
    with pytest.raises(AudioError, match=f"sample rate is {rate} Hz"):
        Audio.read(tmp_path / "a.wav", rate)
    with pytest.raises(AudioError, match=f"sample rate is {rate} Hz"):
        Audio(noise(10), 16_000).resample(rate)


# Writing


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


# Finding


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


@pytest.mark.parametrize("name", ["digits_fsdd", "emo_emodb_de", "read_librispeech", "read_speechocean762"])
def test_real_recordings_read_and_last_as_long_as_their_manifest_says(name: str, speech_data: Path) -> None:
    with (speech_data / name / "manifest.jsonl").open() as lines:
        line = json.loads(next(lines))
    path = speech_data / name / line["audio_path"]
    clip = Audio.read(path)
    assert clip.duration == pytest.approx(line["duration"], abs=1e-3)
    assert 0.01 < np.abs(clip.samples).max() <= 1.0
    assert np.array_equal(joined(path, 16_000, 0.3), Audio.read(path, 16_000).samples)
