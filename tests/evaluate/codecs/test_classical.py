"""Codecs of others through their tools: lengths, delays, bits, and tools that are missing or damaged."""

from pathlib import Path

import numpy as np
import pytest

from tests.evaluate.codecs.alignment import envelope_lateness, lateness
from tests.evaluate.codecs.machine import ready
from vocable.audio import Audio
from vocable.data.manifest import read_manifest
from vocable.errors import AudioError, ConfigError, MissingDependencyError
from vocable.evaluate.codecs import amr, classical
from vocable.evaluate.codecs.amr import AmrWb
from vocable.evaluate.codecs.base import from_pcm, match_clip, to_pcm
from vocable.evaluate.codecs.classical import Codec2, Opus, Speex
from vocable.testing import speechlike

EVERY = [
    *(("opus", Opus, rate) for rate in (6.0, 12.0)),
    *(("speex", Speex, quality) for quality in (1, 4)),
    *(("codec2", Codec2, mode) for mode in ("3200", "2400", "1300", "700C")),
    *(("amr-wb", AmrWb, rate) for rate in (6.6, 12.65, 23.85)),
]
TITLES = [f"{tool}-{setting}" for tool, _, setting in EVERY]


@pytest.fixture(scope="module")
def speech(speech_data: Path) -> list[Audio]:
    """Two seconds each of four readers."""
    utterances = read_manifest(speech_data / "read_librispeech" / "manifest.jsonl", "train")[:60:15]
    clips = [Audio.read(utterance.audio_path, 16_000) for utterance in utterances]
    return [Audio(clip.samples[16_000:48_000], 16_000) for clip in clips]


@pytest.mark.parametrize(("tool", "make", "setting"), EVERY, ids=TITLES)
def test_length_and_rate_are_the_clips(tool: str, make: type, setting: object) -> None:
    codec = ready(tool, make, setting)
    for samples, rate in ((1, 16_000), (319, 16_000), (321, 8_000), (4_411, 44_100), (16_000, 16_000)):
        coded = codec.code(speechlike(samples, rate, 1), "a.wav")
        assert (coded.audio.samples.size, coded.audio.sample_rate) == (samples, rate)


@pytest.mark.parametrize("rate", [6.0, 12.0])
def test_opus_comes_in_time(rate: float, speech: list[Audio]) -> None:
    codec = ready("opus", Opus, rate)
    late = [lateness(clip, codec.code(clip, "").audio) for clip in speech]
    assert abs(np.mean(late)) < 1.5  # a sample of this is libopus's own filter for speech


@pytest.mark.parametrize(("tool", "make", "setting"), [("speex", Speex, 8), ("amr-wb", AmrWb, 23.85)])
def test_the_waveform_comes_in_time(tool: str, make: type, setting: object, speech: list[Audio]) -> None:
    codec = ready(tool, make, setting)
    late = [lateness(clip, codec.code(clip, "").audio) for clip in speech]
    assert abs(np.mean(late)) < 0.5


@pytest.mark.parametrize("mode", ["3200", "2400", "1300", "700C"])
def test_the_vocoders_envelope_comes_in_time(mode: str, speech: list[Audio]) -> None:
    codec = ready("codec2", Codec2, mode)
    assert abs(envelope_lateness([(clip, codec.code(clip, "").audio) for clip in speech])) <= 3.0  # ms, of 20 to 30


def test_the_end_of_a_clip_is_not_lost(speech: list[Audio]) -> None:
    for codec in (ready("amr-wb", AmrWb, 23.85), ready("codec2", Codec2, "3200"), ready("speex", Speex, 8)):
        for samples in (32_000, 32_001, 32_319):
            loudest = max(range(0, 28_000, 500), key=lambda at: float(np.abs(speech[0].samples[at : at + 800]).sum()))
            clip = Audio(np.roll(speech[0].samples, samples - loudest - 800)[:samples], 16_000)
            end = codec.code(clip, "").audio.samples[-80:]
            assert np.abs(end).max() > 0.2 * np.abs(clip.samples[-80:]).max(), codec.name


@pytest.mark.parametrize(
    ("tool", "make", "setting", "bits", "frames"),
    [
        ("opus", Opus, 6.0, 120, 51), ("opus", Opus, 8.0, 160, 51),  # pre-skip of 312 at 48 kHz: 1 frame more
        ("speex", Speex, 1, 120, 51), ("speex", Speex, 4, 256, 51),
        ("codec2", Codec2, "3200", 64, 51), ("codec2", Codec2, "2400", 48, 51),
        ("codec2", Codec2, "1300", 52, 26), ("codec2", Codec2, "700C", 28, 26),
        ("amr-wb", AmrWb, 6.6, 132, 51), ("amr-wb", AmrWb, 8.85, 177, 51), ("amr-wb", AmrWb, 12.65, 253, 51),
    ],
)  # fmt: skip
def test_bits_are_counted_frame_by_frame(tool: str, make: type, setting: object, bits: int, frames: int) -> None:
    coded = ready(tool, make, setting).code(speechlike(16_000), "a.wav")
    assert coded.payload_bits == bits * frames


