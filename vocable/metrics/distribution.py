"""Distances of a set of generated samples from a set of recordings: Fréchet, kernel distance, neighborhoods.

Every function takes the real features first and the generated ones second, (N, D) and (M, D), and holds no N x M
matrix. Sets of different numbers of features raise :class:`ShapeError`. A figure is undefined, with its reason, if
it cannot be measured. Figures of different feature spaces or sample counts do not compare.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.errors import ConfigError
from vocable.metrics.distances import Distances, check_widths, find_defect, project, slices
from vocable.metrics.score import Figure, Score, summarize, undefined
from vocable.metrics.support import Support, topological_precision_recall

_ROWS = 1024  # rows of features in a block
_TILE = 384  # rows and columns of distances in a block
_MAX_FEATURES = 32  # that TopP&R compares
_NEAREST = 3  # neighbors of precision and recall
_NEAREST_DENSE = 5  # neighbors of density and coverage


@dataclass(frozen=True, kw_only=True)
class Neighborhoods:
    """Four figures of balls around each sample with the distance to its k-th nearest neighbor as radius.

    Attributes:
        neighbors: Number of neighbors k.
        precision: Share of the fakes in the ball of any real sample, in [0, 1]. An outlier among the real samples has a
            large ball and raises it.
        recall: Share of the real samples in the ball of any fake, in [0, 1].
        density: Mean number of balls of real samples around a fake, over k: about 1 for equal sets, unbounded above.
        coverage: Share of the real samples whose ball holds a fake, in [0, 1].
    """

    neighbors: int
    precision: Score
    recall: Score
    density: Score
    coverage: Score


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Figures of this module and TopP&R, on the same arrays with the same projection.

    Attributes:
        support: TopP&R, with the feature space, the counts and the warnings.
        frechet: Fréchet distance, 0 for equal Gaussians.
        kernel: Kernel distance, about 0 for equal sets.
        nearest: Neighborhoods with k = 3, for precision and recall.
        dense: Neighborhoods with k = 5, for density and coverage.
        warnings: Warnings of TopP&R, and one for a covariance with fewer samples than features.
    """

    support: Support
    frechet: Score
    kernel: Figure
    nearest: Neighborhoods
    dense: Neighborhoods
    warnings: tuple[str, ...]

    def figures(self) -> dict[str, Score | Figure]:
        """Return the figures by their names in a table."""
        return {
            "TopP&R fidelity": self.support.fidelity,
            "TopP&R diversity": self.support.diversity,
            "TopP&R F1": self.support.f1,
            "Fréchet distance": self.frechet,
            "kernel distance": self.kernel,
            f"precision (k = {self.nearest.neighbors})": self.nearest.precision,
            f"recall (k = {self.nearest.neighbors})": self.nearest.recall,
            f"density (k = {self.dense.neighbors})": self.dense.density,
            f"coverage (k = {self.dense.neighbors})": self.dense.coverage,
        }


def compare(
    real: Float[ndarray, "N D"],
    fake: Float[ndarray, "M E"],
    *,
    seed: int = 0,
    dimensions: int = _MAX_FEATURES,
    space: str = "features",
) -> Comparison:
    """Compute every figure on the same arrays, projected once if there are more than ``dimensions`` features.

    Args:
        real: Features of recordings.
        fake: Features of generated samples.
        seed: Seed of TopP&R's bootstraps and of the kernel distance's subsets.
        dimensions: Largest number of features to compare, 1 to 32.
        space: Name of the feature space, printed with the result.

    Raises:
        ConfigError: If ``dimensions`` is out of range.

    Example:
        >>> made = np.random.default_rng(0)
        >>> found = compare(made.standard_normal((200, 6)), made.standard_normal((200, 6)) + 9.0, space="noise")
        >>> [round(float(figure.mean)) for figure in (found.support.fidelity, found.support.diversity)]
        [0, 0]
        >>> found.frechet.text(".0f"), found.nearest.precision.text(".2f"), found.dense.coverage.text(".2f")
        ('488', '0.00', '0.00')
        >>> found.warnings
        ('no fake lies within a bandwidth of any real sample: the sets may be of different spaces or scales',)
    """
    if not 1 <= dimensions <= _MAX_FEATURES:
        raise ConfigError(f"compare: {dimensions} dimensions are out of range: TopP&R compares 1 to {_MAX_FEATURES}")
    check_widths(real, fake)  # before both are projected to one width
    pair = project(real, dimensions), project(fake, dimensions)
    support = topological_precision_recall(*pair, seed=seed, space=space)
    scarce = tuple(
        f"{len(part)} {name} samples of {part.shape[1]} features: the Fréchet distance is biased upwards"
        for name, part in zip(("real", "fake"), pair, strict=True)
        if 2 <= len(part) <= part.shape[1]
    )
    return Comparison(
        support=dataclasses.replace(support, dimensions=real.shape[1]),
        frechet=frechet_distance(*pair),
        kernel=kernel_distance(*pair, seed=seed),
        nearest=neighborhoods(*pair, neighbors=_NEAREST),
        dense=neighborhoods(*pair, neighbors=_NEAREST_DENSE),
        warnings=support.warnings + scarce,
    )


