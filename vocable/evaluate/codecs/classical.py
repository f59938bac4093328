"""Opus, Speex and Codec2, through the command-line tools of their projects.

Each one reads 16-bit samples from a pipe and returns them without its delay. ``opusdec`` and ``speexdec`` remove their
own (RFC 7845, section 4.2; the decoder's look-ahead); Codec2's is removed here. Bits are counted in the bytes that the
encoder wrote.
"""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError, MissingDependencyError
from vocable.evaluate.codecs.base import Coded, Kind, from_pcm, match_clip, to_pcm

_RATE = 16_000  # Hz, of wide-band speech
_HEADERS = 2  # packets of an Ogg stream before the speech: identification and comments


@dataclass(frozen=True)
class Opus:
    """Opus at a constant bit rate, by ``opusenc`` and ``opusdec``.

    Attributes:
        kilobits: Bit rate in kbit/s, 6 to 256.

    Source:
        RFC 6716 (codec), RFC 7845 (Ogg).
    """

    kilobits: float = 6.0
    kind: ClassVar[Kind] = "codec"
    family: ClassVar[str] = "Opus"

    def __post_init__(self) -> None:
        if not 6 <= self.kilobits <= 256:
            raise ConfigError(f"Opus at {self.kilobits:g} kbit/s: it works from 6 to 256")
        require_commands(("opusenc", "opusdec"), "opus-tools")
        tool_version("opusenc")

    @property
    def name(self) -> str:
        """Name with the bit rate, such as ``Opus 6k``."""
        return f"Opus {self.kilobits:g}k"

    @property
    def note(self) -> str:
        """Version and settings, in one line."""
        return f"constant bit rate, 20 ms frames, {tool_version('opusenc')}"

    def code(self, clip: Audio, key: str) -> Coded:
        """Code and decode a clip."""
        coded = pipe(
            to_pcm(clip, _RATE),
            "opusenc", "--quiet", "--hard-cbr", "--bitrate", f"{self.kilobits:g}",
            "--raw", "--raw-rate", str(_RATE), "--raw-chan", "1", "-", "-",
        )  # fmt: skip
        # floats, because 16-bit samples would be dithered
        decoded = pipe(coded, "opusdec", "--quiet", "--rate", str(_RATE), "--float", "-", "-")
        return _from_ogg(clip, np.frombuffer(decoded, dtype="<f4").astype(np.float32), coded)


@dataclass(frozen=True)
class Speex:
    """Speex wide band at a constant quality, by ``speexenc`` and ``speexdec``.

    Attributes:
        quality: Quality from 0 to 10; 1 is 6 kbit/s, 2 is 8, 4 is 12.8.

    Source:
        J.-M. Valin, The Speex Codec Manual, version 1.2.
    """

    quality: int = 1
    kind: ClassVar[Kind] = "codec"
    family: ClassVar[str] = "Speex WB"

    def __post_init__(self) -> None:
        if self.quality not in range(11):
            raise ConfigError(f"Speex of quality {self.quality}: there are 0 to 10")
        require_commands(("speexenc", "speexdec"), "speex")
        tool_version("speexenc")

    @property
    def name(self) -> str:
        """Name with the quality, such as ``Speex WB q1``."""
        return f"Speex WB q{self.quality}"

    @property
    def note(self) -> str:
        """Version and settings, in one line."""
        return f"wide band, quality {self.quality}, constant bit rate, {tool_version('speexenc')}"

    def code(self, clip: Audio, key: str) -> Coded:
        """Code and decode a clip."""
        coded = pipe(
            to_pcm(clip, _RATE, frame=320),  # speexenc refuses less than 12 bytes
            "speexenc", "--wideband", "--quality", str(self.quality), "--rate", str(_RATE), "--16bit", "--le", "-", "-",
        )  # fmt: skip
        return _from_ogg(clip, from_pcm(pipe(coded, "speexdec", "-", "-")), coded)


def _from_ogg(clip: Audio, decoded: np.ndarray, coded: bytes) -> Coded:
    """Count the bits of the speech packets of an Ogg file, and those around them."""
    payload = 8 * sum(ogg_packets(coded)[_HEADERS:])
    return Coded(audio=match_clip(clip, decoded, _RATE), payload_bits=payload, container_bits=8 * len(coded) - payload)


