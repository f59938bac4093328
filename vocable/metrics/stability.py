"""Stability of token ids: how many change while the speech stays the same."""

from jaxtyping import Int
from numpy import ndarray

from vocable.errors import MissingDependencyError, ShapeError
from vocable.metrics.score import Score, undefined


def unit_edit_distance(ids: Int[ndarray, "Q N"], perturbed: Int[ndarray, "P M"]) -> list[Score]:
    """Return the normalized edit distance of the ids of each level before and after a perturbation.

    Insertions, deletions and substitutions are divided by the number of ids before, which is also the weight.
    0 means that no id changed.

    Args:
        ids: Ids of the clip.
        perturbed: Ids of the perturbed clip, of the same levels.

    Returns:
        One score per level; undefined if the clip has no ids.

    Raises:
        ShapeError: If the numbers of levels differ.
        MissingDependencyError: If rapidfuzz is not installed.

    Source:
        Unit edit distance (UED): Gat et al., arXiv:2209.15483; by level, as in StableToken, arXiv:2509.22220.

    Example:
        >>> import numpy as np
        >>> ids = np.array([[1, 2, 3, 4], [5, 5, 5, 5]])
        >>> [score.value for score in unit_edit_distance(ids, np.array([[2, 3, 4, 9], [5, 5, 5, 5]]))]
        [0.5, 0.0]
    """
    if len(ids) != len(perturbed):
        raise ShapeError(f"the ids have {len(ids)} levels and the perturbed ones {len(perturbed)}; give the same")
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise MissingDependencyError("edit distances need rapidfuzz; run pip install 'vocable[metrics]'") from error
    if ids.shape[1] == 0:
        return [undefined("the clip has no ids")] * len(ids)
    pairs = zip(ids.tolist(), perturbed.tolist(), strict=True)
    return [Score(Levenshtein.distance(*pair) / ids.shape[1], weight=float(ids.shape[1])) for pair in pairs]
