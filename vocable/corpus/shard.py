"""Reading of token shards, through a memory map (layout: top of :mod:`vocable.corpus.shard_format`)."""

import mmap
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64
from numpy import ndarray

from vocable.arguments import check_arguments
from vocable.bit_packing import bits_per_id, unpack_ids
from vocable.corpus.shard_format import BlockHeader, FailedRow, ShardRow, damaged_heads, layout, read_head
from vocable.errors import ClipIndexError, ConfigError, SpecError, TokenFileError
from vocable.files import open_regular
from vocable.schema import parse
from vocable.token_file import Provenance
from vocable.tokens import Tokens
from vocable.voices import unpack_voices

_Self = TypeVar("_Self", bound="TokenShard")


class _Block(NamedTuple):
    """Rows of a block.

    Attributes:
        first: Number of its first row in the shard.
        rows: Number of rows.
        ids: Ids of all rows, of shape (M,), with the zeros between rows.
        starts: Place of each row's first id in ``ids``.
        voices: Voice vectors.
        metadata: Metadata of all rows as JSON.
        ends: Place behind each row's metadata in ``metadata``.
    """

    first: int
    rows: int
    ids: Int32[ndarray, " M"]
    starts: Int64[ndarray, " R"]
    voices: Float32[ndarray, "R V"]
    metadata: bytes
    ends: Int64[ndarray, " R"]


@dataclass(frozen=True)
class Damage:
    """Damage of a shard.

    Attributes:
        block: Number of the damaged block, from 0; None for a copy of the head, whose damage costs no row.
        rows: Numbers of its rows in the shard; those of failed recordings count from 0 for themselves.
        reason: Message that names file, block and rows.
    """

    block: int | None
    rows: range
    reason: str


