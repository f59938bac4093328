"""How a codebook is used by given tokens, and what they cost in bits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.errors import ShapeError
from vocable.shapes import mask_from_lengths


@dataclass(frozen=True, kw_only=True)
class LevelUsage:
    """How one level's codebook is used. Ratios are NaN where there is no frame.

    Attributes:
        level: 1-based.
        codebook_size: K.
        frames: Counted: real ones only.
        distinct: Entries that occur.
        entropy: Of the entries' frequencies, in bits: what a frame costs after ideal entropy coding, at most log2 K.
        top_share: Share of the commonest entry.

    Few frames look poor: N frames have at most N distinct entries and log2 N bits of entropy (see ``reachable``),
    so figures of clips of different lengths do not compare.
    """

    level: int
    codebook_size: int
    frames: int
    distinct: int
    entropy: float
    top_share: float

    @property
    def used(self) -> float:
        """Share of the codebook that occurs, in (0, 1]."""
        return self.distinct / self.codebook_size if self.frames else math.nan

    @property
    def dead(self) -> int:
        """Entries that do not occur."""
        return self.codebook_size - self.distinct

    @property
    def perplexity(self) -> float:
        """2 to the entropy: how many equally common entries would be as varied."""
        return 2.0**self.entropy

    @property
    def reachable(self) -> int:
        """Most entries that so many frames could use."""
        return min(self.codebook_size, self.frames)


@dataclass(frozen=True, kw_only=True)
class BitRates:
    """What tokens cost.

    Attributes:
        nominal: Bits per second with log2 K bits a token.
        entropy_coded: Bits per second with an ideal entropy coder for each level that knows these very
            frequencies. NaN where there is no frame.
    """

    nominal: float
    entropy_coded: float


def codebook_usage(ids: Int[Tensor, "B Q N"], lengths: Int[Tensor, " B"], codebook_size: int) -> tuple[LevelUsage, ...]:
    """Count how each level's entries are used by real frames; padding does not count.

    Args:
        ids: In [0, K).
        lengths: Real frames of each clip.
        codebook_size: K.

    Returns:
        One record a level.

    Raises:
        ShapeError: An id of a real frame is not in [0, K).

    Source:
        Perplexity of a codebook: van den Oord et al., arXiv:1711.00937; the plug-in (unigram) entropy of Shannon.

    Example:
        >>> ids = torch.tensor([[[0, 0, 1, 1], [3, 3, 3, 3]]])
        >>> [(level.distinct, level.perplexity) for level in codebook_usage(ids, torch.tensor([4]), 4)]
        [(2, 2.0), (1, 1.0)]
    """
    mask = mask_from_lengths(lengths, ids.shape[2])
    rows = ids.transpose(0, 1)[:, mask]  # (Q, real frames)
    if rows.numel() and (int(rows.min()) < 0 or int(rows.max()) >= codebook_size):
        raise ShapeError(
            f"ids lie in [{int(rows.min())}, {int(rows.max())}] but codebook_size is {codebook_size}; "
            "pass the K they were made with"
        )
    return tuple(_level(number, row, codebook_size) for number, row in enumerate(rows, start=1))


def bit_rates(levels: Sequence[LevelUsage], frame_rate: float) -> BitRates:
    """Nominal and entropy-coded cost of these levels together.

    Args:
        levels: As :func:`codebook_usage` gives them.
        frame_rate: Frames per second.

    Example:
        >>> ids = torch.tensor([[[0, 0, 1, 1], [3, 3, 3, 3]]])
        >>> bit_rates(codebook_usage(ids, torch.tensor([4]), 4), 50.0)
        BitRates(nominal=200.0, entropy_coded=50.0)
    """
    return BitRates(
        nominal=frame_rate * sum(math.log2(level.codebook_size) for level in levels),
        entropy_coded=frame_rate * sum(level.entropy for level in levels),
    )


def _level(number: int, ids: Int[Tensor, " M"], codebook_size: int) -> LevelUsage:
    counts = torch.bincount(ids, minlength=codebook_size).double()
    shares = counts[counts > 0] / ids.numel()
    return LevelUsage(
        level=number,
        codebook_size=codebook_size,
        frames=ids.numel(),
        distinct=shares.numel(),
        entropy=float(-(shares * shares.log2()).sum()) + 0.0 if ids.numel() else math.nan,  # + 0.0: no "-0.0"
        top_share=float(shares.max()) if ids.numel() else math.nan,
    )


def divergence(counts: Float[Tensor, "Q K"], others: Float[Tensor, "Q K"]) -> float:
    """How unlike two histograms of ids are: Jensen-Shannon divergence in bits, mean over levels.

    0 for equal shares, 1 where no entry occurs in both. Few frames look unlike: compare histograms of as many frames,
    and with that of two halves of one material.

    Args:
        counts: Frames that chose each entry of each level; some of every level.
        others: Of other frames.

    Raises:
        ShapeError: A level has no frame.

    Source:
        Lin, IEEE Transactions on Information Theory 37(1), 1991.

    Example:
        >>> one, other = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0]])
        >>> divergence(one, other), divergence(other, 3 * other)
        (1.0, 0.0)
    """
    shares = [part.double() / part.double().sum(1, keepdim=True) for part in (counts, others)]
    if not all(bool(part.isfinite().all()) for part in shares):
        raise ShapeError("a level has no frame: there is nothing to compare")
    middle = (shares[0] + shares[1]) / 2
    parts = [torch.special.xlogy(part, part / middle.clamp(min=1e-300)).sum(1) for part in shares]
    return float((parts[0] + parts[1]).mean() / 2 / math.log(2)) + 0.0
