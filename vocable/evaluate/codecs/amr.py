"""AMR-WB, the wide-band codec of telephones, through the two libraries that Debian has for it."""

import ctypes
from ctypes.util import find_library
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError, MissingDependencyError
from vocable.evaluate.codecs.base import Coded, Kind, from_pcm, match_clip, to_pcm

_RATE = 16_000  # Hz
_FRAME = 320  # samples, 20 ms
_DELAY = 95  # samples: 5 ms of look-ahead and 15 of resampling to 12.8 kHz and back; 94.6 to 95.0 on real speech
_MODES = {
    6.6: (0, 132), 8.85: (1, 177), 12.65: (2, 253), 14.25: (3, 285), 15.85: (4, 317),
    18.25: (5, 365), 19.85: (6, 397), 23.05: (7, 461), 23.85: (8, 477),
}  # fmt: skip  # by bit rate in kbit/s: number of the mode, bits of a frame


@dataclass(frozen=True)
class AmrWb:
    """AMR-WB, by VisualOn's encoder and OpenCORE's decoder.

    The payload is the speech bits of each frame. The container is the byte before it, which holds its mode, and
    the bits that fill its last byte (RFC 4867, section 5.3).

    Attributes:
        kilobits: Bit rate in kbit/s: 6.6, 8.85, 12.65, 14.25, 15.85, 18.25, 19.85, 23.05 or 23.85.

    Source:
        3GPP TS 26.190 (codec), TS 26.201 table 2 (bits of a frame).
    """

    kilobits: float = 6.6
    kind: ClassVar[Kind] = "codec"
    family: ClassVar[str] = "AMR-WB"

    def __post_init__(self) -> None:
        if self.kilobits not in _MODES:
            known = ", ".join(f"{rate:g}" for rate in _MODES)
            raise ConfigError(f"AMR-WB at {self.kilobits:g} kbit/s: there are {known}")
        _load_libraries()

    @property
    def name(self) -> str:
        """Name with the bit rate, such as ``AMR-WB 6.6k``."""
        return f"AMR-WB {self.kilobits:g}k"

    @property
    def note(self) -> str:
        """Settings, in one line; the libraries have no version beyond that of their interface."""
        names = " and ".join(find_library(name) or name for name in _LIBRARIES)
        return f"{self.kilobits:g} kbit/s in every frame, {names}"

    def code(self, clip: Audio, key: str) -> Coded:
        """Code and decode a clip."""
        mode, bits = _MODES[self.kilobits]
        frames = _encode(to_pcm(clip, _RATE, frame=_FRAME, after=_DELAY), mode)
        decoded = from_pcm(_decode(frames))[_DELAY:]
        payload = bits * len(frames)
        container = 8 * sum(len(frame) for frame in frames) - payload
        return Coded(audio=match_clip(clip, decoded, _RATE), payload_bits=payload, container_bits=container)


_LIBRARIES = {"vo-amrwbenc": "libvo-amrwbenc0", "opencore-amrwb": "libopencore-amrwb0"}  # Debian packages by name


@cache
def _load_libraries() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    """Load the libraries of the encoder and of the decoder."""
    found = []
    for name, package in _LIBRARIES.items():
        try:
            path = find_library(name)
            if path is None:
                raise MissingDependencyError(f"needs lib{name} (Debian: apt install {package})")
            found.append(ctypes.CDLL(path))
        except OSError as error:
            reason = " ".join(str(error).split())
            raise MissingDependencyError(f"{reason}; install it again (Debian: {package})") from error
    encoder, decoder = found
    for init in (encoder.E_IF_init, decoder.D_IF_init):
        init.argtypes, init.restype = [], ctypes.c_void_p
    encoder.E_IF_encode.argtypes = [
        ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int
    ]  # fmt: skip
    encoder.E_IF_encode.restype = ctypes.c_int
    decoder.D_IF_decode.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]
    decoder.D_IF_decode.restype = None
    for close in (encoder.E_IF_exit, decoder.D_IF_exit):
        close.argtypes, close.restype = [ctypes.c_void_p], None
    return encoder, decoder


def _encode(pcm: bytes, mode: int) -> list[bytes]:
    """Return the coded frames, each with the byte that holds its mode."""
    encoder, _ = _load_libraries()
    bits = next(bits for number, bits in _MODES.values() if number == mode)
    state = encoder.E_IF_init()
    frames = []
    try:
        out = ctypes.create_string_buffer(64)
        for at in range(0, len(pcm), 2 * _FRAME):
            size = encoder.E_IF_encode(state, mode, pcm[at : at + 2 * _FRAME], out, 0)
            expected = 1 + -(-bits // 8)
            if size != expected:
                raise AudioError(f"libvo-amrwbenc wrote {size} bytes for the frame at {at // 2}, not {expected}")
            frames.append(out.raw[:size])
    finally:
        encoder.E_IF_exit(state)
    return frames


def _decode(frames: list[bytes]) -> bytes:
    """Return the 16-bit samples of all frames."""
    _, decoder = _load_libraries()
    state = decoder.D_IF_init()
    try:
        out = ctypes.create_string_buffer(2 * _FRAME)
        decoded = []
        for frame in frames:
            decoder.D_IF_decode(state, frame, out, 0)
            decoded.append(out.raw)
    finally:
        decoder.D_IF_exit(state)
    return b"".join(decoded)
