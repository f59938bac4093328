"""Recordings that are no recordings: every way a file can be broken."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio.sounds import joined, noise
from vocable.audio import Audio
from vocable.errors import AudioError


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
    "integers as floats": (_floats("a.wav", noise(100) * 32768), "divide 16-bit integers"),
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