def test_the_container_is_told_apart() -> None:
    assert ready("codec2", Codec2, "3200").code(speechlike(16_000), "").container_bits == 0
    assert ready("codec2", Codec2, "1300").code(speechlike(16_000), "").container_bits == 26 * 4  # 52 bits in 7 bytes
    assert ready("amr-wb", AmrWb, 6.6).code(speechlike(16_000), "").container_bits == 51 * (8 + 4)  # mode; 132 in 17
    container = ready("opus", Opus, 6.0).code(speechlike(16_000), "").container_bits
    assert container is not None
    assert container > 8 * 800  # OpusHead, OpusTags and pages: more than the sound of a second


@pytest.mark.parametrize(("tool", "make", "setting"), EVERY, ids=TITLES)
def test_the_same_clip_gives_the_same_again_and_after_another(tool: str, make: type, setting: object) -> None:
    codec = ready(tool, make, setting)
    clip = speechlike(8_000, seed=3)
    first = codec.code(clip, "a.wav")
    codec.code(speechlike(9_000, seed=4), "b.wav")
    again = codec.code(clip, "../../-rf <x>\n.wav")
    assert np.array_equal(first.audio.samples, again.audio.samples)
    assert (first.payload_bits, first.container_bits) == (again.payload_bits, again.container_bits)


@pytest.mark.parametrize(
    ("make", "setting", "names"),
    [
        (Opus, 5.0, "6 to 256"), (Opus, float("nan"), "6 to 256"), (Speex, 11, "0 to 10"),
        (Codec2, "700", "3200, 2400, 1300, 700C"), (AmrWb, 7.0, "6.6, 8.85, 12.65"),
    ],
)  # fmt: skip
def test_a_setting_that_is_none_names_those_that_are(make: type, setting: object, names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        make(setting)


@pytest.mark.parametrize(
    ("make", "package"), [(Opus, "opus-tools"), (Speex, "speex"), (Codec2, "codec2")]
)  # fmt: skip
def test_a_missing_tool_names_its_package(make: type, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependencyError, match=f"^needs .* on the PATH .*apt install {package}\\)$"):
        make()


def test_a_missing_library_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amr, "find_library", lambda name: None)
    amr._load_libraries.cache_clear()
    with pytest.raises(MissingDependencyError, match="apt install libvo-amrwbenc0"):
        AmrWb()


def test_a_damaged_library_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "library.so").write_bytes(b"\x7fELF" + bytes(100))
    monkeypatch.setattr(amr, "find_library", lambda name: str(tmp_path / "library.so"))
    amr._load_libraries.cache_clear()
    with pytest.raises(MissingDependencyError, match=r"^[^\n]*install it again \(Debian: libvo-amrwbenc0\)$"):
        AmrWb()


def test_what_a_tool_says_when_it_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho first >&2\necho 'no memory' >&2\nexit 3\n")
    tool.chmod(0o755)
    with pytest.raises(AudioError, match=r"tool failed: no memory$"):
        classical.pipe(bytes(1 << 20), str(tool))  # it does not even read what it gets
    tool.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(AudioError, match=r"failed: exit code 0, no output$"):
        classical.pipe(b"", str(tool))
    tool.write_bytes(b"\x7fELF")
    with pytest.raises(AudioError, match=r"tool does not start \(Exec format error\)$"):
        classical.pipe(b"", str(tool))


@pytest.mark.parametrize("cut", [1, 26, 27, 30, 200])
def test_an_ogg_file_that_is_cut_is_refused(cut: int) -> None:
    page = b"OggS" + bytes(22) + bytes([2, 255, 7])
    whole = page + bytes(262)
    assert classical.ogg_packets(whole * 2) == [262, 262]
    with pytest.raises(AudioError, match="no whole Ogg page at byte 291"):
        classical.ogg_packets(whole + whole[:cut])


def test_a_packet_goes_on_over_pages() -> None:
    first = b"OggS" + bytes(22) + bytes([1, 255]) + bytes(255)
    second = b"OggS" + bytes(22) + bytes([2, 255, 3]) + bytes(258)
    assert classical.ogg_packets(first + second) == [513]


def test_pcm_keeps_full_scale_and_what_is_louder_is_clipped() -> None:
    clip = Audio(np.array([1, -1, 2, 0.5], dtype=np.float32), 16_000)
    assert np.allclose(from_pcm(to_pcm(clip, 16_000)), [1, -1, 1, 0.5], atol=2**-15)
    assert len(to_pcm(clip, 16_000, frame=320, after=95)) == 640
    with pytest.raises(AudioError, match="3 bytes came back"):
        from_pcm(bytes(3))


def test_what_a_codec_gives_too_much_is_cut_and_too_little_is_silence() -> None:
    clip = speechlike(1_000, 8_000)
    for size in (10, 1_999, 2_000, 2_500):
        made = match_clip(clip, np.full(size, 0.5, dtype=np.float32), 16_000)
        assert (made.samples.size, made.sample_rate) == (1_000, 8_000)
        assert not made.samples[-(-size // 2) :].any()
    with pytest.raises(AudioError, match="empty"):
        match_clip(clip, np.zeros(0, dtype=np.float32), 16_000)