def frechet_distance(real: Float[ndarray, "N D"], fake: Float[ndarray, "M E"]) -> Score:
    """Return the squared Fréchet distance of Gaussians fitted to the sets: 0 for equal ones, in squared feature units.

    It is ``|a - b|² + tr(A + B - 2 (A B)^½)``. The last trace is the sum of the singular values of ``R S'`` where
    ``A = R' R`` and ``B = S' S``. It is therefore never complex, and covariances of rank below D (few samples, dead
    features) are allowed. The distance is biased upwards for few samples.

    Source:
        Dowson and Landau, J. Multivariate Analysis 12, 1982; for features of a network Heusel et al., NeurIPS 2017,
        arXiv:1706.08500 (FID), Kilgour et al., Interspeech 2019, arXiv:1812.08466 (FAD).

    Example:
        >>> real = np.random.default_rng(0).standard_normal((50, 4))
        >>> round(frechet_distance(real, real + 1.0).value, 9)
        4.0
    """
    if reason := find_defect(real, fake, 2, "covariances"):
        return undefined(reason)
    (middle, root), (other_middle, other_root) = (_gaussian(part) for part in (real, fake))
    apart = middle - other_middle
    shared = np.linalg.svd(root @ other_root.T, compute_uv=False).sum()
    value = apart @ apart + (root * root).sum() + (other_root * other_root).sum() - 2.0 * shared
    return Score(max(float(value), 0.0))  # rounding may leave a tiny negative one


