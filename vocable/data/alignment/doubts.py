"""Recordings whose alignment is far worse than that of most others."""

from collections.abc import Iterable

import numpy as np

from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError

_OUTLIER = 4  # median deviations below the median: 78 % of recordings with a wrong text lie there, 1 % of the others
_MIN_SCORES = 20  # for a median to mean anything
_MAX_SCORE = 1e300  # a manifest may hold integers that no float does


def find_doubtful(utterances: Iterable[Utterance]) -> list[AlignmentError]:
    """Return a warning for each utterance whose ``alignment_score`` is far below most others: its text may be wrong.

    The threshold of a manifest comes from its own scores, as every aligner and every corpus has its own scale.
    """
    manifests: dict[str, dict[str, float]] = {}
    for one in utterances:
        if (score := _score(one)) is not None:
            manifests.setdefault(one.where.rpartition(", line ")[0], {})[one.name] = score
    return [doubt for scores in manifests.values() if len(scores) >= _MIN_SCORES for doubt in _outliers(scores)]


def _outliers(scores: dict[str, float]) -> list[AlignmentError]:
    median = np.median(list(scores.values()))
    least = median - _OUTLIER * np.median([abs(score - median) for score in scores.values()])
    return [
        AlignmentError(
            f"{name}: its alignment_score is {score:g}, the median is {median:g}; check whether its text is right"
        ) for name, score in scores.items() if score < least
    ]  # fmt: skip


def _score(utterance: Utterance) -> float | None:
    """Return an utterance's alignment score, or None if its line has none that is a number."""
    score = utterance.extra.get("alignment_score")
    if isinstance(score, int | float) and not isinstance(score, bool) and abs(score) < _MAX_SCORE:
        return float(score)
    return None
