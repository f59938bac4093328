"""Files of several recordings, of unknown length, with tags between: all is read, or what is wrong is named."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio.sounds import forget_length, joined, noise
from vocable.audio import Audio, header_seconds
from vocable.audio_files.framed import mp3_frame
from vocable.errors import AudioError

SUFFIXES = ("wav", "flac", "ogg", "mp3", "aiff", "au", "w64", "caf")
LIST = b"LIST" + struct.pack("<I", 20) + b"INFOIART" + struct.pack("<I", 8) + b"a name\0\0"
ID3V1 = b"TAG" + b"a song".ljust(125, b"\0")
ID3V2 = b"ID3\3\0\0\0\0\2\0" + b"APIC".ljust(256, b"\xff")
APE_FOOTER = b"APETAGEX" + struct.pack("<IIII", 2000, 40, 1, 0x80000000) + bytes(8)
APE = b"APETAGEX" + struct.pack("<IIII", 2000, 40, 1, 0xA0000000) + bytes(8) + b"key val\0" + APE_FOOTER
LYRICS = b"LYRICSBEGIN" + b"la " * 30 + b"000101LYRICS200"


def content(folder: Path, suffix: str, size: int = 20_000, seed: int = 0, rate: int = 16_000) -> bytes:
    path = folder / f"made.{suffix}"
    if suffix in ("wav", "flac", "ogg", "mp3"):
        Audio(noise(size, seed), rate).write(path)
    else:
        soundfile.write(path, noise(size, seed), rate, subtype="PCM_16")
    return path.read_bytes()


def read(folder: Path, name: str, data: bytes) -> np.ndarray:
    (folder / name).write_bytes(data)
    samples = Audio.read(folder / name).samples
    assert np.array_equal(joined(folder / name, 16_000, 0.013), Audio.read(folder / name, 16_000).samples)
    return samples


@pytest.mark.parametrize("suffix", [*SUFFIXES, "opus"])
def test_recordings_one_after_the_other_are_all_read(suffix: str, tmp_path: Path) -> None:
    if suffix == "opus":
        for name in "ab":
            soundfile.write(tmp_path / f"{name}.opus", noise(9_000), 16_000, format="OGG", subtype="OPUS")
        a, b = ((tmp_path / f"{name}.opus").read_bytes() for name in "ab")
    else:
        a, b = content(tmp_path, suffix, 20_000, 1), content(tmp_path, suffix, 12_345, 2)
    parts = [read(tmp_path, f"{name}.{suffix}", data) for name, data in (("a", a), ("b", b))]
    for name, data, expected in (("ab", a + b, parts), ("aba", a + b + a, [*parts, parts[0]])):
        assert np.array_equal(read(tmp_path, f"{name}.{suffix}", data), np.concatenate(expected))
    seconds = header_seconds(tmp_path / f"ab.{suffix}")
    assert seconds == pytest.approx(sum(part.size for part in parts) / 16_000, abs=0.2 if suffix == "mp3" else 1e-9)


def test_recordings_of_several_kinds_one_after_the_other_are_read(tmp_path: Path) -> None:
    wav, flac = content(tmp_path, "wav"), content(tmp_path, "flac")
    for first in ("wav", "ogg", "mp3", "aiff"):
        whole = content(tmp_path, first)
        alone = read(tmp_path, f"alone.{first}", whole)
        for other in (wav, flac):
            assert np.array_equal(read(tmp_path, f"two.{first}", whole + other)[: alone.size], alone)
            assert Audio.read(tmp_path / f"two.{first}").samples.size == alone.size + 20_000


@pytest.mark.parametrize("suffix", ["ogg", "flac", "wav", "mp3"])
def test_a_part_of_another_rate_is_named_and_one_of_other_channels_is_read(suffix: str, tmp_path: Path) -> None:
    first, second = content(tmp_path, suffix, 8_000), content(tmp_path, suffix, 8_000, rate=44_100)
    with pytest.raises(AudioError, match=rf"c\.{suffix}: part 2 of 2 has 44100 Hz, those before have 16000 Hz; write"):
        read(tmp_path, f"c.{suffix}", first + second)
    soundfile.write(tmp_path / f"stereo.{suffix}", np.stack([noise(8_000)] * 2, axis=1), 16_000)
    stereo = (tmp_path / f"stereo.{suffix}").read_bytes()
    assert read(tmp_path, f"d.{suffix}", first + stereo).size == 16_000


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "wav", "flac"])
@pytest.mark.parametrize("tag", [bytes(999), ID3V1, ID3V2, APE, LYRICS, LYRICS + ID3V1, APE + ID3V1])
def test_tags_and_zeros_before_between_and_after_are_skipped(tag: bytes, suffix: str, tmp_path: Path) -> None:
    data = content(tmp_path, suffix)
    alone = read(tmp_path, f"a.{suffix}", data)
    if suffix == "flac" and (not tag.strip(b"\0") or tag.startswith(b"LYRICS")):
        with pytest.raises(AudioError, match=r"b\.flac: cannot be read as audio \(flac decoder lost sync\)"):
            read(tmp_path, "b.flac", data + tag)
        return
    twice = np.concatenate([alone, alone])
    assert np.array_equal(read(tmp_path, f"b.{suffix}", data + tag), alone)
    assert np.array_equal(read(tmp_path, f"c.{suffix}", data + tag + data), twice)
    if tag.startswith(b"ID3"):
        assert np.array_equal(read(tmp_path, f"d.{suffix}", tag + data + tag + data), twice)


@pytest.mark.parametrize(
    "letters", [b"ID3", b"ID3\x14\0\0\x7f\x7f\x7f\x7f", b"ID3\3\0\0\x7f\x7f\x7f\x7f", b"ID3\3\0\x01\0\0\2\0"]
)
def test_flac_data_that_look_like_a_tag_are_no_tag(letters: bytes, tmp_path: Path) -> None:
    plain = content(tmp_path, "flac")
    block = b"test" + letters.ljust(300, b"\x55")
    data = plain[:42] + b"\x02" + len(block).to_bytes(3, "big") + block + plain[42:]  # behind the first header
    np.testing.assert_array_equal(read(tmp_path, "looks.flac", data), read(tmp_path, "plain.flac", plain))
    twice = read(tmp_path, "twice.flac", data + ID3V2 + data)
    assert twice.size == 2 * read(tmp_path, "plain.flac", plain).size


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_unknown_bytes_between_or_after_recordings_are_named(suffix: str, tmp_path: Path) -> None:
    data, junk = content(tmp_path, suffix), np.random.default_rng(0).bytes(777).replace(b"\0", b"\1")
    for name, broken in (("between", data + junk + data), ("after", data + junk)):
        if (suffix, name) == ("mp3", "after"):  # its header names the number of frames, and all are there
            assert np.array_equal(read(tmp_path, f"{name}.mp3", broken), read(tmp_path, "a.mp3", data))
            continue
        with pytest.raises(AudioError, match=rf"{name}\.{suffix}: "):
            read(tmp_path, f"{name}.{suffix}", broken)


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "flac", "wav"])
def test_a_cut_in_any_part_is_named(suffix: str, tmp_path: Path) -> None:
    a, b = content(tmp_path, suffix, 20_000, 1), content(tmp_path, suffix, 20_000, 2)
    for share in (0.3, 0.6, 0.9):
        for broken in (a[: int(share * len(a))], a + b[: int(share * len(b))], a[: int(share * len(a))] + b):
            with pytest.raises(AudioError, match=rf"cut\.{suffix}: "):
                read(tmp_path, f"cut.{suffix}", broken)


def test_damaged_and_missing_ogg_pages_are_named(tmp_path: Path) -> None:
    data = content(tmp_path, "ogg", 200_000)
    starts = [at for at in range(len(data)) if data.startswith(b"OggS", at)]
    flipped = bytearray(data)
    flipped[starts[3] + 300] ^= 1
    with pytest.raises(AudioError, match=rf"a\.ogg: the Ogg page at byte {starts[3]} is damaged"):
        read(tmp_path, "a.ogg", bytes(flipped))
    with pytest.raises(AudioError, match=r"a\.ogg: pages 3 to 3 of the Ogg stream are missing"):
        read(tmp_path, "a.ogg", data[: starts[3]] + data[starts[4] :])


def _xing(data: bytes) -> int:
    return max(data.find(b"Xing"), data.find(b"Info"))


@pytest.mark.parametrize("change", ["none", "one", "half", "no header", "no count"])
def test_an_mp3_whose_header_is_wrong_or_missing_is_read_whole(change: str, tmp_path: Path) -> None:
    data = bytearray(content(tmp_path, "mp3", 40_000))  # of variable bit rate: its size says nothing of its length
    at = _xing(bytes(data))
    frames = int.from_bytes(data[at + 8 : at + 12], "big")
    if change == "no header":
        first = data.index(b"\xff")
        frame = mp3_frame(bytes(data[first : first + 4]))
        assert frame is not None
        del data[first : first + frame.size]
    elif change == "no count":
        data[at + 7] &= 0xFE
    else:
        count = {"none": 0, "one": 1, "half": frames // 2}[change]
        data[at + 8 : at + 12] = count.to_bytes(4, "big")
    samples = read(tmp_path, "a.mp3", bytes(data))
    expected = Audio.read(tmp_path / "made.mp3").samples
    assert expected.size == 40_000
    if change == "no count":
        assert samples.size >= 40_000
    else:
        assert frames * 576 - 1105 <= samples.size <= frames * 576
    start = int(np.argmax(np.correlate(samples[:3_000], expected[:1_000], "valid")))  # after the encoder's delay
    assert np.corrcoef(samples[start : start + 30_000], expected[:30_000])[0, 1] > 0.999


@pytest.mark.parametrize("more", [2, 100, 1 << 31])
def test_an_mp3_shorter_than_its_header_says_is_named(more: int, tmp_path: Path) -> None:
    data = bytearray(content(tmp_path, "mp3"))
    at = _xing(bytes(data))
    data[at + 8 : at + 12] = (int.from_bytes(data[at + 8 : at + 12], "big") + more).to_bytes(4, "big")
    with pytest.raises(
        AudioError, match=r"a\.mp3: the file is truncated after 1\.\d\d s; its header promises [\d.]+ s"
    ):
        read(tmp_path, "a.mp3", bytes(data))


PLACEHOLDERS = (0, 2_000_000_000, 0x7FFFFFFF, 0x7FFFF000, 0x7FFFFFDB, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFDB)


@pytest.mark.parametrize("size", PLACEHOLDERS)
@pytest.mark.parametrize("riff", [None, 0, 0xFFFFFFFF])
def test_a_wav_of_unknown_length_is_read(size: int, riff: int | None, tmp_path: Path) -> None:
    wav = bytearray(content(tmp_path, "wav"))
    expected = read(tmp_path, "a.wav", bytes(wav))
    wav[40:44] = struct.pack("<I", size)
    if riff is not None:
        wav[4:8] = struct.pack("<I", riff)
    assert np.array_equal(read(tmp_path, "b.wav", bytes(wav)), expected)
    assert np.array_equal(read(tmp_path, "c.wav", bytes(wav[:36]) + LIST + bytes(wav[36:])), expected)
    assert header_seconds(tmp_path / "c.wav") == 20_000 / 16_000


@pytest.mark.parametrize("size", [0, (1 << 64) - 1, (1 << 63) - 1, 0xFFFFFFFF, 40_000])
@pytest.mark.parametrize("form", [b"RF64", b"BW64"])
def test_a_large_wav_of_unknown_length_is_read(form: bytes, size: int, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.rf64", noise(20_000), 16_000, format="RF64", subtype="PCM_16")
    data = bytearray((tmp_path / "a.rf64").read_bytes())
    at = data.index(b"ds64")
    data[at + 16 : at + 24] = struct.pack("<Q", size)
    data[:4] = form
    assert np.array_equal(read(tmp_path, "b.wav", bytes(data)), read(tmp_path, "c.wav", content(tmp_path, "wav")))


@pytest.mark.parametrize("size", [40_002, 70_000, 1_000_000_000, 3_000_000_000])
def test_a_wav_with_fewer_samples_than_its_header_says_is_truncated(size: int, tmp_path: Path) -> None:
    wav = bytearray(content(tmp_path, "wav"))
    wav[40:44] = struct.pack("<I", size)
    with pytest.raises(AudioError, match=r"a\.wav: the file is truncated after 1\.25 s; copy or export it again"):
        read(tmp_path, "a.wav", bytes(wav))


@pytest.mark.parametrize("size", [2, 1_000, 20_000])
def test_a_wav_with_more_samples_than_its_header_says_is_named(size: int, tmp_path: Path) -> None:
    wav = bytearray(content(tmp_path, "wav"))
    wav[40:44] = struct.pack("<I", size)
    message = (
        rf"a\.wav: {40_000 - size} bytes follow the end that the header names, and are no audio file; copy it again"
    )
    with pytest.raises(AudioError, match=message):
        read(tmp_path, "a.wav", bytes(wav))


_odd: Callable[[bytes], bytes] = lambda wav: wav[:40] + struct.pack("<I", 40_001) + wav[44:] + b"\7"  # noqa: E731


@pytest.mark.parametrize(
    "change",
    [
        lambda wav: wav + LIST, lambda wav: wav + LIST[:12], lambda wav: wav + b"wxyz" + struct.pack("<I", 4) + b"1234",
        _odd, lambda wav: _odd(wav) + b"\0" + LIST, lambda wav: _odd(wav) + LIST, lambda wav: wav + b"\0",
    ],
    ids=["chunk", "cut chunk", "unknown chunk", "odd size", "odd size, padded", "odd size, not padded", "one byte"],
)  # fmt: skip
def test_chunks_behind_the_samples_and_odd_sizes_change_nothing(
    change: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    wav = content(tmp_path, "wav")
    assert np.array_equal(read(tmp_path, "b.wav", change(wav)), read(tmp_path, "a.wav", wav))


@pytest.mark.parametrize("rest", [b"", LIST])
def test_a_wav_without_samples_is_not_one_of_unknown_length(rest: bytes, tmp_path: Path) -> None:
    wav = content(tmp_path, "wav")
    with pytest.raises(AudioError, match=r"a\.wav: the file holds no samples"):
        read(tmp_path, "a.wav", wav[:40] + bytes(4) + rest)


def test_a_stream_of_more_than_four_gigabytes_is_read(tmp_path: Path) -> None:
    wav = content(tmp_path, "wav", 8)
    for size in (0, 0xFFFFFFFF):
        with (tmp_path / "long.wav").open("wb") as file:
            file.write(wav[:40] + struct.pack("<I", size) + wav[44:])
            file.truncate((1 << 32) + 1000)  # takes no room on the disk
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VOCABLE_AUDIO_LIMITS", "max_hours=100")
            assert header_seconds(tmp_path / "long.wav") == ((1 << 32) + 1000 - 44) // 2 / 16_000
        with pytest.raises(AudioError, match=r"long\.wav: the recording is 37\.3 h long, the limit is 24"):
            header_seconds(tmp_path / "long.wav")


def test_flac_streams_without_lengths_are_read_one_after_the_other(tmp_path: Path) -> None:
    content(tmp_path, "flac")
    forget_length(tmp_path / "made.flac")
    data = (tmp_path / "made.flac").read_bytes()
    assert read(tmp_path, "a.flac", data + content(tmp_path, "flac", 5_000)).size == 25_000


@pytest.mark.parametrize(
    "begin", [b"RIFF\0\0\0\0WAVE", b"FORM\0\0\0\0AIFF", b"caff\0\1\0\0", b"RF64\xff\xff\xff\xffWAVE"]
)
@pytest.mark.parametrize("chunk", [bytes(8), b"abcd\0\0\0\0", b"LIST\0\0\0\0"])
def test_a_file_of_tiny_chunks_takes_no_long_time(begin: bytes, chunk: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(begin + chunk * 2_000_000)
    with pytest.raises(AudioError, match=r"a\.wav: "):
        Audio.read(tmp_path / "a.wav")


def test_a_file_of_too_many_recordings_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vocable.audio_files.parts._MAX_PARTS", 20)
    with pytest.raises(AudioError, match=r"a\.wav: holds more than 20 recordings; write them to files of their own"):
        read(tmp_path, "a.wav", content(tmp_path, "wav", 10) * 21)
    assert read(tmp_path, "b.wav", content(tmp_path, "wav", 10) * 20).size == 200


@pytest.mark.parametrize("size", [5, 100, 287])
def test_an_mp3_cut_within_its_first_frame_is_named(size: int, tmp_path: Path) -> None:
    data = content(tmp_path, "mp3")
    with pytest.raises(AudioError, match=r"a\.mp3: the file is truncated in its first MP3 frame"):
        read(tmp_path, "a.mp3", data[data.index(b"\xff") :][:size])
