"""Token shards: files with the tokens of many recordings, which are read through a memory map.

```text
bytes            contents
0 … 19           prefix: magic 89 56 4F 43 53 48 44 0A; version as uint16: 1, or 2 where voices are quantized; zero as
                 uint16; H, length of the head, as uint32; CRC-32 of the head as uint32
20 … 19 + H      head: J, length of the JSON header, as uint32; the header (see ``ShardHeader``); then 16 bytes for
                 each row: frames as uint32, length of its metadata as uint32, samples as uint64
                 blocks, one behind the other, each of consecutive rows (see ``BlockHeader``)
                 head, again
last 20          prefix, again
```

A block holds the rows' ids, then each row's voice vector, then each row's metadata as JSON in UTF-8. The ids of a row
lie frame after frame, level after level, each in ceil(log2 K) bits, least significant bit first. They are padded with
zero ids to a multiple of 8 ids, so that each row begins at a whole byte. A voice vector is V float32, or with voice
levels what :func:`vocable.voices.pack_voices` returns. Numbers are little-endian.

A head that is damaged is read from the other end. Each block has a checksum, so damage elsewhere costs its block alone.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from pydantic import Field

from vocable.bit_packing import bits_per_id
from vocable.errors import ConfigError, SpecError, TokenFileError
from vocable.schema import config, parse, to_bytes
from vocable.token_file import Setting, TokenSpec, VoiceLevels, check_levels
from vocable.voices import voice_bits

SUFFIX = ".shard"
MAGIC = b"\x89VOCSHD\n"
VERSION = 2
PREFIX = struct.Struct("<8sHHII")
ROW = np.dtype([("frames", "<u4"), ("metadata", "<u4"), ("samples", "<u8")])


@config
class BlockHeader:
    """Size and checksum of a block.

    Attributes:
        size: Length in bytes.
        rows: Number of rows.
        crc32: CRC-32 of its bytes.
        failed: Whether its rows are recordings that could not be encoded: they have no ids and no voice.
    """

    size: Annotated[int, Field(ge=0, lt=1 << 50)]
    rows: Annotated[int, Field(ge=1, lt=1 << 31)]
    crc32: Annotated[int, Field(ge=0, lt=1 << 32)]
    failed: bool = False


@config
class ShardHeader:
    """JSON header of a shard.

    Attributes:
        sample_rate, hop, codebook_size, num_codebooks: See :class:`~vocable.tokens.TokenSpec`.
        tokenizer: Digest of the tokenizer.
        model: Name of the tokenizer, if known.
        settings: Settings of the encoding, such as ``{"levels": 4}``.
        voice_width: Dimension V of the voice vectors; 0 if there are none.
        voice_levels: Number of levels of each dimension of the voice vectors; None for float32.
        blocks: Blocks in the order of their rows.
    """

    sample_rate: int
    hop: int | None
    codebook_size: int
    num_codebooks: int
    tokenizer: str
    model: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)
    voice_width: Annotated[int, Field(ge=0, lt=1 << 20)] = 0
    voice_levels: VoiceLevels = None
    blocks: tuple[BlockHeader, ...] = ()

    def __post_init__(self) -> None:
        check_levels(self.voice_width, self.voice_levels)

    @property
    def spec(self) -> TokenSpec:
        """Specification of the tokens; a SpecError if a value is out of range."""
        return TokenSpec(**{name.name: getattr(self, name.name) for name in fields(TokenSpec)})

    @property
    def voice_bytes(self) -> int:
        """Number of bytes of a row's voice."""
        return voice_bits(self.voice_width, self.voice_levels) // 8

    @property
    def version(self) -> int:
        """Version of a shard with this header."""
        return 1 if self.voice_levels is None else VERSION


@config
class ShardRow:
    """Metadata of a row.

    Attributes:
        id: Path of the recording below its root, or name of the archive and key in it; unique in a corpus.
        audio: SHA-256 of the recording's file in hexadecimal digits.
        text: Transcript, if known.
        speaker: Name of the speaker, if known.
        split: Part of the corpus, such as ``train``, if known.
        extra: Other keys of the manifest's line.
    """

    id: str
    audio: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    text: str | None = None
    speaker: str | None = None
    split: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@config
class FailedRow(ShardRow):
    """Metadata of a recording that could not be encoded.

    Attributes:
        kind: Class of the error, such as ``AudioError``.
        reason: Message of the error.
    """

    kind: str
    reason: str


