"""Accuracy of predicted units, and agreement of durations.

Every figure is a Score whose weight is the number of targets, frames or symbols it was counted on, so that the mean
over batches or clips is the figure of all of them together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vocable.errors import ConfigError, ShapeError
from vocable.metrics.score import Score, undefined

Timed = tuple[str, float | int, float | int]
_SLACK = 1e-9  # durations are differences: 0.3 - 0.1 must be within 0.2


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """How well units are told beforehand.

    Attributes:
        top: By k: the share of targets among the k likeliest units.
        nats: Mean cross-entropy, natural logarithm; undefined for a guesser without probabilities.
    """

    top: Mapping[int, Score]
    nats: Score

    @property
    def perplexity(self) -> Score:
        """The exponential of the cross-entropy.

        Its mean over batches is not the perplexity of all: take the mean of ``nats`` first.
        """
        if not self.nats.defined:
            return self.nats
        return Score(math.exp(self.nats.value) if self.nats.value < 700 else math.inf, weight=self.nats.weight)


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """What guessing without a model gives on the same targets.

    Attributes:
        uniform: Every unit as likely as any other.
        unigram: The commonest k of these very targets, with their frequencies: no model that ignores its input
            does better.
        repeat_last: The k units that occurred last in the row, the latest first; a row's first target is a miss.
    """

    uniform: Prediction
    unigram: Prediction
    repeat_last: Prediction


@dataclass(frozen=True, kw_only=True)
class UnitAccuracy:
    """A model's prediction beside its anchors."""

    model: Prediction
    anchors: Anchors


def unit_accuracy(
    logits: Float[Tensor, "B N K"], targets: Int[Tensor, "B N"], mask: Bool[Tensor, "B N"], ks: Sequence[int] = (1, 5)
) -> UnitAccuracy:
    """Top-k accuracy and cross-entropy of predicted units on the real positions, with anchors.

    A unit as likely as the target counts as likelier: a model that gives all units the same has no hit by luck.

    Args:
        logits: Of K units at each position; any dtype, computed in single precision at least.
        targets: In [0, K) where the mask is True; anything where it is False.
        mask: True on real positions.
        ks: Numbers of likeliest units to look among; a k of K or more is undefined, for it cannot miss.

    Returns:
        Undefined, with a reason, where no position is real or a logit is NaN.

    Raises:
        ConfigError: A k below 1.
        ShapeError: A real target outside [0, K).

    Source:
        TASTE, arXiv:2504.07053, appendix (S3 top-5 accuracy).

    Example:
        >>> logits = torch.tensor([[[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [9.0, 9.0, 9.0]]])
        >>> found = unit_accuracy(logits, torch.tensor([[0, 1, -1]]), torch.tensor([[True, True, False]]), ks=(1, 2))
        >>> [found.model.top[k].value for k in (1, 2)], round(found.model.perplexity.value, 3)
        ([0.5, 1.0], 2.478)
    """
    anchors = unit_anchors(targets, mask, logits.shape[2], ks)
    rows, wanted = logits[mask], targets[mask].long()  # (M, K), (M,)
    count = wanted.numel()
    if count == 0 or bool(rows.isnan().any()):
        reason = "no position is real" if count == 0 else "the logits hold NaN"
        return UnitAccuracy(model=_no_prediction(reason, ks), anchors=anchors)
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    of_target = rows.gather(1, wanted[:, None])
    ranks = (rows >= of_target).sum(dim=1)
    nats = (rows.logsumexp(dim=1) - of_target[:, 0]).double().mean()
    lost = Score(float(nats), weight=float(count)) if not bool(nats.isnan()) else undefined("a logit is infinite")
    return UnitAccuracy(model=Prediction(top=_shares(ranks, ks, rows.shape[1], "units"), nats=lost), anchors=anchors)


def unit_anchors(
    targets: Int[Tensor, "B N"], mask: Bool[Tensor, "B N"], codebook_size: int, ks: Sequence[int] = (1, 5)
) -> Anchors:
    """The anchors alone: for a set too large to hold its logits, pass all its targets once.

    Args:
        targets: In [0, K) where the mask is True.
        mask: True on real positions.
        codebook_size: K.
        ks: As in :func:`unit_accuracy`.

    Raises:
        ConfigError: A k below 1.
        ShapeError: A real target outside [0, K).

    Example:
        >>> told = unit_anchors(torch.tensor([[3, 3, 3, 7]]), torch.ones(1, 4, dtype=torch.bool), 8)
        >>> [guess.top[1].value for guess in (told.uniform, told.unigram, told.repeat_last)]
        [0.125, 0.75, 0.5]
    """
    _check_ks(ks)
    real = targets[mask].long()
    count = real.numel()
    if count == 0:
        nothing = _no_prediction("no position is real", ks)
        return Anchors(uniform=nothing, unigram=nothing, repeat_last=nothing)
    if int(real.min()) < 0 or int(real.max()) >= codebook_size:
        raise ShapeError(
            f"targets lie in [{int(real.min())}, {int(real.max())}] but there are {codebook_size} units; "
            "mask what is not a target"
        )
    weight = float(count)
    counts = torch.bincount(real, minlength=codebook_size).double()
    common = counts.sort(descending=True).values
    shares = common[common > 0] / count
    recency = torch.tensor([rank for row, here in zip(targets, mask, strict=True) for rank in _recency(row[here], ks)])
    return Anchors(
        uniform=Prediction(
            top={k: _defined(k / codebook_size, weight, k, codebook_size, "units") for k in ks},
            nats=Score(math.log(codebook_size), weight=weight),
        ),
        unigram=Prediction(
            top={k: _defined(float(common[:k].sum() / count), weight, k, codebook_size, "units") for k in ks},
            nats=Score(float(-(shares * shares.log()).sum()) + 0.0, weight=weight),
        ),
        repeat_last=Prediction(
            top=_shares(recency, ks, codebook_size, "units"), nats=undefined("repeating gives no probabilities")
        ),
    )


