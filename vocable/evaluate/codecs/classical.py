"""Opus, Speex and Codec2, by the command-line tools of their projects.

Each is fed 16-bit samples through a pipe and gives them back without its delay: ``opusdec`` and ``speexdec`` remove
theirs (RFC 7845, section 4.2; the decoder's look-ahead), Codec2's is removed here. Bits are counted in the bytes that
the encoder wrote.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError
from vocable.evaluate.codecs.base import Coded, Kind, from_pcm, like, to_pcm
from vocable.evaluate.codecs.tools import need, ogg_packets, pipe, version

_RATE = 16_000  # Hz, of wide-band speech
_HEADERS = 2  # packets of an Ogg stream before the sound: what it is, and comments


@dataclass(frozen=True)
class Opus:
    """Opus at a constant bit rate, by ``opusenc`` and ``opusdec``.

    Attributes:
        kilobits: A second, 6 to 256.

    Raises:
        ConfigError: The bit rate is out of range.
        MissingDependencyError: The tools are not there.

    Source:
        RFC 6716 (codec), RFC 7845 (Ogg).
    """

    kilobits: float = 6.0
    kind: ClassVar[Kind] = "codec"
    family: ClassVar[str] = "Opus"

    def __post_init__(self) -> None:
        if not 6 <= self.kilobits <= 256:
            raise ConfigError(f"Opus at {self.kilobits:g} kbit/s: it works from 6 to 256")
        need(("opusenc", "opusdec"), "opus-tools")
        version("opusenc")

    @property
    def name(self) -> str:
        """With the bit rate: ``Opus 6k``."""
        return f"Opus {self.kilobits:g}k"

    @property
    def note(self) -> str:
        """Version and settings."""
        return f"constant bit rate, 20 ms frames, {version('opusenc')}"

    def code(self, clip: Audio, key: str) -> Coded:
        """Code and decode.

        Raises:
            AudioError: A tool fails.
        """
        coded = pipe(
            to_pcm(clip, _RATE),
            "opusenc", "--quiet", "--hard-cbr", "--bitrate", f"{self.kilobits:g}",
            "--raw", "--raw-rate", str(_RATE), "--raw-chan", "1", "-", "-",
        )  # fmt: skip
        # floats, as 16-bit samples would be dithered
        made = pipe(coded, "opusdec", "--quiet", "--rate", str(_RATE), "--float", "-", "-")
        return _from_ogg(clip, np.frombuffer(made, dtype="<f4").astype(np.float32), coded)


@dataclass(frozen=True)
class Speex:
    """Speex wide band at a constant quality, by ``speexenc`` and ``speexdec``.

    Attributes:
        quality: 0 to 10; 1 is 6 kbit/s, 2 is 8, 4 is 12.8.

    Raises:
        ConfigError: There is no such quality.
        MissingDependencyError: The tools are not there.

    Source:
        J.-M. Valin, The Speex Codec Manual, version 1.2.
    """

    quality: int = 1
    kind: ClassVar[Kind] = "codec"
    family: ClassVar[str] = "Speex WB"

    def __post_init__(self) -> None:
        if self.quality not in range(11):
            raise ConfigError(f"Speex of quality {self.quality}: there are 0 to 10")
        need(("speexenc", "speexdec"), "speex")
        version("speexenc")

    @property
    def name(self) -> str:
        """With the quality: ``Speex WB q1``."""
        return f"Speex WB q{self.quality}"

    @property
    def note(self) -> str:
        """Version and settings."""
        return f"wide band, quality {self.quality}, constant bit rate, {version('speexenc')}"

    def code(self, clip: Audio, key: str) -> Coded:
        """Code and decode.

        Raises:
            AudioError: A tool fails.
        """
        coded = pipe(
            to_pcm(clip, _RATE, frame=320),  # speexenc refuses less than 12 bytes; it fills the last frame itself
            "speexenc", "--wideband", "--quality", str(self.quality), "--rate", str(_RATE), "--16bit", "--le", "-", "-",
        )  # fmt: skip
        return _from_ogg(clip, from_pcm(pipe(coded, "speexdec", "-", "-")), coded)


def _from_ogg(clip: Audio, made: np.ndarray, coded: bytes) -> Coded:
    """Count what is sound in an Ogg file, and what is around it."""
    payload = 8 * sum(ogg_packets(coded)[_HEADERS:])
    return Coded(audio=like(clip, made, _RATE), payload_bits=payload, container_bits=8 * len(coded) - payload)


@dataclass(frozen=True)
class _Mode:
    """How a mode of Codec2 cuts the sound: samples at 8 kHz and bits of a frame, and its delay in samples.

    The delay is half of the 40 ms in which the encoder looks for the pitch (``codec2.c``: the middle of the window);
    700C, which goes from one spectrum of 40 ms to the next, is one step of 10 ms later (``newamp1_interpolate``).
    On real speech the envelopes agree best 150 to 156 samples late, and 244 for 700C.
    """

    samples: int
    bits: int
    delay: int


_MODES = {
    "3200": _Mode(160, 64, 160),
    "2400": _Mode(160, 48, 160),
    "1300": _Mode(320, 52, 160),
    "700C": _Mode(320, 28, 240),
}


@dataclass(frozen=True)
class Codec2:
    """Codec2, a vocoder at 8 kHz, by ``c2enc`` and ``c2dec``.

    Attributes:
        mode: Named for its bit rate: 3200, 2400, 1300 or 700C.

    Raises:
        ConfigError: There is no such mode.
        MissingDependencyError: The tools are not there.

    Source:
        D. Rowe, https://github.com/drowe67/codec2.
    """

    mode: str = "3200"
    kind: ClassVar[Kind] = "codec"
    family: ClassVar[str] = "Codec2"

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise ConfigError(f"Codec2 has no mode '{self.mode}'; there are {', '.join(_MODES)}")
        need(("c2enc", "c2dec"), "codec2")

    @property
    def name(self) -> str:
        """With the mode: ``Codec2 3200``."""
        return f"Codec2 {self.mode}"

    @property
    def note(self) -> str:
        """Settings; the tools tell no version."""
        return f"mode {self.mode} of c2enc, which tells no version; works at 8 kHz"

    def code(self, clip: Audio, key: str) -> Coded:
        """Code and decode; bits that fill the last byte of a frame are the container's.

        Raises:
            AudioError: A tool fails.
        """
        mode = _MODES[self.mode]
        sound = to_pcm(clip, 8_000, frame=mode.samples, after=mode.delay)
        coded = pipe(sound, "c2enc", self.mode, "-", "-")
        frames = len(sound) // (2 * mode.samples)
        if len(coded) != frames * -(-mode.bits // 8):
            raise AudioError(f"c2enc made {len(coded)} bytes of {frames} frames: this c2enc works otherwise")
        made = from_pcm(pipe(coded, "c2dec", self.mode, "-", "-"))[mode.delay :]
        payload = frames * mode.bits
        return Coded(audio=like(clip, made, 8_000), payload_bits=payload, container_bits=8 * len(coded) - payload)
