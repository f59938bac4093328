"""AMR-WB, the wide-band codec of telephones, by the two libraries that Debian has for it."""

import ctypes
from ctypes.util import find_library
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError, MissingDependencyError
from vocable.evaluate.codecs.base import Coded, Kind, from_pcm, like, to_pcm

_RATE = 16_000  # Hz
_FRAME = 320  # samples, 20 ms
_DELAY = 95  # samples: 5 ms of look-ahead and 15 of resampling to 12.8 kHz and back; 94.6 to 95.0 on real speech
_MODES = {
    6.6: (0, 132), 8.85: (1, 177), 12.65: (2, 253), 14.25: (3, 285), 15.85: (4, 317),
    18.25: (5, 365), 19.85: (6, 397), 23.05: (7, 461), 23.85: (8, 477),
}  # fmt: skip  # kbit/s: number of the mode, bits of a frame


@dataclass(frozen=True)
class AmrWb:
    """AMR-WB, by VisualOn's encoder and OpenCORE's decoder.

    The payload is the speech bits of each frame; the container is the byte before it, which tells its mode, and the
    bits that fill its last byte (RFC 4867, section 5.3).

    Attributes:
        kilobits: A second: 6.6, 8.85, 12.65, 14.25, 15.85, 18.25, 19.85, 23.05 or 23.85.

    Raises:
        ConfigError: There is no such mode.
        MissingDependencyError: The libraries are not there.

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
        _libraries()

    @property
    def name(self) -> str:
        """With the bit rate: ``AMR-WB 6.6k``."""
        return f"AMR-WB {self.kilobits:g}k"

    @property
    def note(self) -> str:
        """Settings; the libraries tell no version beyond that of their interface."""
        names = " and ".join(find_library(name) or name for name in _LIBRARIES)
        return f"{self.kilobits:g} kbit/s in every frame, {names}"

    def code(self, clip: Audio, key: str) -> Coded:
        """Code and decode.

        Raises:
            AudioError: The encoder refuses a frame.
        """
        mode, bits = _MODES[self.kilobits]
        frames = _encode(to_pcm(clip, _RATE, frame=_FRAME, after=_DELAY), mode)
        made = from_pcm(_decode(frames))[_DELAY:]
        payload = bits * len(frames)
        container = 8 * sum(len(frame) for frame in frames) - payload
        return Coded(audio=like(clip, made, _RATE), payload_bits=payload, container_bits=container)


_LIBRARIES = {"vo-amrwbenc": "libvo-amrwbenc0", "opencore-amrwb": "libopencore-amrwb0"}  # name: Debian package


@cache
def _libraries() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    """The encoder's and the decoder's."""
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
    for leave in (encoder.E_IF_exit, decoder.D_IF_exit):
        leave.argtypes, leave.restype = [ctypes.c_void_p], None
    return encoder, decoder


def _encode(sound: bytes, mode: int) -> list[bytes]:
    """Frames, each with the byte that tells its mode."""
    encoder, _ = _libraries()
    state = encoder.E_IF_init()
    frames = []
    try:
        out = ctypes.create_string_buffer(64)
        for at in range(0, len(sound), 2 * _FRAME):
            size = encoder.E_IF_encode(state, mode, sound[at : at + 2 * _FRAME], out, 0)
            wanted = 1 + -(-_bits(mode) // 8)
            if size != wanted:
                raise AudioError(f"libvo-amrwbenc made {size} bytes of the frame at {at // 2}: {wanted} are wanted")
            frames.append(out.raw[:size])
    finally:
        encoder.E_IF_exit(state)
    return frames


def _decode(frames: list[bytes]) -> bytes:
    """16-bit samples of all frames."""
    _, decoder = _libraries()
    state = decoder.D_IF_init()
    try:
        out = ctypes.create_string_buffer(2 * _FRAME)
        made = []
        for frame in frames:
            decoder.D_IF_decode(state, frame, out, 0)
            made.append(out.raw)
    finally:
        decoder.D_IF_exit(state)
    return b"".join(made)


def _bits(mode: int) -> int:
    return next(bits for number, bits in _MODES.values() if number == mode)
