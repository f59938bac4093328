"""TopP&R: fidelity and diversity of generated samples on supports that outliers do not widen.

Each set has a kernel density estimate with a bootstrap band. A sample whose density exceeds the band is significant,
and the region with such a density is the support. Fidelity is the share of significant fakes on the support of the real
samples. Diversity is the share of significant real samples on the support of the fakes. Isolated samples are in
neither, so that a few outliers do not widen the support as they do in precision and recall.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from vocable.errors import ConfigError, ShapeError
from vocable.metrics.distances import Distances, check_widths, find_defect, project, slices
from vocable.metrics.score import Figure, Score, percentile_interval, undefined

_TILE = 384  # rows and columns of a block: 1.2 MB of float64
_ROWS = 64  # rows of a block that needs all later samples
_MIN_RATE = 1e-4  # of fidelity and diversity, up to which the reference package sets F1 to 0
_MAX_SCALE = 10.0  # ratio of the bandwidths above which the sets differ in scale
_BANDWIDTHS = (1e-17, 1e17)  # range whose squares fit into single precision

Draw = tuple[Int[ndarray, "_ _"], Int[ndarray, "_ _"]]  # (rounds, N) and (rounds, M)


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """Counts of one bootstrap seed; all rates are ratios of these.

    Attributes:
        threshold_real: Density above which a point belongs to the support of the real samples, in kernels: a sample at
            the point counts 1, one at the distance of the bandwidth 0.
        threshold_fake: The same of the fakes.
        significant_real: Number of real samples on the support of the real ones.
        significant_fake: Number of fakes on the support of the fakes.
        shared_real: Number of significant real samples that are on the support of the fakes, too.
        shared_fake: Number of significant fakes that are on the support of the real samples, too.
    """

    threshold_real: float
    threshold_fake: float
    significant_real: int
    significant_fake: int
    shared_real: int
    shared_fake: int

    @property
    def fidelity(self) -> Score:
        """Share of the significant fakes on the support of the real samples."""
        return _share(self.shared_fake, self.significant_fake, "no fake sample is significant")

    @property
    def diversity(self) -> Score:
        """Share of the significant real samples on the support of the fakes."""
        return _share(self.shared_real, self.significant_real, "no real sample is significant")

    @property
    def f1(self) -> Score:
        """Harmonic mean of fidelity and diversity; 0 if one of them is at most 1e-4."""
        for part in (self.fidelity, self.diversity):
            if not part.defined:
                return part
        low, high = sorted((self.fidelity.value, self.diversity.value))
        return Score(2.0 / (1.0 / low + 1.0 / high) if low > _MIN_RATE else 0.0)


@dataclass(frozen=True, kw_only=True)
class Support:
    """Result of TopP&R with intervals over bootstrap seeds.

    A figure has the mean over the seeds, the 2.5 and 97.5 percentiles of their values (the range of a run with another
    seed), and the number of seeds with a value.

    Attributes:
        space: Name of the feature space.
        dimensions: Number of features.
        projected: Number of features that are compared, at most 32.
        samples_real: Number of real samples.
        samples_fake: Number of fakes.
        kernel: Shape of the kernel.
        alpha: 1 minus the confidence of the band.
        neighbors: Later samples within the bandwidth of the median sample: 5 times ``projected``.
        fidelity: Precision in [0, 1]: a share of the significant fakes.
        diversity: Recall in [0, 1]: a share of the significant real samples.
        f1: Harmonic mean of both, by seed.
        fidelity_of_all: The same fakes as a share of all fakes, as in the paper's text; never above ``fidelity``.
        diversity_of_all: The same real samples as a share of all real ones.
        bandwidth_real: Radius of the kernel of a real sample; NaN if undefined.
        bandwidth_fake: Radius of the kernel of a fake.
        runs: Counts of each seed, in order.
        warnings: Reasons why the figures have little meaning.
    """

    space: str
    dimensions: int
    projected: int
    samples_real: int
    samples_fake: int
    kernel: str
    alpha: float
    neighbors: int
    fidelity: Figure
    diversity: Figure
    f1: Figure
    fidelity_of_all: Figure
    diversity_of_all: Figure
    bandwidth_real: float = math.nan
    bandwidth_fake: float = math.nan
    runs: tuple[Bootstrap, ...] = ()
    warnings: tuple[str, ...] = ()

    def text(self) -> str:
        """Return a line with the feature space, the counts and the figures, and one for each warning."""
        counts = [[run.significant_real for run in self.runs], [run.significant_fake for run in self.runs]]
        shown = [f"{np.mean(part):.0f}" if part else "0" for part in counts]
        dimensions = f"{self.dimensions} → {self.projected}" if self.projected < self.dimensions else self.projected
        line = (
            f"TopP&R of {self.space} ({dimensions} dimensions): fidelity {self.fidelity.text()},"
            f" diversity {self.diversity.text()}, F1 {self.f1.text()};"
            f" significant {shown[0]} of {self.samples_real} real, {shown[1]} of {self.samples_fake} fake"
        )
        return "\n".join([line, *(f"warning: {warning}" for warning in self.warnings)])


def topological_precision_recall(
    real: Float[ndarray, "N D"],
    fake: Float[ndarray, "M E"],
    *,
    alpha: float = 0.1,
    kernel: Literal["cosine", "epanechnikov"] = "cosine",
    rounds: int = 10,
    seed: int = 0,
    seeds: int = 10,
    draws: Sequence[Draw] | None = None,
    space: str = "features",
) -> Support:
    """Compute TopP&R: fidelity and diversity of generated samples, on supports that outliers do not widen.

    It equals the package top-pr 0.2.1 for the same draws, with less than a tenth of its time and memory. That package
    draws from numpy's global state; the draws of a seed here are those after ``np.random.seed(seed)`` (42 for more than
    32 features, which it sets itself). Its details are kept: single precision for features and for distances in the
    kernel, bandwidths from *later* samples alone, and its Epanechnikov kernel ``1 - u / h²`` with the distance in place
    of the square. Its factor (π/4h)^D is left out: it cancels, and overflows.

    Args:
        real: Features of recordings, one row each. The bandwidth depends on the order: shuffle sorted sets.
        fake: Features of generated samples. More than 32 features are projected to 32 (:func:`~.distances.project`).
        alpha: 1 minus the confidence of the band, in (0, 1).
        kernel: Shape of the kernel.
        rounds: Number of resamples of each set for a band.
        seed: First bootstrap seed.
        seeds: Number of seeds.
        draws: Rows drawn from the real and from the fake set for each repetition, (rounds, N) and (rounds, M), in place
            of those of the seeds.
        space: Name of the feature space, printed with the result.

    Returns:
        Figures with warnings; undefined, with a reason, if a set has fewer than 5 D + 2 samples, features that are not
        finite, or no variance.

    Raises:
        ShapeError: If the sets differ in their number of features, or if draws do not fit the sets.
        ConfigError: If a setting is out of range.

    Source:
        Kim et al., TopP&R, NeurIPS 2023, arXiv:2306.08013; package top-pr 0.2.1.

    Example:
        >>> made = np.random.default_rng(0)
        >>> real, fake = made.standard_normal((300, 8)), made.standard_normal((300, 8))
        >>> support = topological_precision_recall(real, fake, seeds=2, space="noise")
        >>> support.fidelity.mean > 0.8, support.diversity.mean > 0.8, support.warnings
        (True, True, ())
    """
    _check(alpha, kernel, rounds, seeds if draws is None else len(draws))
    check_widths(real, fake)  # before both are projected to one width
    a, b = project(real), project(fake)
    neighbors = 5 * a.shape[1]
    reason = find_defect(a, b, neighbors + 2, f"{neighbors} neighbors")
    points = (a.astype(np.float64), b.astype(np.float64))
    widths = [math.nan, math.nan] if reason else [_bandwidth(part, neighbors) for part in points]
    reason = reason or _no_bandwidth(widths, neighbors)
    runs: list[Bootstrap] = []
    warnings: list[str] = []
    if not reason:
        draws = _draws(seed, seeds, rounds, len(a), len(b)) if draws is None else draws
        own = [
            _densities(points[side], widths[side], kernel, [draw[side] for draw in draws], alpha, name)
            for side, name in enumerate(("real", "fake"))
        ]
        cross = _cross_densities(*points, widths, kernel)
        runs = [_count(own, cross, run) for run in range(len(draws))]
        warnings = [*_warnings(points, widths, cross), *_insignificant(runs)]
    failed = [undefined(reason)] * (seeds if draws is None else len(draws)) if reason else []
    return Support(
        space=space, dimensions=real.shape[1], projected=a.shape[1], samples_real=len(a), samples_fake=len(b),
        kernel=kernel, alpha=alpha, neighbors=neighbors,
        fidelity=_spread(failed or [run.fidelity for run in runs]),
        diversity=_spread(failed or [run.diversity for run in runs]),
        f1=_spread(failed or [run.f1 for run in runs]),
        fidelity_of_all=_spread(failed or [Score(run.shared_fake / len(b)) for run in runs]),
        diversity_of_all=_spread(failed or [Score(run.shared_real / len(a)) for run in runs]),
        bandwidth_real=widths[0], bandwidth_fake=widths[1], runs=tuple(runs), warnings=tuple(warnings),
    )  # fmt: skip


def _check(alpha: float, kernel: str, rounds: int, seeds: int) -> None:
    if not 0.0 < alpha < 1.0:
        raise ConfigError(f"TopP&R: alpha {alpha} is out of range: give a number between 0 and 1")
    if kernel not in ("cosine", "epanechnikov"):
        raise ConfigError(f"TopP&R: no kernel {kernel!r}: take cosine or epanechnikov")
    if rounds < 1 or seeds < 1:
        raise ConfigError(f"TopP&R: {rounds} rounds and {seeds} bootstrap seeds: give at least 1 of each")


def _draws(seed: int, seeds: int, rounds: int, real: int, fake: int) -> list[Draw]:
    """Return the rows that ``np.random.choice`` gives the reference package; numpy guarantees this stream."""
    draws = []
    for number in range(seed, seed + seeds):
        stream = np.random.RandomState(number)
        draws.append((stream.randint(0, real, (rounds, real)), stream.randint(0, fake, (rounds, fake))))
    return draws


def _bandwidth(points: Float[ndarray, "N D"], neighbors: int) -> float:
    """Return the median over samples of the distance to the k-th nearest *later* one; the last k have too few."""
    distances = Distances(points)
    size = len(points)
    squares = np.empty(size - neighbors)
    for rows in slices(squares.size, _ROWS):
        tile = distances.tile(rows, slice(rows.start + 1, size))  # a row's later samples start on the diagonal
        tile[np.tril_indices(len(tile), -1, tile.shape[1])] = np.inf
        tile.partition(neighbors - 1, axis=1)
        squares[rows] = tile[:, neighbors - 1]
    middle = np.argsort(squares, kind="stable")[int(squares.size * 0.5) - 1]
    later = np.arange(middle + 1, size)
    exact = distances.exact(
        np.full(later.size, middle), later
    )  # as in the reference package, without the rounding of a tile
    return math.sqrt(np.partition(exact, neighbors - 1)[neighbors - 1])


def _no_bandwidth(widths: Sequence[float], neighbors: int) -> str:
    for name, width in zip(("real", "fake"), widths, strict=True):
        if width == 0.0:
            return f"the {name} features have no spread: the middle sample equals {neighbors} later ones"
        if not _BANDWIDTHS[0] < width < _BANDWIDTHS[1]:
            return f"bandwidth {width:.3g} of the {name} samples is out of single precision: scale the features"
    return ""


def _kernel(squares: Float[ndarray, "N M"], width: float, kernel: str) -> Float[ndarray, "N M"]:
    """Return kernel weights of squared distances, 0 beyond the bandwidth, rounded as in the reference package."""
    reach = width * width
    near = np.flatnonzero(squares <= reach * (1.0 + 1e-6))
    distance = np.sqrt(np.maximum(squares.ravel()[near], 0.0).astype(np.float32))
    inside = (distance * distance).astype(np.float64) <= reach
    near, part = near[inside], distance[inside].astype(np.float64) / width
    weights = np.zeros(squares.shape)
    weights.ravel()[near] = np.cos(0.5 * np.pi * part) if kernel == "cosine" else 1.0 - part / width
    return weights


def _densities(
    points: Float[ndarray, "N D"],
    width: float,
    kernel: str,
    draws: Sequence[Int[ndarray, "_ _"]],
    alpha: float,
    name: str,
) -> tuple[Float[ndarray, " N"], Float[ndarray, " S"]]:
    """Return the density of a set at each of its samples, and the threshold of each repetition, both in kernels.

    A resample is a count of each sample, so one pass over the kernel serves all resamples of all repetitions.
    """
    size = len(points)
    for draw in draws:
        if draw.ndim != 2 or draw.shape[1] != size or draw.min() < 0 or draw.max() >= size:
            raise ShapeError(f"TopP&R: draws of shape {draw.shape} do not fit {size} {name} samples: give rows of them")
    drawn = [np.bincount(rows, minlength=size) for draw in draws for rows in draw]
    missing = np.stack([np.ones(size), *(1.0 - counts for counts in drawn)], axis=1)
    sums = np.zeros_like(missing)
    distances = Distances(points)
    for rows in slices(size, _TILE):
        for columns in slices(size, _TILE, rows.start):
            tile = distances.tile(rows, columns)
            if rows == columns:
                np.fill_diagonal(tile, 0.0)
            weights = _kernel(tile, width, kernel)
            sums[rows] += weights @ missing[columns]
            if rows != columns:
                sums[columns] += weights.T @ missing[rows]
    furthest = np.abs(sums[:, 1:]).max(axis=0)
    bounds = np.cumsum([len(draw) for draw in draws])[:-1]
    return sums[:, 0], np.array([np.quantile(part, 1.0 - alpha) for part in np.split(furthest, bounds)])


def _cross_densities(
    real: Float[ndarray, "N D"], fake: Float[ndarray, "M D"], widths: Sequence[float], kernel: str
) -> tuple[Float[ndarray, " N"], Float[ndarray, " M"]]:
    """Return the density of the fakes at each real sample, and of the real samples at each fake."""
    distances = Distances(real, fake)
    at_real, at_fake = np.zeros(len(real)), np.zeros(len(fake))
    for rows in slices(len(real), _TILE):
        for columns in slices(len(fake), _TILE):
            tile = distances.tile(rows, columns)
            at_fake[columns] += _kernel(tile, widths[0], kernel).sum(axis=0)
            at_real[rows] += _kernel(tile, widths[1], kernel).sum(axis=1)
    return at_real, at_fake


def _count(
    own: Sequence[tuple[Float[ndarray, " _"], Float[ndarray, " _"]]],
    cross: tuple[Float[ndarray, " N"], Float[ndarray, " M"]],
    run: int,
) -> Bootstrap:
    (real, of_real), (fake, of_fake) = own
    on_real, on_fake = real > of_real[run], fake > of_fake[run]
    return Bootstrap(
        threshold_real=float(of_real[run]), threshold_fake=float(of_fake[run]),
        significant_real=int(on_real.sum()), significant_fake=int(on_fake.sum()),
        shared_real=int((on_real & (cross[0] > of_fake[run])).sum()),
        shared_fake=int((on_fake & (cross[1] > of_real[run])).sum()),
    )  # fmt: skip


def _warnings(
    points: Sequence[Float[ndarray, "_ D"]], widths: Sequence[float], cross: Sequence[Float[ndarray, " _"]]
) -> Iterable[str]:
    dimensions = points[0].shape[1]
    if dimensions <= 3:
        yield f"{dimensions} dimensions: the reference package has no result for fewer than 4"
    for name, part in zip(("real", "fake"), points, strict=True):
        if constant := int((np.ptp(part, axis=0) == 0.0).sum()):
            yield f"{constant} of {dimensions} features never change in the {name} samples"
    if max(widths) > _MAX_SCALE * min(widths):
        yield f"the sets differ in scale: bandwidth {widths[0]:.3g} of the real samples, {widths[1]:.3g} of the fakes"
    if not any(part.any() for part in cross):
        yield "no fake lies within a bandwidth of any real sample: the sets may be of different spaces or scales"


def _insignificant(runs: Sequence[Bootstrap]) -> Iterable[str]:
    none = Counter(
        name
        for run in runs
        for name, count in (("real", run.significant_real), ("fake", run.significant_fake))
        if count == 0
    )
    return (f"no {name} sample is significant in {times} of {len(runs)} bootstraps" for name, times in none.items())


def _share(part: int, whole: int, reason: str) -> Score:
    return Score(part / whole) if whole else undefined(reason)


def _spread(scores: Sequence[Score]) -> Figure:
    """Return mean and percentiles over the seeds that have a value."""
    values = [score.value for score in scores if score.defined]
    reasons = Counter(score.reason for score in scores if not score.defined)
    low, high = percentile_interval(values) if len(values) > 1 else (math.nan, math.nan)
    return Figure(
        mean=float(np.mean(values)) if values else math.nan, low=low, high=high, n=len(values),
        excluded=len(scores) - len(values), reasons=dict(sorted(reasons.items())),
    )  # fmt: skip