def duration_consistency(durations_a: Sequence[Timed], durations_b: Sequence[Timed], tolerance: float | int) -> Score:
    """Share of words or phones that last as long in one recording as in the other.

    Args:
        durations_a: (symbol, start, end) in order, in any one unit of time.
        durations_b: The same symbols in the other recording, in the same unit.
        tolerance: Largest difference of durations that passes, in that unit; the difference itself included.

    Returns:
        Undefined, with a reason, where the symbols differ, there is none, or one ends before it starts.

    Raises:
        ConfigError: The tolerance is negative or NaN.

    Source:
        TASTE, arXiv:2504.07053, duration consistency.

    Example:
        >>> said = [("good", 0.0, 0.3), ("morning", 0.3, 0.9)]
        >>> again = [("good", 0.1, 0.45), ("morning", 0.45, 1.5)]
        >>> duration_consistency(said, again, tolerance=0.05)
        Score(value=0.5, reason='', weight=2.0)
    """
    if not tolerance >= 0:
        raise ConfigError(f"tolerance is {tolerance}: it must be 0 or more")
    changes = _changes(durations_a, durations_b)
    if isinstance(changes, str):
        return undefined(changes)
    kept = sum(abs(change) <= tolerance + _SLACK for change in changes)
    return Score(kept / len(changes), weight=float(len(changes)))


def duration_mse(durations_a: Sequence[Timed], durations_b: Sequence[Timed], frame_rate: float | int) -> Score:
    """Mean squared difference of durations, in squared frames (MSED).

    Args:
        durations_a: (symbol, start, end) in order, in seconds; or in frames, with a frame rate of 1.
        durations_b: The same symbols in the other recording.
        frame_rate: Frames per second.

    Returns:
        Undefined as :func:`duration_consistency`.

    Raises:
        ConfigError: The frame rate is not positive.

    Source:
        MSED of CTAP, arXiv:2309.00424.

    Example:
        >>> duration_mse([("a", 0, 5), ("b", 5, 9)], [("a", 0, 7), ("b", 7, 11)], frame_rate=1.0)
        Score(value=2.0, reason='', weight=2.0)
    """
    if not 0 < frame_rate < math.inf:
        raise ConfigError(f"frame_rate is {frame_rate}: it must be positive")
    changes = _changes(durations_a, durations_b)
    if isinstance(changes, str):
        return undefined(changes)
    return Score(math.fsum((change * frame_rate) ** 2 for change in changes) / len(changes), weight=float(len(changes)))


def _changes(one: Sequence[Timed], other: Sequence[Timed]) -> list[float] | str:
    """Differences of durations, or why there are none."""
    if len(one) != len(other):
        return f"there are {len(one)} symbols in one recording and {len(other)} in the other"
    if not one:
        return "there is no symbol"
    for at, ((symbol, *times), (again, *others)) in enumerate(zip(one, other, strict=True), start=1):
        if symbol != again:
            return f"symbol {at} is {symbol!r} in one recording and {again!r} in the other"
        if not all(math.isfinite(end) and end >= start for start, end in (times, others)):
            return f"symbol {at}, {symbol!r}, ends before it starts or has no time"
    return [float((two[2] - two[1]) - (first[2] - first[1])) for first, two in zip(one, other, strict=True)]


def _check_ks(ks: Sequence[int]) -> None:
    if not ks or min(ks) < 1:
        raise ConfigError(f"ks is {tuple(ks)}: name at least one k, each 1 or more")


def _no_prediction(reason: str, ks: Sequence[int]) -> Prediction:
    return Prediction(top=dict.fromkeys(ks, undefined(reason)), nats=undefined(reason))


def _defined(value: float, weight: float, k: int, size: int, name: str) -> Score:
    return Score(value, weight=weight) if k < size else undefined(f"{k} of {size} {name} cannot miss")


def _shares(ranks: Int[Tensor, " M"], ks: Sequence[int], size: int, name: str) -> dict[int, Score]:
    """Share of ranks (from 1) that are at most k."""
    count = ranks.numel()
    return {k: _defined(int((ranks <= k).sum()) / count, float(count), k, size, name) for k in ks}


def _recency(targets: Int[Tensor, " N"], ks: Sequence[int]) -> list[int]:
    """How many different units back each target occurred last, from 1; beyond every k where it did not."""
    latest: list[int] = []
    ranks = []
    for unit in targets.tolist():
        ranks.append(latest.index(unit) + 1 if unit in latest else max(ks) + 1)
        latest = [unit, *(other for other in latest if other != unit)][: max(ks)]
    return ranks
