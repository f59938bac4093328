"""Use of a codebook by tokens, and the bits that tokens cost."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.errors import ShapeError
from vocable.metrics.score import Figure, percentile_interval, point_figure
from vocable.shapes import mask_from_lengths


@dataclass(frozen=True, kw_only=True)
class LevelUsage:
    """Use of the codebook of one level. Ratios are NaN if there is no frame.

    Few frames look poor: N frames have at most N distinct entries and log2 N bits of entropy (see ``reachable``).
    Figures of clips of different lengths do not compare.

    Attributes:
        level: Number of the level, from 1.
        codebook_size: Number of entries K.
        frames: Number of real frames.
        distinct: Number of entries that occur.
        entropy: Entropy of the entries' frequencies in bits: the cost of a frame after ideal entropy coding.
        top_share: Share of the most frequent entry.
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
    def bits(self) -> float:
        """Bits of a frame without entropy coding: log2 K."""
        return math.log2(self.codebook_size)

    @property
    def dead(self) -> int:
        """Number of entries that do not occur."""
        return self.codebook_size - self.distinct

    @property
    def perplexity(self) -> float:
        """2 to the entropy: the number of equally frequent entries with the same entropy."""
        return 2.0**self.entropy

    @property
    def reachable(self) -> int:
        """Largest number of entries that this many frames can use."""
        return min(self.codebook_size, self.frames)


@dataclass(frozen=True, kw_only=True)
class BitRates:
    """Bit rates of tokens.

    Attributes:
        nominal: Bits per second with log2 K bits per token.
        entropy_coded: Bits per second with an ideal entropy coder for each level that knows these very frequencies.
            NaN if there is no frame.
    """

    nominal: float
    entropy_coded: float


def codebook_usage(ids: Int[Tensor, "B Q N"], lengths: Int[Tensor, " B"], codebook_size: int) -> tuple[LevelUsage, ...]:
    """Count the use of each level's entries by real frames, without padding.

    Args:
        ids: Token ids in [0, K).
        lengths: Number of real frames of each clip.
        codebook_size: Number of entries K.

    Returns:
        One record per level.

    Raises:
        ShapeError: If an id of a real frame is not in [0, K).

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
    return count_usage(torch.stack([torch.bincount(row, minlength=codebook_size) for row in rows]))


def count_usage(counts: Int[Tensor, "Q K"]) -> tuple[LevelUsage, ...]:
    """Return the use of each level's entries from the number of frames that chose each; see :func:`codebook_usage`.

    Example:
        >>> [(level.frames, level.distinct) for level in count_usage(torch.tensor([[3, 0, 1]]))]
        [(4, 2)]
    """
    return tuple(_level_usage(number, row) for number, row in enumerate(counts, start=1))


def bit_rates(levels: Sequence[LevelUsage], frame_rate: float) -> BitRates:
    """Return the nominal and the entropy-coded bit rate of levels together; ``frame_rate`` is in frames per second.

    Example:
        >>> ids = torch.tensor([[[0, 0, 1, 1], [3, 3, 3, 3]]])
        >>> bit_rates(codebook_usage(ids, torch.tensor([4]), 4), 50.0)
        BitRates(nominal=200.0, entropy_coded=50.0)
    """
    return BitRates(
        nominal=frame_rate * sum(level.bits for level in levels),
        entropy_coded=frame_rate * sum(level.entropy for level in levels),
    )


def _level_usage(number: int, counts: Int[Tensor, " K"]) -> LevelUsage:
    frames = int(counts.sum())
    shares = counts[counts > 0].double() / max(frames, 1)
    return LevelUsage(
        level=number,
        codebook_size=len(counts),
        frames=frames,
        distinct=len(shares),
        entropy=float(-(shares * shares.log2()).sum()) + 0.0 if frames else math.nan,  # + 0.0: no "-0.0"
        top_share=float(shares.max()) if frames else math.nan,
    )


def usage_figure(clips: Sequence[Int[Tensor, " _"]], codebook_size: int, seed: int, rounds: int = 1000) -> Figure:
    """Return the share of the codebook that occurs in clips, with an interval over clips.

    Args:
        clips: Ids of each clip.
        codebook_size: Number of entries K.
        seed: Seed of the bootstrap.
        rounds: Number of resamples.

    Returns:
        The share with the interval of the bootstrap, moved onto it: a resample holds 63 % of the clips and therefore
        fewer entries.

    Example:
        >>> usage_figure([torch.tensor([0, 1]), torch.tensor([1, 2])], 4, seed=0).mean
        0.75
    """
    present = np.zeros((len(clips), codebook_size), dtype=bool)
    for row, ids in zip(present, clips, strict=True):
        row[ids.numpy()] = True
    figure = point_figure(float(present.any(0).mean()), len(clips))
    if len(clips) < 2:
        return figure
    random = np.random.default_rng(seed)
    drawn = [present[np.unique(random.integers(len(clips), size=len(clips)))].any(0).mean() for _ in range(rounds)]
    low, high = (end - np.mean(drawn) + figure.mean for end in percentile_interval(drawn))
    return replace(figure, low=max(0.0, float(low)), high=min(1.0, float(high)))


def mean_entropy(shares: Float[Tensor, "N K"]) -> float:
    """Return the mean entropy in nats of rows of probabilities, such as the attention weights of each query.

    Example:
        >>> round(mean_entropy(torch.tensor([[0.5, 0.5], [1.0, 0.0]])) / math.log(2), 3)
        0.5
    """
    return float(-torch.special.xlogy(shares, shares).sum(1).mean())


def label_perplexity(labels: Sequence[Hashable]) -> float:
    """Return 2 to the entropy of labels: the number of equally frequent labels with the same entropy.

    Example:
        >>> label_perplexity(["a", "b", "b", "a"])
        2.0
    """
    shares = np.unique(np.array(labels), return_counts=True)[1] / max(1, len(labels))
    return float(2.0 ** -(shares * np.log2(shares)).sum())


def divergence(counts: Float[Tensor, "Q K"], others: Float[Tensor, "Q K"]) -> float:
    """Return the Jensen-Shannon divergence of two histograms of ids in bits, mean over levels.

    It is 0 for equal shares and 1 if no entry occurs in both. Few frames look different: compare histograms of equally
    many frames, and compare the result with that of two halves of one material.

    Args:
        counts: Number of frames that chose each entry of each level; at least one per level.
        others: The same of other frames.

    Raises:
        ShapeError: If a level has no frame.

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
