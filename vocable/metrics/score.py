"""A figure of one clip, a figure of many, and the reason where there is none."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np


@dataclass(frozen=True)
class Score:
    """A figure of one clip, or why there is none.

    Attributes:
        value: The figure; NaN where it is undefined.
        reason: Why it is undefined; empty where it is defined.
        weight: What the clip counts for in a mean: 1, or for a rate its denominator (the words of the text), so that
            the mean is errors over words of all clips together.
        counts: What the figure was made of, where that adds up over clips, such as substitutions.

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
        """Whether there is a figure."""
        return not math.isnan(self.value)

    def text(self, form: str, unit: str = "") -> str:
        """The figure in this number format with its unit, or ``undefined (why)``."""
        return f"{self.value:{form}}{unit}" if self.defined else f"undefined ({self.reason})"


def undefined(reason: str) -> Score:
    """No figure, and why."""
    return Score(math.nan, reason)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A mean over clips with its interval.

    Attributes:
        mean: Weighted by the scores' weights; NaN where no clip has a figure.
        low: Lower end of the 95 % interval; NaN as above, and for one clip or group alone.
        high: Upper end.
        n: Clips that have a figure.
        excluded: Clips that have none.
        reasons: Why, and how often.
        counts: Sums of the scores' counts.
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
        """The mean and, where there is one, its interval; or ``undefined``."""
        if math.isnan(self.mean):
            return "undefined"
        interval = f" ({self.low:{form}} to {self.high:{form}})" if self.n > 1 and self.low == self.low else ""
        return f"{self.mean:{form}}{interval}"


def summarise(
    scores: Sequence[Score], *, seed: int = 0, rounds: int = 1000, groups: Sequence[Hashable] | None = None
) -> Figure:
    """Mean of the figures there are, with the 95 % percentile bootstrap interval.

    Args:
        scores: One of each clip; the undefined ones are counted and their reasons kept.
        seed: Of the bootstrap.
        rounds: Resamples.
        groups: What is drawn again: the clips by default; with one name of each clip (its speaker) all clips of a
            name together, so that the interval speaks of other speakers too.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3, percentile interval.

    Example:
        >>> figure = summarise([Score(0.0, weight=9.0), Score(1.0), undefined("silent")])
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
    means = sums[drawn].sum(axis=1)[totals > 0] / totals[totals > 0]
    low, high = np.percentile(means, [2.5, 97.5])
    return figure(mean=mean, low=float(low), high=float(high))
