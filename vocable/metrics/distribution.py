"""How far what was made is from recordings, as sets of features: Fréchet, kernel distance, neighbourhoods, all at once.

Every figure takes the real features first and the fake ones second, (N, D) and (M, D), holds no N x M matrix, and is
undefined with its reason where there is nothing to measure. None of them compares between spaces or sample counts.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.errors import ConfigError
from vocable.metrics.distances import Distances, check_widths, project, slices, unusable
from vocable.metrics.score import Figure, Score, summarize, undefined
from vocable.metrics.support import Support, topological_precision_recall

_ROWS = 1024  # rows at a time: of features
_TILE = 384  # rows and columns at a time: of distances
_WIDEST = 32  # features that TopP&R compares at most
_NEAREST = 3  # of precision and recall
_NEAREST_DENSE = 5  # of density and coverage


@dataclass(frozen=True, kw_only=True)
class Neighbourhoods:
    """Four figures of the balls around each sample that reach to its k-th nearest neighbour.

    Attributes:
        neighbours: k.
        precision: Share of the fakes in the ball of any real sample, in [0, 1]. An outlier among the real samples has
            a ball that lets much in.
        recall: Share of the real samples in the ball of any fake, in [0, 1].
        density: Balls of real samples that hold a fake, on average, over k: about 1 for equal sets, unbounded above.
        coverage: Share of the real samples whose ball holds a fake, in [0, 1].
    """

    neighbours: int
    precision: Score
    recall: Score
    density: Score
    coverage: Score


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All figures of this module and TopP&R on the same arrays with the same projection.

    Attributes:
        support: TopP&R, with the space, the counts and the warnings.
        frechet: Fréchet distance, 0 for equal Gaussians.
        kernel: Kernel distance, about 0 for equal sets.
        nearest: Neighbourhoods with k = 3, for precision and recall.
        dense: Neighbourhoods with k = 5, for density and coverage.
        warnings: Those of TopP&R, and one where a covariance has fewer samples than features.
    """

    support: Support
    frechet: Score
    kernel: Figure
    nearest: Neighbourhoods
    dense: Neighbourhoods
    warnings: tuple[str, ...]

    def figures(self) -> dict[str, Score | Figure]:
        """By the names under which a table prints them."""
        return {
            "TopP&R fidelity": self.support.fidelity,
            "TopP&R diversity": self.support.diversity,
            "TopP&R F1": self.support.f1,
            "Fréchet distance": self.frechet,
            "kernel distance": self.kernel,
            f"precision (k = {self.nearest.neighbours})": self.nearest.precision,
            f"recall (k = {self.nearest.neighbours})": self.nearest.recall,
            f"density (k = {self.dense.neighbours})": self.dense.density,
            f"coverage (k = {self.dense.neighbours})": self.dense.coverage,
        }


