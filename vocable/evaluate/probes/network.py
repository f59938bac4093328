"""The small network of the sequence probes: two bidirectional LSTM layers and connectionist temporal classification."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Num
from numpy import ndarray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vocable.shapes import mask_from_lengths

_HIDDEN = 128  # of each direction
_BATCH = 8  # clips of like length
_RATE = 2e-3  # of Adam; halved where dev does not gain
_PATIENCE = 4  # passes without a gain on dev before it stops
_MOST = 8  # symbols a frame may stand for


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """Clips and what they say, as numbers.

    Attributes:
        frames: Vectors, or ids, of each clip.
        symbols: What it says; 0 is kept for "nothing".
    """

    frames: Sequence[Num[ndarray, "N D"]]
    symbols: Sequence[Sequence[int]]


class BothWays(nn.Module):
    """A bidirectional LSTM layer: what torch's gives for packed sequences, without its backward's quadratic time.

    Args:
        width: Of what it reads.

    Example:
        >>> BothWays(4)(torch.zeros(2, 5, 4), torch.tensor([5, 3])).shape
        torch.Size([2, 5, 256])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.onward = nn.LSTM(width, _HIDDEN, batch_first=True)
        self.back = nn.LSTM(width, _HIDDEN, batch_first=True)

    def forward(self, frames: Float[Tensor, "B N D"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B N D2"]:
        """Frames read to the end and from the end; what lies behind a clip's end touches nothing before it."""
        where = torch.arange(frames.shape[1])[None]
        mirror = torch.where(where < lengths[:, None], lengths[:, None] - 1 - where, where)[..., None]
        turned = self.back(frames.gather(1, mirror.expand_as(frames)))[0]
        return torch.cat([self.onward(frames)[0], turned.gather(1, mirror.expand_as(turned))], dim=2)


class Reader(nn.Module):
    """Frames to symbols.

    A clip is read the same alone and in any batch: padding stands behind its end in both directions.

    Args:
        width: Of a frame: values of a vector, or levels of ids.
        classes: Symbols, with 0 for "nothing".
        entries: Entries of a level where frames are ids; each level then learns its own vectors.
        pace: Places for a symbol that a frame has; half a place means that two frames are read as one.

    Example:
        >>> reader = Reader(width=4, classes=3, pace=2.0)
        >>> reader(torch.zeros(1, 5, 4), torch.tensor([5]))[0].shape
        torch.Size([1, 10, 3])
    """

    def __init__(self, *, width: int, classes: int, entries: int | None = None, pace: float = 1.0) -> None:
        super().__init__()
        self.classes, self.entries = classes, entries
        self.stack, self.spread = (2, 1) if pace < 1 else (1, int(pace))
        self.table = nn.Embedding(width * entries, _HIDDEN) if entries else None
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.enter = nn.Linear((_HIDDEN if entries else width) * self.stack, _HIDDEN)
        self.layers = nn.ModuleList(BothWays(width) for width in (_HIDDEN, 2 * _HIDDEN))
        self.drop = nn.Dropout(0.2)
        self.leave = nn.Linear(2 * _HIDDEN, classes * self.spread)

    def standardise(self, frames: Sequence[Num[ndarray, "N D"]]) -> None:
        """Give vectors mean 0 and deviation 1 over these clips; ids need none."""
        if self.entries is None:
            rows = torch.from_numpy(np.concatenate(list(frames))).float()
            self.mean, self.scale = rows.mean(0), rows.std(0, correction=0).clamp(min=1e-6)

    def forward(
        self, frames: Num[Tensor, "B N D"], lengths: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B P k"], Int[Tensor, " B"]]:
        """Log-probabilities of the symbols at each place, and how many places of each clip are real."""
        if self.table is not None:
            where = frames.long() + torch.arange(frames.shape[2]) * (self.entries or 0)
            vectors = self.table(where).sum(2)
        else:
            vectors = (frames.float() - self.mean) / self.scale
        vectors = vectors * mask_from_lengths(lengths, frames.shape[1])[..., None]
        vectors = F.pad(vectors, (0, 0, 0, -frames.shape[1] % self.stack))
        lengths = -(-lengths // self.stack)
        read = F.relu(self.enter(self.drop(vectors.reshape(len(vectors), -1, self.enter.in_features))))
        for layer in self.layers:
            read = layer(self.drop(read), lengths)
        places = self.leave(self.drop(read)).reshape(len(vectors), -1, self.classes)
        return places.log_softmax(-1), lengths * self.spread


def pace_for(clips: Spelling) -> float:
    """Places for a symbol that a frame needs, so that nearly every text fits: a half where that leaves room.

    Example:
        >>> fast = Spelling(frames=[np.zeros((5, 2))], symbols=[[1, 2, 3, 4, 5, 5]])
        >>> slow = Spelling(frames=[np.zeros((50, 2))], symbols=[[1, 2, 3, 4, 5, 5]])
        >>> pace_for(fast), pace_for(slow)
        (2.0, 0.5)
    """
    needed = [places_needed(said) / len(rows) for rows, said in zip(clips.frames, clips.symbols, strict=True)]
    typical = float(np.percentile(needed, 99))
    return 0.5 if typical <= 0.4 else float(min(_MOST, np.ceil(typical)))


def places_needed(symbols: Sequence[int]) -> int:
    """Fewest places this can be written in: one a symbol, and one between two that are the same."""
    return len(symbols) + sum(a == b for a, b in pairwise(symbols))


def train(
    clips: Spelling, error: Callable[[Reader], float], *, classes: int, entries: int | None, seed: int, epochs: int
) -> tuple[Reader, int]:
    """Fit a reader, and keep it as it was when it erred least.

    Args:
        clips: To fit on; every clip has frames and symbols.
        error: Of the reader on clips it is not fitted on.
        classes: Symbols, with 0 for "nothing".
        entries: Entries of a level where frames are ids.
        seed: Of the weights, the order of the clips and the dropout.
        epochs: Passes at most.

    Returns:
        The reader, and after how many passes it erred least.
    """
    random = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = Reader(width=clips.frames[0].shape[1], classes=classes, entries=entries, pace=pace_for(clips))
        reader.standardise(clips.frames)
        optimizer = torch.optim.Adam(reader.parameters(), lr=_RATE)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        least, best, since = np.inf, copy.deepcopy(reader.state_dict()), 0
        passes = 0
        for epoch in range(1, epochs + 1):
            reader.train()
            for batch in _batches(clips, random):
                _step(reader, optimizer, clips, batch)
            now = error(reader.eval())
            begun = min(now, least) < 0.95  # before, a reader says nothing yet, and neither slows down nor stops
            if begun:
                schedule.step(now)
            if now < least:
                least, best, since, passes = now, copy.deepcopy(reader.state_dict()), 0, epoch
            else:
                since += 1
            if begun and since >= _PATIENCE:
                break
    reader.load_state_dict(best)
    return reader.eval(), passes


@torch.no_grad()
def read(reader: Reader, frames: Sequence[Num[ndarray, "N D"]]) -> list[list[int]]:
    """The likeliest symbol of each place, without repeats and "nothing"."""
    found = []
    for start in range(0, len(frames), 32):
        rows = [torch.from_numpy(one) for one in frames[start : start + 32]]
        lengths = torch.tensor([len(row) for row in rows])
        places, real = reader(pad_sequence(rows, batch_first=True), lengths)
        for best, count in zip(places.argmax(-1), real.tolist(), strict=True):
            merged = torch.unique_consecutive(best[:count])
            found.append(merged[merged > 0].tolist())
    return found


def _batches(clips: Spelling, random: np.random.Generator) -> Iterator[list[int]]:
    """Clips of like length together, in an order of their own each time."""
    lengths = np.array([len(rows) for rows in clips.frames])
    order = np.argsort(lengths * random.uniform(0.9, 1.1, lengths.size))
    batches = [order[start : start + _BATCH].tolist() for start in range(0, lengths.size, _BATCH)]
    yield from (batches[at] for at in random.permutation(len(batches)))


def _step(reader: Reader, optimizer: torch.optim.Optimizer, clips: Spelling, batch: Sequence[int]) -> None:
    rows = [torch.from_numpy(clips.frames[at]) for at in batch]
    said = [clips.symbols[at] for at in batch]
    places, real = reader(pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows]))
    loss = F.ctc_loss(
        places.transpose(0, 1), torch.tensor([symbol for one in said for symbol in one]), real,
        torch.tensor([len(one) for one in said]), zero_infinity=True,
    )  # fmt: skip
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(reader.parameters(), 5.0)
    optimizer.step()
