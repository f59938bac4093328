"""Token files: their layout, and the records that their headers hold.

A token file holds one batch of tokens:

```text
bytes           contents
0 … 7           magic: 89 56 4F 43 54 4F 4B 0A
8 … 9           version, unsigned little-endian: 2, or 3 where voices are quantized; vocable 0.1 wrote 1
10 … 13         H, length of the header, unsigned little-endian
14 … 13 + H     header: UTF-8 JSON (see ``Header``): spec, tokenizer digest, and each clip's frames, samples, text;
                from version 2 on, where it is known, also the provenance (see ``Provenance``);
                in version 3 also the levels of the voices
                ids, bit-packed: clip after clip, frame after frame, level after level, each in
                ceil(log2 K) bits, least significant bit first; the last byte filled with zeros
                voices, if the header gives a voice width V: V little-endian float32 for each clip; with
                voice levels L, V places among -4 … 4 in ceil(log2 L) bits each, least significant bit first,
                each clip's last byte filled with zeros
last 4          CRC-32 of all bytes before, unsigned little-endian
```
"""

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from math import log2
from typing import Annotated

from jaxtyping import Int32, Integer
from numpy import ndarray
from pydantic import Field

from vocable.arguments import check_value
from vocable.bit_packing import bits_per_id, pack_ids, unpack_ids
from vocable.errors import ConfigError, SpecError, TokenFileError
from vocable.schema import LATER, config, parse, to_bytes, to_json
from vocable.voices import MAX_LEVELS, voice_bits

MAGIC = b"\x89VOCTOK\n"
VERSION = 3
_PREFIX = struct.Struct("<8sHI")

VoiceLevels = Annotated[int | None, Field(ge=2, le=MAX_LEVELS), LATER]
"""Number of levels of each dimension of a voice vector; None for float32."""
Setting = Annotated[str, Field(max_length=1_000)] | int | bool | float | None
"""Value of a setting that tokens were made with: a JSON scalar."""


@dataclass(frozen=True, kw_only=True)
class TokenSpec:
    """Specification of tokens: the time that a frame covers, and the size and number of codebooks.

    Attributes:
        sample_rate: Sample rate of the speech in Hz.
        hop: Samples that a frame covers; None where frames have no fixed duration, as with one token for each subword.
        codebook_size: Number of entries K of each codebook.
        num_codebooks: Number of codebooks Q, which is the number of ids of a frame.

    Raises:
        SpecError: If a value is out of range, or a rate is asked of tokens without a fixed frame rate.

    Example:
        >>> spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=1024, num_codebooks=8)
        >>> spec.frame_rate, spec.token_rate, spec.bit_rate
        (50.0, 400.0, 4000.0)
    """

    sample_rate: int
    hop: int | None
    codebook_size: int
    num_codebooks: int = 1

    def __post_init__(self) -> None:
        limits = {"sample_rate": 768_000, "hop": 1 << 24, "codebook_size": 1 << 24, "num_codebooks": 1024}
        for name, most in limits.items():
            value = getattr(self, name)
            check_value(f"TokenSpec: {name}", value, int | None if name == "hop" else int)
            if not (1 <= value <= most if value is not None else name == "hop"):
                raise SpecError(f"{name} is {value}: it must be between 1 and {most}")

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        if self.hop is None:
            raise SpecError("frame_rate: these tokens do not follow the clock; count the frames instead")
        return self.sample_rate / self.hop

    @property
    def token_rate(self) -> float:
        """Tokens per second: frame rate times number of codebooks."""
        return self.frame_rate * self.num_codebooks

    @property
    def bits_per_frame(self) -> float:
        """Maximum information in one frame, in bits."""
        return self.num_codebooks * log2(self.codebook_size)

    @property
    def bit_rate(self) -> float:
        """Maximum bits per second of the ids alone. ``tokenizer.format.bit_rate`` counts voices and texts, too."""
        return self.frame_rate * self.bits_per_frame


@config
class Provenance:
    """Origin of tokens, as far as it is known. Nothing is decided by it: the digest says which tokenizer made them.

    Attributes:
        model: Name of the model that made the tokens: a hint for people, and for the search of the model.
        source: SHA-256 of the audio file that was encoded, in hexadecimal digits.
        settings: Settings that the source was encoded with, such as ``{"levels": 4}``.

    Raises:
        ConfigError: If a name has control characters or slashes, a digest is none, or there are over 32 settings.
    """

    model: Annotated[str, Field(pattern=r"^\w[\w.+ -]{0,99}$")] | None = None
    source: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    settings: Annotated[Mapping[Annotated[str, Field(pattern=r"^\w{1,64}$")], Setting], Field(max_length=32)] = field(
        default_factory=dict
    )


@config
class ClipHeader:
    """Frames, samples and transcript of one clip."""

    frames: Annotated[int, Field(ge=0, lt=1 << 40)]
    samples: Annotated[int, Field(ge=0, lt=1 << 50)]
    text: str | None = None