def read_head(path: Path, data: Any) -> tuple[ShardHeader, Any]:
    """Return the header and the table of rows of a shard, from whichever end has them.

    Args:
        path: Path of the file, for messages.
        data: Contents of the file, as bytes or a memory map.

    Raises:
        TokenFileError: If the file is no shard or of another version, or if both heads are damaged.
    """
    problems = []
    for is_last in (False, True):
        try:
            return _read_head(data, is_last)
        except TokenFileError as error:
            problems.append(error)
    raise TokenFileError(f"{path}: {problems[0]}") from problems[0]


def damaged_heads(data: Any) -> list[str]:
    """Return which copies of the head are damaged: ``first``, ``last``, both or none."""
    found = []
    for end in ("first", "last"):
        try:
            _read_head(data, end == "last")
        except TokenFileError:
            found.append(end)
    return found


def pack_head(header: ShardHeader, table: Any) -> tuple[bytes, bytes]:
    """Return the bytes of a prefix and of the head that follows it; see the top of this module."""
    text = to_bytes(header)
    head = struct.pack("<I", len(text)) + text + table.tobytes()
    return PREFIX.pack(MAGIC, header.version, 0, len(head), zlib.crc32(head)), head


def layout(frames: Int64[ndarray, " R"], spec: TokenSpec) -> tuple[Int64[ndarray, " R"], int]:
    """Return the place of each row's first id in a block, and the number of bytes of the ids.

    Example:
        >>> spec = TokenSpec(sample_rate=16_000, hop=640, codebook_size=1024)
        >>> [value if isinstance(value, int) else value.tolist() for value in layout(np.array([3, 9]), spec)]
        [[0, 8], 30]
    """
    sizes = -(-frames * spec.num_codebooks // 8) * 8
    return np.cumsum(sizes) - sizes, int(sizes.sum()) * bits_per_id(spec.codebook_size) // 8


def _read_head(data: Any, is_last: bool) -> tuple[ShardHeader, Any]:
    size = len(data)
    place = size - PREFIX.size if is_last else 0
    prefix = bytes(data[max(0, place) : max(0, place) + PREFIX.size])
    if not prefix.startswith(MAGIC) or size < 2 * PREFIX.size:
        if size and MAGIC.startswith(prefix[: len(MAGIC)]):
            raise TokenFileError("the shard is truncated; copy it again, or tokenize its recordings again")
        raise TokenFileError("this is no token shard: `vocable tokenize` makes them")
    _, version, zero, length, checksum = PREFIX.unpack(prefix)
    if not 1 <= version <= VERSION:
        raise TokenFileError(
            f"the shard is of version {version}, this vocable reads 1 and {VERSION}; install another version of vocable"
        )
    begin = place - length if is_last else PREFIX.size
    head = bytes(data[begin : begin + length]) if begin >= PREFIX.size else b""
    if zero or len(head) != length or zlib.crc32(head) != checksum:
        raise TokenFileError("the shard is truncated or both copies of its head are altered; copy or make it again")
    return _parse_head(head, size, version)


def _parse_head(head: bytes, size: int, version: int) -> tuple[ShardHeader, Any]:
    """Return the header and the table of rows in a head whose checksum is right."""
    end = 4 + int.from_bytes(head[:4], "little")
    try:
        header = parse(ShardHeader, head[4:end], "")
        spec = header.spec
        if header.version != version:
            raise ConfigError(f"voice_levels is {header.voice_levels} in version {version}")
    except (ConfigError, SpecError) as error:
        raise TokenFileError(f"the header is not valid ({error}); make the shard again") from error
    rows = sum(block.rows for block in header.blocks)
    if len(head) != end + rows * ROW.itemsize:
        raise TokenFileError(f"the head has {len(head) - end} bytes for {rows} rows; make the shard again")
    table = np.frombuffer(head, dtype=ROW, offset=end)
    frame_bits = spec.num_codebooks * bits_per_id(spec.codebook_size)
    if rows and (int(table["frames"].max()) * frame_bits > 8 * size or int(table["samples"].max()) >= 1 << 50):
        raise TokenFileError("a row has more frames or samples than the file can hold; make the shard again")
    first, end = 0, 2 * (PREFIX.size + len(head))
    for number, block in enumerate(header.blocks):
        part = table[first : first + block.rows]
        first, end = first + block.rows, end + block.size
        voices = 0 if block.failed else header.voice_bytes * block.rows
        expected = layout(part["frames"].astype(np.int64), spec)[1] + voices + int(part["metadata"].sum(dtype=np.int64))
        if block.size != expected:
            raise TokenFileError(
                f"block {number} has {block.size} bytes, its rows have {expected}; make the shard again"
            )
    if end != size:
        raise TokenFileError(f"the file has {size} bytes, its head promises {end}; copy it again")
    return header, table
