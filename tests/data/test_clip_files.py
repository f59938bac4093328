"""Parts of recordings on disk are those of the whole recording, to the bit; what changes or is damaged is named."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vocable.audio import Audio
from vocable.data import clip_files
from vocable.data.clip_files import ClipFiles, RecentArrays
from vocable.data.strings import PackedStrings
from vocable.errors import AudioError, OutputError
from vocable.testing import speechlike

RATE = 16_000
KINDS = {
    "a.wav": {}, "b.flac": {}, "c.ogg": {}, "d.opus": {"format": "OGG", "subtype": "OPUS"}, "e.mp3": {},
    "f.wav": {"subtype": "FLOAT"}, "g.wav": {"subtype": "PCM_24"}, "h.wav": {"subtype": "ULAW"}, "i.aiff": {},
    "j.wav": {"subtype": "IMA_ADPCM"}, "k.w64": {}, "l.caf": {}, "m.au": {}, "n.flac": {"subtype": "PCM_24"},
}  # fmt: skip


def write(path: Path, seconds: float = 1.3, channels: int = 1, **how: str) -> Path:
    samples = speechlike(int(RATE * seconds), RATE, seed=len(path.name)).samples
    rows = np.stack([samples * (0.7 + 0.3 * channel) for channel in range(channels)], axis=1)
    soundfile.write(path, rows, RATE, **how)
    return path


def whole(path: Path, rate: int) -> np.ndarray:
    """Samples to 16 bits, as batches had them when each process kept all recordings in memory."""
    samples = Audio.read(path, rate).samples
    return np.clip(samples * 32768.0, -32768.0, 32767.0).round().astype(np.int16).astype(np.float32) / np.float32(32768)


def files(*paths: Path, rate: int = RATE, folder: Path | None = None, check: bool = True) -> ClipFiles:
    return ClipFiles([str(path) for path in paths], rate, folder=folder, check=check)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "rate", "check"), [(1, RATE, True), (2, RATE, False), (1, 8_000, False), (2, 24_000, True)]
)
def test_parts_are_those_of_the_whole(tmp_path: Path, channels: int, rate: int, check: bool) -> None:
    paths = [write(tmp_path / name, channels=channels, **how) for name, how in KINDS.items()]
    random = np.random.default_rng(0)
    for folder in (None, tmp_path / "cache", tmp_path / "cache"):
        opened = files(*paths, rate=rate, folder=folder, check=check)
        assert not opened.errors
        for index, path in enumerate(paths):
            wanted = whole(path, rate)
            assert opened.sizes[index] == wanted.size, path
            for start in (0, *random.integers(0, wanted.size, 6).tolist()):
                stop = start + int(random.integers(1, wanted.size))
                assert np.array_equal(opened.read(index, start, stop), wanted[start:stop]), path
            assert np.array_equal(opened.read(index), wanted), path
            assert opened.read(index, wanted.size).size == 0


def test_a_second_run_looks_at_no_recording_and_decodes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write(tmp_path / name, **KINDS[name]) for name in ("a.wav", "b.flac", "d.opus", "e.mp3")]
    first = files(*paths, folder=tmp_path / "cache")
    assert {one.suffix for one in (tmp_path / "cache").rglob("*") if one.is_file()} == {".safetensors", ".s16"}
    for name in ("open_audio", "count_samples"):
        monkeypatch.setattr(clip_files, name, None)
    monkeypatch.setattr(Audio, "read", None)
    again = files(*reversed(paths), folder=tmp_path / "cache")
    assert again.sizes.tolist() == first.sizes.tolist()[::-1]
    for index in range(4):
        assert np.array_equal(again.read(3 - index, 100, 900), first.read(index, 100, 900))
        assert again.key(3 - index) == first.key(index)


def test_a_recording_that_was_replaced_is_looked_at_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac")
    assert files(path, folder=tmp_path / "cache").sizes.tolist() == [20_800]
    write(path, 2.0)
    again = files(path, folder=tmp_path / "cache")
    assert again.sizes.tolist() == [32_000]
    assert np.array_equal(again.read(0), whole(path, RATE))


def damage(path: Path) -> Path:
    """Change bytes in the middle of a FLAC's frames, which its header does not show."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = os.urandom(400)
    path.write_bytes(content)
    return path


