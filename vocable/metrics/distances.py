"""Distances between two sets of features, computed by tiles, so that no N x M matrix is in memory."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.errors import ConfigError, ShapeError

_LARGEST = 1e18  # largest feature whose square, summed over a few hundred features, fits into single precision
_NUMBERS = 2**20  # differences in memory where pairs are computed one by one
_PROJECTION_SEED = 99  # seed of the reference package of TopP&R


class Distances:
    """Squared Euclidean distances of float64 rows, by tiles.

    One matrix product gives a tile: (-2a, a·a, 1)·(b, 1, b·b). The median of ``a`` is subtracted from both sets first,
    because rounding would dominate the distances of points far from the origin. The mean would follow an outlier.

    Args:
        a: First set of features.
        b: Second set; by default ``a``.

    Example:
        >>> Distances(np.array([[0.0, 0.0], [3.0, 4.0]])).tile(slice(0, 1), slice(0, 2)).round(9).tolist()
        [[0.0, 25.0]]
    """

    def __init__(self, a: Float[ndarray, "N D"], b: Float[ndarray, "M E"] | None = None) -> None:
        self.a, self.b = a, a if b is None else b
        check_widths(self.a, self.b)
        middle = np.median(a, axis=0)
        left, right = self.a - middle, self.b - middle
        norms = [np.einsum("nd,nd->n", part, part)[:, None] for part in (left, right)]
        self._left = np.hstack([-2.0 * left, norms[0], np.ones_like(norms[0])])
        self._right = np.hstack([right, np.ones_like(norms[1]), norms[1]]).T

    def tile(self, rows: slice, columns: slice) -> Float[ndarray, "N M"]:
        """Return the squared distances of rows of ``a`` to rows of ``b``; rounding may make one slightly negative."""
        return self._left[rows] @ self._right[:, columns]

    def exact(self, row: ndarray, column: ndarray) -> Float[ndarray, " P"]:
        """Return the squared distances of pairs, from their differences: equal pairs have equal ones in any tile."""
        squares = np.empty(len(row))
        for part in slices(len(row), max(1, _NUMBERS // self.a.shape[1])):
            difference = self.a[row[part]] - self.b[column[part]]
            squares[part] = np.einsum("pd,pd->p", difference, difference)
        return squares

    def slack(self, rows: slice, columns: slice) -> float:
        """Return the largest difference of this tile from :meth:`exact` that rounding can cause."""
        largest = self._left[rows, -2].max(initial=0.0) + self._right[-1, columns].max(initial=0.0)
        return float(largest * np.finfo(np.float64).eps * (self.a.shape[1] + 8))


def slices(size: int, step: int, start: int = 0) -> Iterator[slice]:
    """Return the range [start, size) as consecutive slices.

    Example:
        >>> list(slices(5, 3))
        [slice(0, 3, None), slice(3, 5, None)]
    """
    return (slice(at, min(at + step, size)) for at in range(start, size, step))


def project(features: Float[ndarray, "N D"], width: int = 32) -> Float[ndarray, "N E"]:
    """Project features with the fixed random linear map of TopP&R if there are more than ``width`` of them.

    The weights are Xavier-normal from seed 99, as the reference package draws them. The global random state of torch
    does not change.

    Args:
        features: Features of N samples.
        width: Largest number of features of the result.

    Returns:
        Features in single precision, as the reference package computes.

    Raises:
        ConfigError: If ``width`` is under 1.

    Source:
        Kim et al., NeurIPS 2023, arXiv:2306.08013; package top-pr 0.2.1.

    Example:
        >>> project(np.ones((2, 64))).shape, project(np.ones((2, 5))).shape
        ((2, 32), (2, 5))
    """
    if width < 1:
        raise ConfigError(f"project: width {width} is not a number of features: give at least 1")
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow becomes infinite, which `find_defect` reports
        narrow = np.ascontiguousarray(features, dtype=np.float32)
    if narrow.shape[1] <= width:
        return narrow
    import torch

    weight = torch.empty(width, narrow.shape[1])
    torch.nn.init.xavier_normal_(weight, generator=torch.Generator().manual_seed(_PROJECTION_SEED))
    return torch.nn.functional.linear(torch.tensor(narrow), weight).numpy()


def find_defect(real: Float[ndarray, "N D"], fake: Float[ndarray, "M E"], least: int, why: str) -> str:
    """Return the reason why these sets cannot be compared; empty if they can.

    Both need ``least`` samples; ``why`` names what needs them, for the message.

    Example:
        >>> find_defect(np.zeros((4, 2)), np.full((9, 2), np.nan), 5, "5 neighbors")
        '4 real samples, and 5 neighbors need at least 5'
    """
    check_widths(real, fake)
    if real.shape[1] == 0:
        return "the samples have no features"
    for name, part in (("real", real), ("fake", fake)):
        if len(part) < least:
            return f"{len(part)} {name} samples, and {why} need at least {least}"
        if bad := int((~np.isfinite(part).all(axis=1)).sum()):
            return f"{bad} of {len(part)} {name} samples hold NaN or infinite features"
        if np.abs(part).max() > _LARGEST:
            return f"{name} features over {_LARGEST:g} overflow single precision: scale them down"
    return ""


def check_widths(real: Float[ndarray, "N D"], fake: Float[ndarray, "M E"]) -> None:
    """Raise :class:`ShapeError` unless both sets have the same number of features.

    Example:
        >>> check_widths(np.zeros((4, 2)), np.zeros((9, 2)))
    """
    if real.shape[1] != fake.shape[1]:
        raise ShapeError(
            f"real samples have {real.shape[1]} features and fake ones {fake.shape[1]}: take both from one space"
        )
