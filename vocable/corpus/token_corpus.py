"""A corpus of token shards: the rows of all shards of a folder, in the order of the shards' names."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy import ndarray

from vocable.arguments import check_arguments
from vocable.corpus.shard import TokenShard
from vocable.corpus.shard_format import SUFFIX, FailedRow, ShardRow
from vocable.errors import ClipIndexError, SpecError
from vocable.file_search import find_files
from vocable.tokens import Tokens, TokenSpec

_OPEN_SHARDS = 32  # a corpus has more shards than a process may have open files
_Self = TypeVar("_Self", bound="TokenCorpus")


class TokenCorpus:
    """Tokens of a corpus: a sequence of rows over all shards of a folder.

    It holds what was in the folder when it was opened. A corpus that is still being written can be opened: it has the
    rows of the shards that are finished. Opening it again finds those that were added.

    Attributes:
        paths: Shards, sorted by name.
        spec: Specification of the tokens.
        digest: Digest of the tokenizer.
        lengths: Number of frames of each row, of shape (R,).
        samples: Number of samples of each row at ``spec.sample_rate``, of shape (R,).

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from vocable.corpus.shard_writer import shard_header, write_shard
        >>> from vocable.testing import speechlike
        >>> import vocable
        >>> codec = vocable.load("guided-small")
        >>> with TemporaryDirectory() as folder:
        ...     for name in "ab":
        ...         rows = [(ShardRow(id=f"{name}.wav"), codec.encode(speechlike(3_200)))]
        ...         write_shard(f"{folder}/{name}.shard", rows, shard_header(codec))
        ...     corpus = TokenCorpus.open(folder)
        ...     len(corpus), corpus.row(1).id, corpus.ids(1).shape
        (2, 'b.wav', (8, 10))
    """

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self._open: OrderedDict[int, TokenShard] = OrderedDict()
        first = self.shard(0)
        lengths, samples = [], []
        for number in range(len(paths)):
            shard = self.shard(number)
            _check_alike(shard, first)
            lengths.append(shard.lengths)
            samples.append(shard.samples)
        self.spec: TokenSpec = first.spec
        self.digest: str = first.digest
        self.lengths: Int64[ndarray, " R"] = np.concatenate(lengths)
        self.samples: Int64[ndarray, " R"] = np.concatenate(samples)
        self._firsts = np.cumsum([0, *map(len, lengths)])

    @classmethod
    @check_arguments
    def open(cls: type[_Self], *folders: str | os.PathLike[str]) -> _Self:
        """Open the shards of folders, files and glob patterns.

        Raises:
            InputError: If a folder has no shard.
            TokenFileError: If a shard cannot be read.
            SpecError: If two shards are of different tokenizers, specifications or settings.
        """
        return cls(find_files(folders, {SUFFIX}, "token shard"))

    def __len__(self) -> int:
        """Return the number of rows R, without those that failed."""
        return len(self.lengths)

    def __reduce__(self) -> tuple[type["TokenCorpus"], tuple[list[Path]]]:
        """Open the same shards again where a copy is made, as for the workers of a data loader."""
        return type(self), (self.paths,)

    def __repr__(self) -> str:
        """Return one line: shards, rows, hours and tokens."""
        hours = int(self.samples.sum()) / self.spec.sample_rate / 3600
        count = int(self.lengths.sum()) * self.spec.num_codebooks
        return f"TokenCorpus({len(self.paths)} shards, {len(self)} rows, {hours:.2f} h, {count} tokens)"

    def shard(self, number: int) -> TokenShard:
        """Return a shard by its number; a few of the latest stay open."""
        if number not in self._open:
            self._open[number] = TokenShard.open(self.paths[number])
            if len(self._open) > _OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return self._open[number]

    def shards(self) -> Iterator[TokenShard]:
        """Yield the shards in order."""
        return (self.shard(number) for number in range(len(self.paths)))

    @check_arguments
    def locate(self, index: int) -> tuple[TokenShard, int]:
        """Return the shard of a row, and the row's number in it; a negative index counts from the end.

        Raises:
            ClipIndexError: If there is no such row.
        """
        if not -len(self) <= index < len(self):
            raise ClipIndexError(f"row {index} was asked of a corpus of {len(self)} rows; count from 0")
        index = int(index) % len(self)
        number = int(np.searchsorted(self._firsts, index, side="right")) - 1
        return self.shard(number), index - int(self._firsts[number])

    def ids(self, index: int) -> Int32[ndarray, "Q N"]:
        """Return the ids of a row; see :meth:`TokenShard.ids`."""
        shard, row = self.locate(index)
        return shard.ids(row)

    def row(self, index: int) -> ShardRow:
        """Return the metadata of a row; see :meth:`TokenShard.row`."""
        shard, row = self.locate(index)
        return shard.row(row)

    def voice(self, index: int) -> Float32[ndarray, " V"] | None:
        """Return the voice vector of a row; see :meth:`TokenShard.voice`."""
        shard, row = self.locate(index)
        return shard.voice(row)

    def tokens(self, index: int) -> Tokens:
        """Return a row as tokens of one clip; see :meth:`TokenShard.tokens`."""
        shard, row = self.locate(index)
        return shard.tokens(row)

    def rows(self) -> Iterator[ShardRow]:
        """Yield the metadata of all rows in order."""
        return (row for shard in self.shards() for row in shard.rows())

    def failed(self) -> Iterator[FailedRow]:
        """Yield the recordings that could not be encoded, with their reasons."""
        return (row for shard in self.shards() for row in shard.failed)


_SHARED = ("tokenizer", "settings", "sample_rate", "hop", "codebook_size", "num_codebooks")


def _check_alike(shard: TokenShard, first: TokenShard) -> None:
    """Raise a SpecError if a shard does not belong to the corpus of another."""
    one, other = (replace(each.header, blocks=(), model=None) for each in (shard, first))
    for name in (*_SHARED, "voice_width", "voice_levels"):
        if getattr(one, name) != getattr(other, name):
            raise SpecError(
                f"{shard.path}: its {name} is {getattr(one, name)!r}, that of {first.path} is "
                f"{getattr(other, name)!r}; keep them in different folders"
            )