class TokenShard:
    """Tokens of many recordings in one file: a sequence of rows.

    The file is memory-mapped: opening it reads its head alone, and a block is read and checked when a row of it is
    asked for. The last block is kept.

    Attributes:
        path: Path of the file.
        header: Header of the file.
        spec: Specification of the tokens.
        lengths: Number of frames of each row, of shape (R,).
        samples: Number of samples of each row at ``spec.sample_rate``, of shape (R,).

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from vocable.corpus.shard_writer import shard_header, write_shard
        >>> from vocable.testing import speechlike
        >>> import vocable
        >>> codec = vocable.load("guided-small")
        >>> with TemporaryDirectory() as folder:
        ...     rows = [(ShardRow(id="a.wav", speaker="s1"), codec.encode(speechlike(3_200)))]
        ...     write_shard(Path(folder) / "a.shard", rows, shard_header(codec))
        ...     shard = TokenShard.open(Path(folder) / "a.shard")
        ...     len(shard), shard.ids(0).shape, shard.row(0).speaker, shard.digest == codec.digest
        (1, (8, 10), 's1', True)
    """

    def __init__(self, path: Path, data: Any) -> None:
        self.path = path
        self._data = data
        self.header, table = read_head(path, data)
        sizes = [block.size for block in self.header.blocks]
        heads = (len(data) - sum(sizes)) // 2
        self._offsets = [heads, *(heads + end for end in accumulate(sizes))]
        self.spec = self.header.spec
        self._bits = bits_per_id(self.spec.codebook_size)
        counts = [block.rows for block in self.header.blocks]
        is_failed = np.repeat([block.failed for block in self.header.blocks], counts).astype(bool)
        self._table = table[~is_failed]
        self._failed_table = table[is_failed]
        self.lengths = self._table["frames"].astype(np.int64)
        self.samples = self._table["samples"].astype(np.int64)
        self._firsts = self._first_rows()
        self._latest: tuple[int, _Block] | None = None

    @classmethod
    @check_arguments
    def open(cls: type[_Self], path: str | os.PathLike[str]) -> _Self:
        """Open a shard.

        Raises:
            TokenFileError: If the file cannot be read, is no shard, or is of another version, or if both copies of its
                head are damaged.
        """
        try:
            with open_regular(path) as file:
                size = os.fstat(file.fileno()).st_size
                data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        except (OSError, ValueError) as error:  # ValueError: the file was cut meanwhile
            reason = getattr(error, "strerror", None) or error
            raise TokenFileError(f"{path}: cannot be read ({reason}); check the path and its rights") from error
        return cls(Path(path), data)

    @property
    def digest(self) -> str:
        """Digest of the tokenizer."""
        return self.header.tokenizer

    @property
    def blocks(self) -> tuple[BlockHeader, ...]:
        """Blocks in the order of their rows."""
        return self.header.blocks

    @property
    def failed_count(self) -> int:
        """Number of recordings that could not be encoded."""
        return len(self._failed_table)

    def __len__(self) -> int:
        """Return the number of rows R, without those that failed."""
        return len(self._table)

    def __reduce__(self) -> Any:
        """Open the file again where a copy is made, as for the workers of a data loader."""
        return type(self).open, (self.path,)

    def __repr__(self) -> str:
        """Return one line: path, rows, frames, failures."""
        failed = f", {len(self._failed_table)} failed" if len(self._failed_table) else ""
        return f"TokenShard({str(self.path)!r}, {len(self)} rows, {int(self.lengths.sum())} frames{failed})"

    @check_arguments
    def ids(self, index: int) -> Int32[ndarray, "Q N"]:
        """Return the ids of a row; a negative index counts from the end.

        Raises:
            ClipIndexError: If there is no such row.
            TokenFileError: If its block is damaged.
        """
        block, place = self._locate(index)
        start, count = int(block.starts[place]), int(self.lengths[block.first + place])
        levels = self.spec.num_codebooks
        return block.ids[start : start + count * levels].reshape(count, levels).T

    @check_arguments
    def row(self, index: int) -> ShardRow:
        """Return the metadata of a row; see :meth:`ids`."""
        return self._metadata(*self._locate(index), ShardRow)

    @check_arguments
    def voice(self, index: int) -> Float32[ndarray, " V"] | None:
        """Return the voice vector of a row, None where the tokenizer keeps none; see :meth:`ids`."""
        block, place = self._locate(index)
        return block.voices[place] if self.header.voice_width else None

    @check_arguments
    def tokens(self, index: int) -> Tokens:
        """Return a row as tokens of one clip, to decode it; see :meth:`ids`."""
        row, voice = self.row(index), self.voice(index)
        number = int(index) % len(self)
        try:
            return Tokens(
                ids=torch.from_numpy(self.ids(index).astype(np.int64))[None], spec=self.spec, tokenizer=self.digest,
                lengths=torch.from_numpy(self.lengths[number : number + 1]),
                samples=torch.from_numpy(self.samples[number : number + 1]),
                text=None if row.text is None else (row.text,),
                voice=None if voice is None else torch.from_numpy(voice.copy())[None],
                voice_levels=self.header.voice_levels,
                provenance=Provenance(model=self.header.model, source=row.audio, settings=self.header.settings),
            )  # fmt: skip
        except (SpecError, ConfigError) as error:
            raise TokenFileError(f"{self.path}, row {number}: {error}; make the file again") from error

    def frames(self) -> Iterator[Int32[ndarray, "F Q"]]:
        """Yield the frames of all rows, block by block, each row's behind those of the row before.

        This is the fastest way to read a shard. ``lengths`` says where rows end.

        Raises:
            TokenFileError: If a block is damaged.
        """
        levels = self.spec.num_codebooks
        for number, header in enumerate(self.blocks):
            if header.failed:
                continue
            block = self._read_block(number)
            counts = self.lengths[block.first : block.first + block.rows] * levels
            if block.ids.size != counts.sum():  # zeros lie between rows
                gaps = block.starts - (np.cumsum(counts) - counts)
                block = block._replace(ids=block.ids[np.arange(counts.sum()) + np.repeat(gaps, counts)])
            yield block.ids.reshape(-1, levels)

    def all_ids(self) -> Int32[ndarray, "F Q"]:
        """Return the frames of all rows as one array; see :meth:`frames`."""
        empty = np.zeros((0, self.spec.num_codebooks), dtype=np.int32)
        return np.concatenate([empty, *self.frames()])

    def rows(self) -> Iterator[ShardRow]:
        """Yield the metadata of all rows."""
        return (self.row(index) for index in range(len(self)))

    @cached_property
    def failed(self) -> tuple[FailedRow, ...]:
        """Recordings that could not be encoded, with their reasons; a TokenFileError if their block is damaged."""
        numbers = [number for number, header in enumerate(self.blocks) if header.failed]
        blocks = [self._read_block(number) for number in numbers]
        return tuple(self._metadata(block, place, FailedRow) for block in blocks for place in range(block.rows))

    def damages(self) -> list[Damage]:
        """Return the damaged blocks, and a damaged copy of the head; the file is read once."""
        found = [
            Damage(None, range(0), f"{self.path}: the {end} copy of the head is altered; all rows can be read")
            for end in damaged_heads(self._data)
        ]
        for number, header in enumerate(self.blocks):
            kind, rows = FailedRow if header.failed else ShardRow, self._rows_of(number)
            try:
                block = self._read_block(number)
                for place in range(block.rows):
                    self._metadata(block, place, kind)
            except TokenFileError as error:
                found.append(Damage(number, rows, str(error)))
        return found

    def _first_rows(self) -> list[int]:
        """Return the number of each block's first row, among rows of its kind."""
        firsts, count = [], {False: 0, True: 0}
        for block in self.blocks:
            firsts.append(count[block.failed])
            count[block.failed] += block.rows
        return firsts

    def _rows_of(self, number: int) -> range:
        return range(self._firsts[number], self._firsts[number] + self.blocks[number].rows)

    def _part(self, number: int) -> Any:
        """Return the part of the table with the rows of a block."""
        rows = self._rows_of(number)
        return (self._failed_table if self.blocks[number].failed else self._table)[rows.start : rows.stop]

    def _locate(self, index: int) -> tuple[_Block, int]:
        """Return the block of a row, and the row's place in it."""
        if not -len(self) <= index < len(self):
            raise ClipIndexError(f"{self.path}: row {index} was asked of {len(self)}; count from 0")
        index = int(index) % len(self)
        if self._latest is None or not 0 <= index - self._latest[1].first < self._latest[1].rows:
            good = [number for number, header in enumerate(self.blocks) if not header.failed]
            firsts = [self._firsts[number] for number in good]
            number = good[int(np.searchsorted(firsts, index, side="right")) - 1]
            self._latest = number, self._read_block(number)
        block = self._latest[1]
        return block, index - block.first

    def _read_block(self, number: int) -> _Block:
        """Read and check a block."""
        header, part = self.blocks[number], self._part(number)
        starts, id_bytes = layout(part["frames"].astype(np.int64), self.spec)
        voice_bytes = 0 if header.failed else self.header.voice_bytes * header.rows
        offset = self._offsets[number]
        view = memoryview(self._data)[offset : offset + header.size]
        if zlib.crc32(view) != header.crc32:
            raise TokenFileError(
                f"{self._name(number)}: altered (wrong checksum); copy the file again, or tokenize these rows again"
            )
        ids = unpack_ids(view, id_bytes * 8 // self._bits, self._bits)
        most = self.spec.codebook_size
        if ids.size and most != 1 << self._bits and int(ids.max()) >= most:
            raise TokenFileError(f"{self._name(number)}: an id is {int(ids.max())} of {most}; make the file again")
        packed, width = view[id_bytes : id_bytes + voice_bytes], 0 if header.failed else self.header.voice_width
        try:
            voices = unpack_voices(packed, header.rows, width, self.header.voice_levels)
        except ValueError as error:
            raise TokenFileError(f"{self._name(number)}: {error}; make the file again") from error
        return _Block(
            first=self._firsts[number], rows=header.rows, ids=ids, starts=starts, voices=voices,
            metadata=bytes(view[id_bytes + voice_bytes :]), ends=np.cumsum(part["metadata"], dtype=np.int64),
        )  # fmt: skip

    def _metadata(self, block: _Block, place: int, kind: type[Any]) -> Any:
        begin = int(block.ends[place - 1]) if place else 0
        where = f"{self.path}, row {block.first + place}"
        return parse(kind, block.metadata[begin : int(block.ends[place])], where, TokenFileError)

    def _name(self, number: int) -> str:
        rows, kind = self._rows_of(number), "failed rows" if self.blocks[number].failed else "rows"
        return f"{self.path}, block {number} ({kind} {rows.start} to {rows.stop - 1})"