def compare(
    real: Float[ndarray, "N D"],
    fake: Float[ndarray, "M E"],
    *,
    seed: int = 0,
    dimensions: int = _WIDEST,
    space: str = "features",
) -> Comparison:
    """Every figure on the same arrays, projected once where there are more than ``dimensions`` features.

    Args:
        real: Features of recordings.
        fake: Features of what was made.
        seed: Of TopP&R's bootstraps and of the kernel distance's subsets.
        dimensions: Features to be compared, 1 to 32.
        space: What the features are, printed with the result.

    Raises:
        ShapeError: The sets differ in their features.
        ConfigError: ``dimensions`` is out of range.

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
    if not 1 <= dimensions <= _WIDEST:
        raise ConfigError(f"compare: {dimensions} dimensions are out of range: TopP&R compares 1 to {_WIDEST}")
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
        nearest=neighbourhoods(*pair, neighbours=_NEAREST),
        dense=neighbourhoods(*pair, neighbours=_NEAREST_DENSE),
        warnings=support.warnings + scarce,
    )


def frechet_distance(real: Float[ndarray, "N D"], fake: Float[ndarray, "M E"]) -> Score:
    """Squared Fréchet distance of Gaussians fitted to the sets: 0 for equal ones, in squared units of the features.

    ``|a - b|² + tr(A + B - 2 (A B)^½)``; the last trace is the sum of the singular values of ``R S'`` where
    ``A = R' R`` and ``B = S' S``, so that no root of a matrix that has none is taken: it is never complex, and
    covariances of rank below D (few samples, dead features) do no harm. Biased upwards for few samples.

    Args:
        real: Features of recordings.
        fake: Features of what was made.

    Raises:
        ShapeError: The sets differ in their features.

    Source:
        Dowson and Landau, J. Multivariate Analysis 12, 1982; for features of a network Heusel et al., NeurIPS 2017,
        arXiv:1706.08500 (FID), Kilgour et al., Interspeech 2019, arXiv:1812.08466 (FAD).

    Example:
        >>> real = np.random.default_rng(0).standard_normal((50, 4))
        >>> round(frechet_distance(real, real + 1.0).value, 9)
        4.0
    """
    if reason := unusable(real, fake, 2, "covariances"):
        return undefined(reason)
    (middle, root), (other_middle, other_root) = (_gaussian(part) for part in (real, fake))
    apart = middle - other_middle
    shared = np.linalg.svd(root @ other_root.T, compute_uv=False).sum()
    value = apart @ apart + (root * root).sum() + (other_root * other_root).sum() - 2.0 * shared
    return Score(max(float(value), 0.0))  # rounding may leave a tiny negative one


def kernel_distance(
    real: Float[ndarray, "N D"], fake: Float[ndarray, "M E"], *, subsets: int = 100, size: int = 1_000, seed: int = 0
) -> Figure:
    """Unbiased squared maximum mean discrepancy under the kernel ``(x·y / D + 1)³``: KID, about 0 for equal sets.

    It may be negative. The figure is the mean over random subsets with its bootstrap interval over them; the subsets
    share samples, so that of new samples would be wider.

    Args:
        real: Features of recordings.
        fake: Features of what was made.
        subsets: How many are drawn.
        size: Samples of each set in one; at most half of the smaller set, so that subsets differ.
        seed: Of the subsets.

    Raises:
        ShapeError: The sets differ in their features.
        ConfigError: A setting is out of range.

    Source:
        Bińkowski et al., ICLR 2018, arXiv:1801.01401.

    Example:
        >>> real = np.random.default_rng(0).standard_normal((60, 4))
        >>> kernel_distance(real, real + 1.0).mean > 1.0
        True
    """
    if subsets < 1 or size < 2:
        raise ConfigError(f"kernel distance: {subsets} subsets of {size}: give at least 1 of at least 2 samples")
    if reason := unusable(real, fake, 4, "subsets"):
        return summarize([undefined(reason)])
    stream = np.random.default_rng(seed)
    taken = min(size, min(len(real), len(fake)) // 2)
    values = []
    for _ in range(subsets):
        pair = [part[stream.choice(len(part), taken, replace=False)].astype(np.float64) for part in (real, fake)]
        values.append(Score(_discrepancy(*pair)))
    return summarize(values, seed=seed)


def neighbourhoods(real: Float[ndarray, "N D"], fake: Float[ndarray, "M E"], *, neighbours: int) -> Neighbourhoods:
    """Improved precision and recall, density and coverage, with balls that reach to the k-th nearest neighbour.

    As in the package prdc 0.2, a sample on the rim of a ball is not in it. Ties are decided by distances computed from
    the differences, so that they fall the same way for any size of block.

    Args:
        real: Features of recordings.
        fake: Features of what was made.
        neighbours: k: 3 is usual for precision and recall, 5 for density and coverage.

    Raises:
        ShapeError: The sets differ in their features.
        ConfigError: ``neighbours`` is under 1.

    Source:
        Kynkäänniemi et al., NeurIPS 2019, arXiv:1904.06991; Naeem et al., ICML 2020, arXiv:2002.09797.

    Example:
        >>> real = np.random.default_rng(0).standard_normal((60, 4))
        >>> found = neighbourhoods(real, np.repeat(real[:6], 10, axis=0), neighbours=3)
        >>> found.precision.value, found.recall.text(".1f")
        (1.0, 'undefined (every fake sample equals 3 others)')
    """
    if neighbours < 1:
        raise ConfigError(f"neighbourhoods: {neighbours} neighbours: give at least 1")
    if reason := unusable(real, fake, neighbours + 1, f"{neighbours} neighbours"):
        nothing = undefined(reason)
        return Neighbourhoods(
            neighbours=neighbours, precision=nothing, recall=nothing, density=nothing, coverage=nothing
        )
    pair = [part.astype(np.float64) for part in (real, fake)]
    radii = [_radii(part, neighbours) for part in pair]
    held, holding, recalled = _count(Distances(*pair), *radii)
    of_real, of_fake = (
        "" if part.any() else f"every {name} sample equals {neighbours} others"
        for name, part in zip(("real", "fake"), radii, strict=True)
    )
    return Neighbourhoods(
        neighbours=neighbours,
        precision=undefined(of_real) if of_real else Score(float((held > 0).mean())),
        recall=undefined(of_fake) if of_fake else Score(float(recalled.mean())),
        density=undefined(of_real) if of_real else Score(float(held.mean()) / neighbours),
        coverage=undefined(of_real) if of_real else Score(float(holding.mean())),
    )


def _gaussian(features: Float[ndarray, "N D"]) -> tuple[Float[ndarray, " D"], Float[ndarray, "P D"]]:
    """Mean and a root R of the covariance R' R, from QR: squaring first would lose half of the digits."""
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


def _radii(points: Float[ndarray, "N D"], neighbours: int) -> Float[ndarray, " N"]:
    """Squared distance of each sample to its k-th nearest other one."""
    distances = Distances(points)
    nearest = np.empty(len(points), dtype=np.int64)
    for rows in slices(len(points), 64):
        tile = distances.tile(rows, slice(None))
        np.fill_diagonal(tile[:, rows], np.inf)
        nearest[rows] = np.argpartition(tile, neighbours - 1, axis=1)[:, neighbours - 1]
    return distances.exact(np.arange(len(points)), nearest)


def _count(
    distances: Distances, of_real: Float[ndarray, " N"], of_fake: Float[ndarray, " M"]
) -> tuple[ndarray, ndarray, ndarray]:
    """Balls of real samples that hold each fake; whether each such ball holds any; whether a fake's ball holds it."""
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
    """Which squared distances are under the radii; those that rounding leaves open are computed again."""
    past = tile - radii
    inside = past < 0.0
    row, column = np.nonzero(np.abs(past) <= distances.slack(rows, columns))
    exact = distances.exact(row + rows.start, column + columns.start)
    inside[row, column] = exact < np.broadcast_to(radii, tile.shape)[row, column]
    return inside
