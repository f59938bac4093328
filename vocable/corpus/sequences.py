"""Packed training sequences: the documents of a token corpus, one behind the other, cut to a fixed length.

A sequence is a function of corpus, layout, length, seed, epoch and its index, and of nothing else. So any data loader
shuffles alike, with any number of workers, and a run resumes by beginning at an index.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Int64
from numpy import ndarray
from torch import Tensor
from torch.utils.data import Dataset

from vocable.arguments import check_arguments
from vocable.corpus.sequence_layout import PAD, Document, SequenceLayout
from vocable.corpus.shard_format import ShardRow
from vocable.corpus.token_corpus import TokenCorpus
from vocable.errors import ClipIndexError, ConfigError
from vocable.token_file import TokenSpec

_KEPT = 4  # documents that stay in memory: a long one is cut into several sequences
IGNORED = -100
"""Label of places that have no loss, as torch and transformers take it."""


@dataclass(frozen=True)
class _Documents:
    """Rows of a corpus that are documents, with their number of steps."""

    rows: Int64[ndarray, " D"]
    lengths: Int64[ndarray, " D"]


class PackedSequences(Dataset[dict[str, Tensor]]):
    """Fixed-length sequences over the documents of a token corpus, for ``torch.utils.data.DataLoader``.

    The documents of an epoch are shuffled, joined, and cut every ``length`` steps; a document may go on in the next
    sequence. Rank r of W has the sequences r, r + W, r + 2 W, …; all ranks have equally many.

    An item holds, for S streams (flat layouts have no axis S):

    * ``input_ids``: (S, L) ids of the layout.
    * ``labels``: (S, L) the same, with ``IGNORED`` where they are padding.
    * ``position_ids``: (L,) steps since the document's begin, or since that of the sequence; flash attention in
      transformers keeps documents apart by them.
    * ``document_ids``: (L,) number of the document in the sequence, from 0; −1 is padding.

    Args:
        corpus: Corpus of tokens.
        layout: Layout of the documents.
        length: Number of steps L of a sequence.
        seed: Seed of the shuffle.
        epoch: Number of the epoch, which changes the shuffle.
        shuffle: Whether documents are shuffled; if not, they have the corpus's order.
        select: Function from the metadata of a row to whether it is a document; all rows by default.
        rank: Rank of this process, from 0.
        world: Number of processes W.
        drop_last: Whether what does not fill a sequence for every rank is left out. If not, it is padded.

    Raises:
        ConfigError: If the layout does not fit the tokens, an argument is out of range, or nothing fills a sequence.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import vocable
        >>> from vocable.corpus.shard_writer import shard_header, write_shard
        >>> from vocable.testing import speechlike
        >>> codec = vocable.load("guided-small")
        >>> rows = [(ShardRow(id=str(seed)), codec.encode(speechlike(16_000, seed=seed))) for seed in range(4)]
        >>> with TemporaryDirectory() as folder:
        ...     write_shard(f"{folder}/a.shard", rows, shard_header(codec))
        ...     corpus = TokenCorpus.open(folder)
        ...     sequences = PackedSequences(corpus, SequenceLayout.of(corpus.spec, levels=1), length=64)
        ...     loader = torch.utils.data.DataLoader(sequences, batch_size=2, sampler=range(1, 3))  # goes on at 1
        ...     len(sequences), next(iter(loader))["input_ids"].shape
        (3, torch.Size([2, 64]))
    """

    @check_arguments
    def __init__(
        self, corpus: TokenCorpus, layout: SequenceLayout, length: int, *, seed: int = 0, epoch: int = 0,
        shuffle: bool = True, select: Callable[[ShardRow], bool] | None = None, rank: int = 0, world: int = 1,
        drop_last: bool = True,
    ) -> None:  # fmt: skip
        _check_sizes(corpus.spec, layout, length, rank, world)
        self.corpus, self.layout, self.length = corpus, layout, length
        self.seed, self.epoch, self.shuffle = seed, epoch, shuffle
        self.rank, self.world, self.drop_last = rank, world, drop_last
        self._documents = _find_documents(corpus, layout, select)
        self._arrange()

    def with_epoch(self, epoch: int) -> "PackedSequences":
        """Return the sequences of another epoch."""
        other = object.__new__(PackedSequences)
        other.__dict__.update(self.__dict__, epoch=epoch)
        other._arrange()
        return other

    @property
    def steps(self) -> int:
        """Number of steps of all documents together."""
        return int(self._ends[-1]) if self._ends.size else 0

    def __len__(self) -> int:
        """Return the number of sequences of this rank."""
        share = self.length * self.world
        return self.steps // share if self.drop_last else -(-self.steps // share)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return a sequence of this rank; a negative index counts from the end."""
        if not -len(self) <= index < len(self):
            raise ClipIndexError(f"sequence {index} was asked of {len(self)}; count from 0")
        start = ((int(index) % len(self)) * self.world + self.rank) * self.length
        streams = self.layout.streams
        ids = np.full((streams, self.length), PAD, dtype=np.int64)
        positions, documents = np.zeros(self.length, dtype=np.int64), np.full(self.length, -1, dtype=np.int64)
        at = 0
        for number, (document, first, last) in enumerate(self._parts(start, min(start + self.length, self.steps))):
            size = last - first
            ids[:, at : at + size] = self._encoded(document)[:, first:last]
            positions[at : at + size] = np.arange(size)
            documents[at : at + size] = number
            at += size
        labels = np.where(documents >= 0, ids, IGNORED)
        item = {"input_ids": ids, "labels": labels, "position_ids": positions, "document_ids": documents}
        return {
            name: torch.from_numpy(value[0] if value.ndim == 2 and self.layout.pattern == "flatten" else value)
            for name, value in item.items()
        }

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield the sequences of this rank in order."""
        return (self[index] for index in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        """Leave the documents in memory behind, where a copy is made for a worker."""
        return {name: value for name, value in self.__dict__.items() if name != "_encoded"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the corpus again."""
        self.__dict__.update(state)
        self._encoded = lru_cache(_KEPT)(self._encode)

    def _arrange(self) -> None:
        """Shuffle the documents of the epoch."""
        count = len(self._documents.rows)
        random = np.random.default_rng((self.seed, self.epoch))
        self._order = random.permutation(count) if self.shuffle else np.arange(count)
        self._ends = np.cumsum(self._documents.lengths[self._order])
        self._encoded = lru_cache(_KEPT)(self._encode)
        if not len(self):
            raise ConfigError(
                f"{count} documents have {self.steps} steps, too few for a sequence of {self.length} on each of "
                f"{self.world} ranks; choose a shorter one, or drop_last=False"
            )

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield the documents between two steps, each with its first step and the one behind its last."""
        place = int(np.searchsorted(self._ends, start, side="right"))
        while start < stop:
            begin = int(self._ends[place - 1]) if place else 0
            end = int(self._ends[place])
            yield int(self._order[place]), start - begin, min(stop, end) - begin
            start, place = end, place + 1

    def _encode(self, document: int) -> Int[ndarray, "S L"]:
        index = int(self._documents.rows[document])
        needs_row = self.layout.text or self.layout.speakers
        row = self.corpus.row(index) if needs_row else ShardRow(id="")
        return self.layout.encode(Document(self.corpus.ids(index), text=row.text, speaker=row.speaker))


def _check_sizes(spec: TokenSpec, layout: SequenceLayout, length: int, rank: int, world: int) -> None:
    if layout.codebook_size != spec.codebook_size or layout.levels > spec.num_codebooks:
        raise ConfigError(
            f"the layout has {layout.levels} levels of {layout.codebook_size}, the tokens {spec.num_codebooks} of "
            f"{spec.codebook_size}; make it with SequenceLayout.of(corpus.spec)"
        )
    if length < 1 or not 0 <= rank < world:
        raise ConfigError(f"length is {length}, rank {rank} of {world}: length is at least 1, rank from 0 to world - 1")


def _find_documents(
    corpus: TokenCorpus, layout: SequenceLayout, select: Callable[[ShardRow], bool] | None
) -> _Documents:
    """Return the documents of a corpus. Its metadata is read only where texts count, or rows are selected."""
    prefixes = np.full(len(corpus), layout.prefix_length(None), dtype=np.int64)
    is_document = corpus.lengths > 0
    if layout.text or select is not None:
        for index, row in enumerate(corpus.rows()):
            prefixes[index] = layout.prefix_length(row.text)
            is_document[index] &= select is None or bool(select(row))
    lengths = layout.lengths(corpus.lengths, prefixes)
    rows = np.flatnonzero(is_document)
    return _Documents(rows, lengths[rows])