@dataclass(frozen=True)
class _Mode:
    """A mode of Codec2: samples (at 8 kHz) and bits of a frame, and the delay in samples.

    The delay is half of the 40 ms in which the encoder searches the pitch (``codec2.c``: the middle of the window);
    700C, which interpolates spectra of 40 ms, is one step of 10 ms later (``newamp1_interpolate``).
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
        mode: Mode, named by its bit rate: 3200, 2400, 1300 or 700C.

    Source:
        D. Rowe, https://github.com/drowe67/codec2.
    """

    mode: str = "3200"
    kind: ClassVar[Kind] = "codec"
    family: ClassVar[str] = "Codec2"

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise ConfigError(f"Codec2 has no mode '{self.mode}'; there are {', '.join(_MODES)}")
        require_commands(("c2enc", "c2dec"), "codec2")

    @property
    def name(self) -> str:
        """Name with the mode, such as ``Codec2 3200``."""
        return f"Codec2 {self.mode}"

    @property
    def note(self) -> str:
        """Settings, in one line; the tools have no version option."""
        return f"mode {self.mode} of c2enc, which tells no version; works at 8 kHz"

    def code(self, clip: Audio, key: str) -> Coded:
        """Code and decode a clip; bits that fill the last byte of a frame are the container's."""
        mode = _MODES[self.mode]
        pcm = to_pcm(clip, 8_000, frame=mode.samples, after=mode.delay)
        coded = pipe(pcm, "c2enc", self.mode, "-", "-")
        frames = len(pcm) // (2 * mode.samples)
        if len(coded) != frames * -(-mode.bits // 8):
            raise AudioError(f"c2enc wrote {len(coded)} bytes for {frames} frames; install another version")
        decoded = from_pcm(pipe(coded, "c2dec", self.mode, "-", "-"))[mode.delay :]
        payload = frames * mode.bits
        return Coded(
            audio=match_clip(clip, decoded, 8_000), payload_bits=payload, container_bits=8 * len(coded) - payload
        )


# ---- programs and formats --------------------------------------------------------------------------------------------


def require_commands(commands: Sequence[str], package: str) -> None:
    """Raise :class:`MissingDependencyError` with the Debian package if a program is not on the PATH."""
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        raise MissingDependencyError(f"needs {' and '.join(missing)} on the PATH (Debian: apt install {package})")


@cache
def tool_version(command: str) -> str:
    """Return the first line of a program's ``--version``; a program that fails counts as missing."""
    try:
        output = pipe(b"", command, "--version")
    except AudioError as error:
        raise MissingDependencyError(f"{error}; install it again") from error
    return output.decode(errors="replace").strip().splitlines()[0]


def pipe(data: bytes, *command: str) -> bytes:
    """Run a program with bytes as its input and return its output; no file is written, so that no name misleads it.

    Raises:
        AudioError: If it does not start, fails, or writes nothing.

    Example:
        >>> pipe(b"unchanged", "cat")
        b'unchanged'
    """
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False)  # no shell, fixed words  # noqa: S603
    except OSError as error:
        raise AudioError(f"{command[0]} does not start ({error.strerror})") from error
    if done.returncode or not done.stdout:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise AudioError(f"{command[0]} failed: {lines[-1] if lines else f'exit code {done.returncode}, no output'}")
    return done.stdout


def ogg_packets(data: bytes) -> list[int]:
    """Return the size in bytes of each packet of an Ogg file with one stream, without the pages around them.

    Raises:
        AudioError: If it is no Ogg file, or is truncated.

    Source:
        RFC 3533, section 6: a page is 27 bytes, a table of segment lengths, and the segments; a packet ends with the
        first segment shorter than 255 bytes.

    Example:
        >>> page = b"OggS" + bytes(22) + bytes([3, 255, 2, 7])
        >>> ogg_packets(page + bytes(264))
        [257, 7]
    """
    packets, size, at = [], 0, 0
    while at < len(data):
        table = data[at + 27 : at + 27 + data[at + 26]] if len(data) >= at + 27 else b""
        end = at + 27 + len(table) + sum(table)
        if data[at : at + 4] != b"OggS" or not table or end > len(data):
            raise AudioError(f"no whole Ogg page at byte {at}: the encoder's output is cut or of another format")
        for segment in table:
            size += segment
            if segment < 255:
                packets.append(size)
                size = 0
        at = end
    return packets
