"""Scores of clips, figures of many clips with bootstrap intervals, and the reason where a value is undefined."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Score:
    """A value of one clip, or the reason why there is none.

    Attributes:
        value: The value; NaN if it is undefined.
        reason: Reason why it is undefined; empty if it is defined.
        weight: Weight of the clip in a mean: 1, or the denominator of a rate (the words of the text), so that the mean
            is errors over words of all clips together.
        counts: Counts that the value was made of and that add up over clips, such as substitutions.

    Example:
        >>> print(Score(0.87654).text(".2f"), "|", undefined("the recording is silent").text(".2f"))
        0.88 | undefined (the recording is silent)
    """

    value: float
    reason: str = ""
    weight: float = 1.0
    counts: Mapping[str, int] = field(default_factory=dict, repr=False)

    def __float__(self) -> float:
        return self.value

    @property
    def defined(self) -> bool:
        """True if there is a value."""
        return not math.isnan(self.value)

    def text(self, form: str, unit: str = "") -> str:
        """Format the value with its unit, or return ``undefined (reason)``."""
        return f"{self.value:{form}}{unit}" if self.defined else f"undefined ({self.reason})"


def undefined(reason: str) -> Score:
    """Return an undefined score with its reason."""
    return Score(math.nan, reason)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A value of many clips, mostly their mean, with its interval.

    Attributes:
        mean: Mean, weighted by the weights of the scores; NaN if no clip has a value.
        low: Lower end of the 95 % interval; NaN as above, and for a single clip or group.
        high: Upper end.
        n: Number of clips that have a value.
        excluded: Number of clips that have none.
        reasons: Number of excluded clips by reason.
        counts: Sums of the counts of the scores.
    """

    mean: float
    low: float
    high: float
    n: int
    excluded: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    def complement(self) -> "Figure":
        """Return the figure of 1 - x, such as the error rate of an accuracy.

        Example:
            >>> Figure(mean=0.75, low=0.5, high=0.875, n=9).complement()
            Figure(mean=0.25, low=0.125, high=0.5, n=9, excluded=0, reasons={}, counts={})
        """
        return replace(self, mean=1 - self.mean, low=1 - self.high, high=1 - self.low)

    def text(self, form: str = ".3f") -> str:
        """Format the mean with its interval, if there is one; ``undefined`` if there is no mean."""
        if math.isnan(self.mean):
            return "undefined"
        interval = f" ({self.low:{form}} to {self.high:{form}})" if self.n > 1 and self.low == self.low else ""
        return f"{self.mean:{form}}{interval}"

    def root(self, unit: float = 1.0) -> "Figure":
        """Return the square root of mean and interval, times ``unit``: of a mean squared error, the RMSE."""
        low, mean, high = (unit * math.sqrt(value) for value in (self.low, self.mean, self.high))
        return replace(self, low=low, mean=mean, high=high)


def point_figure(value: float, n: int) -> Figure:
    """Return a figure that was counted on all n clips at once and has no interval."""
    return Figure(mean=float(value), low=math.nan, high=math.nan, n=n)


def percentile_interval(values: Any) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles of resampled values: the 95 % percentile bootstrap interval.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def summarize(
    scores: Sequence[Score], *, seed: int = 0, rounds: int = 1000, groups: Sequence[Hashable] | None = None
) -> Figure:
    """Return the weighted mean of the defined scores with its 95 % percentile bootstrap interval.

    Args:
        scores: One score per clip; undefined ones are counted by reason.
        seed: Seed of the bootstrap.
        rounds: Number of resamples.
        groups: Name of each clip's group, such as its speaker. Groups are resampled as a whole, so that the interval
            covers other speakers, too. By default clips are resampled.

    Source:
        See :func:`percentile_interval`.

    Example:
        >>> figure = summarize([Score(0.0, weight=9.0), Score(1.0), undefined("silent")])
        >>> figure.mean, figure.n, figure.excluded, figure.reasons
        (0.1, 2, 1, {'silent': 1})
    """
    reasons = Counter(score.reason for score in scores if not score.defined)
    kept = [at for at, score in enumerate(scores) if score.defined]
    counts = {name: sum(scores[at].counts[name] for at in kept) for name in (scores[kept[0]].counts if kept else ())}
    figure = partial(
        Figure, n=len(kept), excluded=len(scores) - len(kept), reasons=dict(sorted(reasons.items())), counts=counts
    )
    weights = np.array([scores[at].weight for at in kept])
    if not kept or weights.sum() == 0.0:
        return figure(mean=math.nan, low=math.nan, high=math.nan)
    sums = np.array([scores[at].value * scores[at].weight for at in kept])
    if groups is not None:
        names = {name: row for row, name in enumerate(dict.fromkeys(groups[at] for at in kept))}
        rows = np.array([names[groups[at]] for at in kept])
        sums, weights = (np.bincount(rows, weights=part, minlength=len(names)) for part in (sums, weights))
    mean = float(sums.sum() / weights.sum())
    if sums.size == 1:
        return figure(mean=mean, low=math.nan, high=math.nan)
    drawn = np.random.default_rng(seed).integers(sums.size, size=(rounds, sums.size))
    totals = weights[drawn].sum(axis=1)
    low, high = percentile_interval(sums[drawn].sum(axis=1)[totals > 0] / totals[totals > 0])
    return figure(mean=mean, low=low, high=high)


def median_figure(clips: Sequence[Sequence[float]], speakers: Sequence[str], seed: int, rounds: int = 1000) -> Figure:
    """Return the median of the values of all clips together, with the percentile bootstrap interval over speakers.

    Example:
        >>> median_figure([[1.0, 2.0], [9.0]], ["a", "b"], seed=0).mean
        2.0
    """
    by_speaker: dict[str, list[float]] = {}
    for values, speaker in zip(clips, speakers, strict=True):
        by_speaker.setdefault(speaker, []).extend(values)
    parts = [np.array(values) for values in by_speaker.values() if values]
    if not parts:
        return point_figure(math.nan, 0)
    figure = point_figure(float(np.median(np.concatenate(parts))), sum(map(bool, clips)))
    if len(parts) < 2:
        return figure
    random = np.random.default_rng(seed)
    drawn = [
        np.median(np.concatenate([parts[at] for at in random.integers(len(parts), size=len(parts))]))
        for _ in range(rounds)
    ]
    low, high = percentile_interval(drawn)
    return replace(figure, low=low, high=high)