def test_a_damaged_recording_is_found_before_the_first_batch_or_where_it_is_read(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "a.flac"), damage(write(tmp_path / "bad.flac", 3.0))
    (error,) = files(good, bad).errors.values()
    assert str(error).startswith(f"{bad}: cannot be read as audio")
    unchecked = files(good, bad, check=False)
    assert unchecked.sizes.tolist() == [20_800, 48_000]
    assert unchecked.read(1, 0, 400).size == 400
    with pytest.raises(AudioError, match=r"bad\.flac: cannot be read as audio"):
        unchecked.read(1)


@pytest.mark.parametrize("name", ["a.wav", "b.flac", "d.opus"])
def test_a_recording_that_changes_while_it_is_used_is_named(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, **KINDS[name])
    shutil.copy2(path, tmp_path / "copy")
    opened = files(path, folder=tmp_path / "cache")
    size = path.stat().st_size
    os.truncate(path, size // 2)
    with pytest.raises(AudioError, match=rf"{name}: has {size // 2} bytes, and had {size} before; restore the file"):
        opened.read(0, 0, 100)
    path.unlink()
    with pytest.raises(AudioError, match=f"{name}: no such file"):
        opened.read(0, 0, 100)
    write(path, **KINDS[name])
    os.utime(path, (1, 1))
    with pytest.raises(AudioError, match=f"{name}: (has|was written again while it was in use; restore the file)"):
        opened.read(0, 0, 100)
    shutil.copy2(tmp_path / "copy", path)
    assert np.array_equal(opened.read(0, 0, 100), whole(path, RATE)[:100])


def test_missing_silent_and_empty_recordings_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "nan.wav").write_bytes(b"")
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan], dtype=np.float32), RATE, subtype="FLOAT")
    names = ("empty.wav", "text.wav", "nan.wav", "gone.wav")
    for check in (True, False):
        opened = files(write(tmp_path / "good.wav"), *(tmp_path / name for name in names), check=check)
        assert sorted(opened.errors) == ([1, 2, 3, 4] if check else [1, 2, 4])
        for index, error in opened.errors.items():
            assert str(error).startswith(f"{tmp_path / names[index - 1]}: ")
        assert opened.sizes.tolist()[0] == 20_800


def test_a_file_of_the_cache_that_was_cut_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    opened = files(path, rate=8_000, folder=tmp_path / "cache")
    opened.read(0, 0, 1)
    (kept,) = (tmp_path / "cache").rglob("*.s16")
    assert kept.stat().st_size == 2 * 10_400
    os.truncate(kept, 100)
    with pytest.raises(AudioError, match=r"s16: does not hold 10400 samples; remove it, and it is made again"):
        opened.read(0)
    kept.unlink()
    assert np.array_equal(opened.read(0), whole(path, 8_000))
    (headers,) = (tmp_path / "cache" / "headers").iterdir()
    headers.write_bytes(b"nothing")
    with pytest.raises(AudioError, match="remove it, and its recordings are looked at again"):
        files(path, rate=8_000, folder=tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match="cache"):
        files(write(tmp_path / "a.wav"), folder=tmp_path / "cache")


def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.wav")
    shutil.move(write(tmp_path / "a.wav"), tmp_path / name)
    for _ in range(2):
        opened = files(tmp_path / name, folder=tmp_path / "cache")
        assert opened.path(0) == str(tmp_path / name)
        assert opened.read(0, 5, 10).size == 5
    strings = PackedStrings(["", "Grüße", name, "\ud800"])
    assert list(strings) == ["", "Grüße", name, "\ud800"]


def test_what_was_used_last_stays_in_memory_up_to_a_bound() -> None:
    recent = RecentArrays(most=100)
    for index in range(4):
        recent.put(index, np.zeros(30, dtype=np.uint8))
    assert recent.get(0) is None
    assert recent.get(1) is not None
    recent.put(4, np.zeros(30, dtype=np.uint8))
    assert [index for index in range(5) if recent.get(index) is not None] == [1, 3, 4]
    recent.put(5, np.zeros(101, dtype=np.uint8))
    assert all(recent.get(index) is None for index in range(6))