@config
class HeaderV1:
    """JSON header of a token file of version 1. Every key is required, except that ``text`` may be missing."""

    sample_rate: int
    hop: int | None
    codebook_size: int
    num_codebooks: int
    tokenizer: str
    voice_width: Annotated[int, Field(ge=0, lt=1 << 20)]
    clips: tuple[ClipHeader, ...]

    @property
    def spec(self) -> TokenSpec:
        """Specification of the tokens; a SpecError if a value is out of range."""
        return TokenSpec(**{name.name: getattr(self, name.name) for name in fields(TokenSpec)})


@config
class HeaderV2(HeaderV1):
    """JSON header of a token file of version 2. The provenance may be missing."""

    provenance: Provenance = field(default_factory=Provenance)


@config
class Header(HeaderV2):
    """JSON header of a token file of version 3. Without levels of the voice, it is written as version 2."""

    voice_levels: VoiceLevels = None

    def __post_init__(self) -> None:
        check_levels(self.voice_width, self.voice_levels)

    @property
    def version(self) -> int:
        """Version of a file with this header."""
        return 2 if self.voice_levels is None else VERSION

    @property
    def voice_bytes(self) -> int:
        """Number of bytes of the voices of all clips."""
        return voice_bits(self.voice_width, self.voice_levels) // 8 * len(self.clips)


_HEADERS: Mapping[int, type[HeaderV1]] = {1: HeaderV1, 2: HeaderV2, VERSION: Header}


def check_levels(voice_width: int, voice_levels: int | None) -> None:
    """Raise a ConfigError if a header gives levels of voices, but no voices."""
    if voice_levels is not None and not voice_width:
        raise ConfigError(f"voice_levels is {voice_levels}, but voice_width is 0")


def seal(header: Header, ids: Iterable[Integer[ndarray, "N Q"]], voices: bytes) -> bytes:
    """Return the bytes of a token file.

    Args:
        header: Header; an empty provenance, and what is empty in one, takes no bytes.
        ids: Ids of each clip, of shape (N, Q).
        voices: Voice vectors of all clips; see :func:`vocable.voices.pack_voices`.
    """
    values = to_json(header)
    known = {name: value for name, value in values.pop("provenance").items() if value}
    text = to_bytes(values | {"provenance": known} if known else values)
    body = (
        _PREFIX.pack(MAGIC, header.version, len(text))
        + text
        + pack_ids(ids, bits_per_id(header.codebook_size))
        + voices
    )
    return body + struct.pack("<I", zlib.crc32(body))


def unseal(data: bytes) -> tuple[Header, Int32[ndarray, " M"], bytes]:
    """Return the header, the ids and the bytes of the voices of a token file; see :func:`seal`.

    Raises:
        TokenFileError: If the bytes are no token file, of another version, truncated or altered.
    """
    header, spec, payload = _read_header(data)
    count, bits = sum(clip.frames for clip in header.clips) * spec.num_codebooks, bits_per_id(spec.codebook_size)
    id_bytes = -(-count * bits // 8)
    expected = id_bytes + header.voice_bytes
    if len(payload) != expected:
        raise TokenFileError(
            f"the header promises {expected} bytes of ids and voices, {len(payload)} are there; make the file again"
        )
    return header, unpack_ids(payload[:id_bytes], count, bits), payload[id_bytes:]


def _read_header(data: bytes) -> tuple[Header, TokenSpec, bytes]:
    """Return the header, its spec, and the packed ids and voices."""
    if len(data) < _PREFIX.size + 4 or not data.startswith(MAGIC):
        if data and MAGIC.startswith(data[: len(MAGIC)]):
            raise TokenFileError("the token file is truncated; copy or make it again")
        raise TokenFileError("this is not a token file: `vocable encode` makes them")
    _, version, header_size = _PREFIX.unpack_from(data)
    if version not in _HEADERS:
        raise TokenFileError(
            f"the token file is of version {version}, this vocable reads 1 to {VERSION}; install another version of "
            "vocable"
        )
    body, (checksum,) = data[:-4], struct.unpack("<I", data[-4:])
    if zlib.crc32(body) != checksum:
        raise TokenFileError("the token file is truncated or altered (wrong checksum); copy or make it again")
    start = _PREFIX.size + header_size
    if start > len(body):
        raise TokenFileError(f"the header promises {header_size} bytes of itself; make the file again")
    text = body[_PREFIX.size : start]
    try:
        header = Header(**vars(parse(_HEADERS[version], text, "")))
        if version > header.version:
            raise ConfigError(f"version {version} without voice_levels")
        spec = header.spec
    except (ConfigError, SpecError) as error:
        raise TokenFileError(f"the header is not valid ({error}); make the file again") from error
    return header, spec, body[start:]