def kernel_distance(
    real: Float[ndarray, "N D"], fake: Float[ndarray, "M E"], *, subsets: int = 100, size: int = 1_000, seed: int = 0
) -> Figure:
    """Return the kernel distance (KID): the unbiased squared maximum mean discrepancy under ``(x·y / D + 1)³``.

    It is about 0 for equal sets and may be negative. The figure is the mean over random subsets with its bootstrap
    interval over them. The subsets share samples, so the interval of new samples would be wider.

    Args:
        real: Features of recordings.
        fake: Features of generated samples.
        subsets: Number of subsets.
        size: Samples of each set in a subset; at most half of the smaller set, so that subsets differ.
        seed: Seed of the subsets.

    Raises:
        ConfigError: If a setting is out of range.

    Source:
        Bińkowski et al., ICLR 2018, arXiv:1801.01401.

    Example:
        >>> real = np.random.default_rng(0).standard_normal((60, 4))
        >>> kernel_distance(real, real + 1.0).mean > 1.0
        True
    """
    if subsets < 1 or size < 2:
        raise ConfigError(f"kernel distance: {subsets} subsets of {size}: give at least 1 of at least 2 samples")
    if reason := find_defect(real, fake, 4, "subsets"):
        return summarize([undefined(reason)])
    stream = np.random.default_rng(seed)
    taken = min(size, min(len(real), len(fake)) // 2)
    values = []
    for _ in range(subsets):
        pair = [part[stream.choice(len(part), taken, replace=False)].astype(np.float64) for part in (real, fake)]
        values.append(Score(_discrepancy(*pair)))
    return summarize(values, seed=seed)


def neighborhoods(real: Float[ndarray, "N D"], fake: Float[ndarray, "M E"], *, neighbors: int) -> Neighborhoods:
    """Compute improved precision and recall, density and coverage, with balls up to the k-th nearest neighbor.

    Usual are 3 ``neighbors`` for precision and recall, 5 for density and coverage. As in the package prdc 0.2, a
    sample on the surface of a ball is not in it. Ties are decided by distances computed from the differences, so that
    the result does not depend on the size of a block.

    Raises:
        ConfigError: If ``neighbors`` is under 1.

    Source:
        Kynkäänniemi et al., NeurIPS 2019, arXiv:1904.06991; Naeem et al., ICML 2020, arXiv:2002.09797.

    Example:
        >>> real = np.random.default_rng(0).standard_normal((60, 4))
        >>> found = neighborhoods(real, np.repeat(real[:6], 10, axis=0), neighbors=3)
        >>> found.precision.value, found.recall.text(".1f")
        (1.0, 'undefined (every fake sample equals 3 others)')
    """
    if neighbors < 1:
        raise ConfigError(f"neighborhoods: {neighbors} neighbors: give at least 1")
    if reason := find_defect(real, fake, neighbors + 1, f"{neighbors} neighbors"):
        nothing = undefined(reason)
        return Neighborhoods(neighbors=neighbors, precision=nothing, recall=nothing, density=nothing, coverage=nothing)
    pair = [part.astype(np.float64) for part in (real, fake)]
    radii = [_radii(part, neighbors) for part in pair]
    fakes_in_balls, reals_covered, reals_recalled = _count(Distances(*pair), *radii)
    of_real, of_fake = (
        "" if part.any() else f"every {name} sample equals {neighbors} others"
        for name, part in zip(("real", "fake"), radii, strict=True)
    )
    return Neighborhoods(
        neighbors=neighbors,
        precision=undefined(of_real) if of_real else Score(float((fakes_in_balls > 0).mean())),
        recall=undefined(of_fake) if of_fake else Score(float(reals_recalled.mean())),
        density=undefined(of_real) if of_real else Score(float(fakes_in_balls.mean()) / neighbors),
        coverage=undefined(of_real) if of_real else Score(float(reals_covered.mean())),
    )


def _gaussian(features: Float[ndarray, "N D"]) -> tuple[Float[ndarray, " D"], Float[ndarray, "P D"]]:
    """Return the mean, and a root R of the covariance R' R from QR; squaring first would lose half of the digits."""
    middle = features.mean(axis=0, dtype=np.float64)
    root = np.zeros((0, features.shape[1]))
    for rows in slices(len(features), _ROWS):
        root = np.asarray(np.linalg.qr(np.vstack([root, features[rows] - middle]), mode="r"))
    return middle, root / np.sqrt(len(features) - 1.0)


def _discrepancy(real: Float[ndarray, "S D"], fake: Float[ndarray, "S D"]) -> float:
    size, width = real.shape
    within = 0.0
    for part in (real, fake):
        kernel = (part @ part.T / width + 1.0) ** 3
        within += (kernel.sum() - np.trace(kernel)) / (size * (size - 1))
    return float(within - 2.0 * ((real @ fake.T / width + 1.0) ** 3).mean())


def _radii(points: Float[ndarray, "N D"], neighbors: int) -> Float[ndarray, " N"]:
    """Return the squared distance of each sample to its k-th nearest other one."""
    distances = Distances(points)
    nearest = np.empty(len(points), dtype=np.int64)
    for rows in slices(len(points), 64):
        tile = distances.tile(rows, slice(None))
        np.fill_diagonal(tile[:, rows], np.inf)
        nearest[rows] = np.argpartition(tile, neighbors - 1, axis=1)[:, neighbors - 1]
    return distances.exact(np.arange(len(points)), nearest)


def _count(
    distances: Distances, of_real: Float[ndarray, " N"], of_fake: Float[ndarray, " M"]
) -> tuple[ndarray, ndarray, ndarray]:
    """Return the number of real balls around each fake, and for each real sample, two masks.

    The first mask tells whether its ball holds a fake, the second whether it lies in the ball of a fake.
    """
    held, holding, recalled = np.zeros(len(of_fake)), np.zeros(len(of_real), bool), np.zeros(len(of_real), bool)
    for rows in slices(len(of_real), _TILE):
        for columns in slices(len(of_fake), _TILE):
            tile = distances.tile(rows, columns)
            inside = _inside(distances, tile, of_real[rows, None], rows, columns)
            held[columns] += inside.sum(axis=0)
            holding[rows] |= inside.any(axis=1)
            recalled[rows] |= _inside(distances, tile, of_fake[None, columns], rows, columns).any(axis=1)
    return held, holding, recalled


def _inside(
    distances: Distances, tile: Float[ndarray, "N M"], radii: Float[ndarray, "_ _"], rows: slice, columns: slice
) -> ndarray:
    """Return which squared distances are below the radii; those within rounding are computed exactly."""
    past = tile - radii
    inside = past < 0.0
    row, column = np.nonzero(np.abs(past) <= distances.slack(rows, columns))
    exact = distances.exact(row + rows.start, column + columns.start)
    inside[row, column] = exact < np.broadcast_to(radii, tile.shape)[row, column]
    return inside
