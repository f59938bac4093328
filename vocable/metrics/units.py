"""Prediction of units, and preserved durations.

The weight of every score is the number of targets or symbols it was counted on. The mean over batches or clips
is then the figure of all of them together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from vocable.errors import ConfigError, ShapeError
from vocable.metrics.score import Score, undefined

Timed = tuple[str, float | int, float | int]  # symbol, start, end
_SLACK = 1e-6  # rounding of a difference of durations: 0.3 - 0.1 must be within 0.2


# ---- units ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class UnitScores:
    """Scores of the prediction of each unit of a clip.

    Attributes:
        top1: Whether the most likely unit is correct.
        top5: Whether the correct unit is among the five most likely.
        nats: Negative log-likelihood of the correct unit.
    """

    top1: Bool[ndarray, " N"]
    top5: Bool[ndarray, " N"]
    nats: Float[ndarray, " N"]


def score_units(logits: Float[Tensor, "N K"], units: Int[Tensor, " N"]) -> UnitScores:
    """Compare logits of K entries at N positions with the correct units in [0, K).

    Source:
        TASTE, arXiv:2504.07053, appendix (S3 top-5 accuracy).

    Example:
        >>> score_units(torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]]), torch.tensor([0, 1])).top1.tolist()
        [True, False]
    """
    logits = logits.float()
    hits = logits.topk(min(5, logits.shape[1]), dim=1).indices == units[:, None]
    nats = -logits.log_softmax(1).gather(1, units[:, None])[:, 0]
    return UnitScores(top1=hits[:, 0].numpy(), top5=hits.any(1).numpy(), nats=nats.numpy())


@dataclass(frozen=True, kw_only=True)
class Guess:
    """Scores of a guess that uses no model.

    Attributes:
        top: Share of targets among the k guessed units, by k.
        nats: Mean cross-entropy, natural logarithm; undefined for a guess without probabilities.
    """

    top: Mapping[int, Score]
    nats: Score

    @property
    def perplexity(self) -> Score:
        """Exponential of the cross-entropy. Over batches, take the mean of ``nats`` first."""
        if not self.nats.defined:
            return self.nats
        return Score(math.exp(self.nats.value) if self.nats.value < 700 else math.inf, weight=self.nats.weight)


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """Guesses on the same targets, to compare a model with.

    Attributes:
        uniform: All units are equally likely.
        unigram: The k most frequent units of these very targets. No model that ignores its input is better.
        repeat_last: The k units that occurred last in the row; the first target of a row is a miss.
    """

    uniform: Guess
    unigram: Guess
    repeat_last: Guess


def unit_anchors(
    targets: Int[Tensor, "B N"], mask: Bool[Tensor, "B N"], codebook_size: int, ks: Sequence[int] = (1, 5)
) -> Anchors:
    """Score three guesses on a set of targets.

    Args:
        targets: Units in [0, K) where the mask is True.
        mask: True on real positions.
        codebook_size: Number of units K.
        ks: Numbers of guessed units; a k of K or more is undefined, because it cannot miss.

    Raises:
        ConfigError: If a k is below 1.
        ShapeError: If a real target is outside [0, K).

    Example:
        >>> anchors = unit_anchors(torch.tensor([[3, 3, 3, 7]]), torch.ones(1, 4, dtype=torch.bool), 8)
        >>> [guess.top[1].value for guess in (anchors.uniform, anchors.unigram, anchors.repeat_last)]
        [0.125, 0.75, 0.5]
    """
    if not ks or min(ks) < 1:
        raise ConfigError(f"ks is {tuple(ks)}: name at least one k, each 1 or more")
    real = targets[mask].long()
    count = real.numel()
    if count == 0:
        reason = undefined("no position is real")
        nothing = Guess(top=dict.fromkeys(ks, reason), nats=reason)
        return Anchors(uniform=nothing, unigram=nothing, repeat_last=nothing)
    if int(real.min()) < 0 or int(real.max()) >= codebook_size:
        raise ShapeError(
            f"targets lie in [{int(real.min())}, {int(real.max())}] but there are {codebook_size} units; "
            "mask what is not a target"
        )
    counts = torch.bincount(real, minlength=codebook_size).double().sort(descending=True).values
    shares = counts[counts > 0] / count
    recency = torch.tensor([rank for row, here in zip(targets, mask, strict=True) for rank in _recency(row[here], ks)])

    def score(value: float, k: int) -> Score:
        if k >= codebook_size:
            return undefined(f"{k} of {codebook_size} units cannot miss")
        return Score(value, weight=float(count))

    return Anchors(
        uniform=Guess(
            top={k: score(k / codebook_size, k) for k in ks}, nats=Score(math.log(codebook_size), weight=float(count))
        ),
        unigram=Guess(
            top={k: score(float(counts[:k].sum() / count), k) for k in ks},
            nats=Score(float(-(shares * shares.log()).sum()) + 0.0, weight=float(count)),
        ),
        repeat_last=Guess(
            top={k: score(int((recency <= k).sum()) / count, k) for k in ks},
            nats=undefined("repeating gives no probabilities"),
        ),
    )


def _recency(targets: Int[Tensor, " N"], ks: Sequence[int]) -> list[int]:
    """Return the rank of each target among the distinct units before it, from 1; max(ks) + 1 if it is none of them."""
    latest: list[int] = []
    ranks = []
    for unit in targets.tolist():
        ranks.append(latest.index(unit) + 1 if unit in latest else max(ks) + 1)
        latest = [unit, *(other for other in latest if other != unit)][: max(ks)]
    return ranks


# ---- durations ------------------------------------------------------------------------------------------------------


def duration_consistency(reference: Sequence[Timed], decoded: Sequence[Timed], tolerance: float | int) -> Score:
    """Return the share of words or phones that have the same duration in both recordings.

    Args:
        reference: Symbols with start and end, in order, in any one unit of time.
        decoded: The same symbols in the other recording, in the same unit.
        tolerance: Largest difference of durations that counts as the same, in that unit.

    Returns:
        A share in [0, 1]; undefined if the symbols differ, if there is none, or if one ends before it starts.

    Raises:
        ConfigError: If the tolerance is negative or NaN.

    Source:
        TASTE, arXiv:2504.07053, duration consistency.

    Example:
        >>> reference = [("good", 0.0, 0.3), ("morning", 0.3, 0.9)]
        >>> duration_consistency(reference, [("good", 0.1, 0.45), ("morning", 0.45, 1.5)], tolerance=0.05)
        Score(value=0.5, reason='', weight=2.0)
    """
    if not tolerance >= 0:
        raise ConfigError(f"tolerance is {tolerance}: it must be 0 or more")
    changes = _duration_changes(reference, decoded)
    if isinstance(changes, str):
        return undefined(changes)
    kept = sum(abs(change) <= tolerance + _SLACK for change in changes)
    return Score(kept / len(changes), weight=float(len(changes)))


def _duration_changes(reference: Sequence[Timed], decoded: Sequence[Timed]) -> list[float] | str:
    """Return the differences of durations, or the reason why there are none."""
    if len(reference) != len(decoded):
        return f"there are {len(reference)} symbols in one recording and {len(decoded)} in the other"
    if not reference:
        return "there is no symbol"
    for at, ((symbol, *times), (other, *other_times)) in enumerate(zip(reference, decoded, strict=True), start=1):
        if symbol != other:
            return f"symbol {at} is {symbol!r} in one recording and {other!r} in the other"
        if not all(math.isfinite(end) and end >= start for start, end in (times, other_times)):
            return f"symbol {at}, {symbol!r}, ends before it starts or has no time"
    return [float((two[2] - two[1]) - (one[2] - one[1])) for one, two in zip(reference, decoded, strict=True)]
