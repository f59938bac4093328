"""M4A, MP4, WebM and others are read by PyAV, or refused with what to install and how to convert them."""

import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tests.audio.sounds import joined, tone
from vocable.audio import CONVERTIBLE_SUFFIXES, Audio, find_audio, header_seconds
from vocable.errors import AudioError
from vocable.testing import speechlike

FORMATS = {  # suffix: codec, sample rate, container where the suffix does not name it
    "m4a": ("aac", 48_000, None), "mp4": ("aac", 44_100, None), "webm": ("libopus", 48_000, None),
    "aac": ("aac", 16_000, "adts"), "3gp": ("aac", 16_000, "3gp"), "ac3": ("ac3", 48_000, None),
    "mov": ("pcm_s16le", 48_000, None), "mka": ("flac", 22_050, "matroska"), "tta": ("tta", 48_000, None),
    "wv": ("wavpack", 44_100, None),
}  # fmt: skip


def encode(path: Path, clip: Audio, *, stereo: bool = False, video: bool = False, faststart: bool = False) -> Path:
    codec, rate, container = FORMATS[path.suffix[1:]]
    layout = "stereo" if stereo else "mono"
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", format=container, options=options) as output:
        picture = output.add_stream("mpeg4", rate=25) if video else None
        stream = output.add_stream(codec, rate=rate, layout=layout)
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
            for packet in [*picture.encode(av.VideoFrame(64, 64, "yuv420p")), *picture.encode()]:
                output.mux(packet)
        samples = clip.resample(rate).samples
        frame = av.AudioFrame.from_ndarray(np.stack([samples] * (1 + stereo)), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        size = stream.codec_context.frame_size
        even = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate, frame_size=size or None)
        for part in [*even.resample(frame), *even.resample(None), None]:
            for packet in stream.encode(part):
                output.mux(packet)
    return path


CLIP = speechlike(48_000, 16_000, seed=3)


@pytest.mark.parametrize("suffix", FORMATS)
def test_other_formats_are_read(suffix: str, tmp_path: Path) -> None:
    path = encode(tmp_path / f"a.{suffix}", CLIP)
    clip, again = Audio.read(path), Audio.read(path, 16_000)
    assert clip.sample_rate == FORMATS[suffix][1]
    assert clip.duration == pytest.approx(3.0, abs=0.13)  # an encoder's delay and padding
    for seconds in (0.01, 0.5):
        assert np.array_equal(joined(path, 16_000, seconds), again.samples)
    lag = int(np.argmax(np.correlate(again.samples[: 16_000 + 3_000], CLIP.samples[:16_000], "valid")))
    assert np.corrcoef(again.samples[lag : lag + 40_000], CLIP.samples[:40_000])[0, 1] > 0.98


def test_the_sound_of_a_video_and_the_mean_of_its_channels_are_read(tmp_path: Path) -> None:
    path = encode(tmp_path / "film.mp4", CLIP, stereo=True, video=True)
    assert np.corrcoef(Audio.read(path, 16_000).samples[:40_000], CLIP.samples[:40_000])[0, 1] > 0.98


def test_the_contents_decide_and_not_the_suffix(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", CLIP).rename(tmp_path / "a.wav")
    assert Audio.read(path).sample_rate == 48_000
    CLIP.write(tmp_path / "b.wav")
    (tmp_path / "b.wav").rename(tmp_path / "b.m4a")
    assert np.abs(Audio.read(tmp_path / "b.m4a").samples - CLIP.samples).max() < 1e-4


@pytest.mark.parametrize("suffix", ["m4a", "mp4", "webm", "mov", "mka", "tta"])
@pytest.mark.parametrize("share", [0.02, 0.4, 0.8])
def test_a_cut_file_is_named(suffix: str, share: float, tmp_path: Path) -> None:
    path = encode(tmp_path / f"a.{suffix}", CLIP, faststart=suffix in ("m4a", "mp4", "mov"))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(
        AudioError, match=rf"a\.{suffix}: (the file is truncated after|cannot be read as audio|the file holds no)"
    ):
        Audio.read(path)


@pytest.mark.parametrize("suffix", sorted(CONVERTIBLE_SUFFIXES))
def test_what_is_no_recording_is_named(suffix: str, tmp_path: Path) -> None:
    for content in (b"", b"some words\n" * 100, np.random.default_rng(0).bytes(5_000)):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content)
        with pytest.raises(AudioError, match=rf"a\{suffix}: "):
            Audio.read(path)


def test_a_video_without_sound_is_named(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "silent.mp4"), "w") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for packet in [*stream.encode(av.VideoFrame(64, 64, "yuv420p")), *stream.encode()]:
            output.mux(packet)
    with pytest.raises(AudioError, match=r"silent\.mp4: the file has no sound; leave it out"):
        Audio.read(tmp_path / "silent.mp4")


@pytest.mark.parametrize("name", ["a talk.m4a", "b.webm", "c.mp4", "d.wma", "e.aac"])
def test_without_pyav_the_message_says_what_to_install_and_how_to_convert(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / name
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    with pytest.raises(AudioError) as caught:
        Audio.read(path)
    quoted = f"'{path}'" if " " in name else str(path)
    advice = f"{path}: {path.suffix} files need PyAV; run pip install 'vocable[av]', or convert the file: "
    assert str(caught.value).startswith(advice)
    assert f"ffmpeg -i {quoted} " in str(caught.value)
    CLIP.write(tmp_path / "z.wav")
    assert Audio.read(tmp_path / "z.wav").duration == 3.0
    assert len(find_audio([tmp_path])) == 2


def test_a_tone_keeps_its_level_and_its_length_in_the_header(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.webm", Audio(tone(440, 48_000, 2.0), 48_000))
    assert header_seconds(path) == pytest.approx(2.0, abs=0.05)
    assert np.abs(Audio.read(path).samples[4_800:90_000]).max() == pytest.approx(0.5, abs=0.02)
