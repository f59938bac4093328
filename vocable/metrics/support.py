"""TopP&R: how much of what was made lies where recordings are dense, and how much of that it reaches.

A kernel density estimate of each set, a bootstrap band around it, and the samples whose density stands out of the
band: those are significant, and where the density stands out is the support. Fidelity asks which significant fakes lie
on the support of the real samples, diversity which significant real samples lie on that of the fakes. Samples that
stand alone are in neither, so that a few outliers do not widen the support as they do in precision and recall.
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
from vocable.metrics.distances import Distances, check_widths, project, slices, unusable
from vocable.metrics.score import Figure, Score, undefined

_TILE = 384  # rows and columns: 1.2 MB of float64
_ROWS = 64  # rows at a time where all later samples are needed
_LEAST_RATE = 1e-4  # of both, under which the reference takes F1 for 0
_SCALES = 10.0  # times, from which on two bandwidths are of different scales
_BANDWIDTHS = (1e-17, 1e17)  # whose squares single precision holds

Draw = tuple[Int[ndarray, "_ _"], Int[ndarray, "_ _"]]  # (rounds, N) and (rounds, M)


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """What one seed gives; all rates are ratios of these counts.

    Attributes:
        threshold_real: Density over which a place belongs to the support of the real samples, in kernels: a sample
            at that very place counts 1, one at the bandwidth 0.
        threshold_fake: The same of the fakes.
        significant_real: Real samples on the support of the real ones.
        significant_fake: Fakes on the support of the fakes.
        shared_real: Significant real samples that lie on the support of the fakes too.
        shared_fake: Significant fakes that lie on the support of the real samples too.
    """

    threshold_real: float
    threshold_fake: float
    significant_real: int
    significant_fake: int
    shared_real: int
    shared_fake: int

    @property
    def fidelity(self) -> Score:
        """Share of the significant fakes that lie on the support of the real samples."""
        return _share(self.shared_fake, self.significant_fake, "no fake sample is significant")

    @property
    def diversity(self) -> Score:
        """Share of the significant real samples that lie on the support of the fakes."""
        return _share(self.shared_real, self.significant_real, "no real sample is significant")

    @property
    def f1(self) -> Score:
        """Harmonic mean of the two; 0 where either is 1e-4 or less."""
        for part in (self.fidelity, self.diversity):
            if not part.defined:
                return part
        low, high = sorted((self.fidelity.value, self.diversity.value))
        return Score(2.0 / (1.0 / low + 1.0 / high) if low > _LEAST_RATE else 0.0)


@dataclass(frozen=True, kw_only=True)
class Support:
    """TopP&R with its interval over bootstrap seeds and all that is needed to judge it.

    Figures have the mean over the seeds, the 2.5 and 97.5 percentiles of the seeds' values (where a run with another
    seed would fall), and how many seeds gave a value.

    Attributes:
        space: What the features are.
        dimensions: Features given.
        projected: Features compared: 32 where more were given.
        samples_real: Real samples.
        samples_fake: Fakes.
        kernel: Shape of the kernel.
        alpha: 1 less the confidence of the band.
        neighbours: Later samples within the bandwidth of the middle sample: 5 times ``projected``.
        fidelity: In [0, 1]: precision. Share of the significant fakes.
        diversity: In [0, 1]: recall. Share of the significant real samples.
        f1: Their harmonic mean, of each seed.
        fidelity_of_all: The same fakes as a share of all fakes, as the paper's text has it; never above ``fidelity``.
        diversity_of_all: The same real samples as a share of all real ones.
        bandwidth_real: Reach of the kernel about a real sample; NaN where undefined.
        bandwidth_fake: Reach of the kernel about a fake.
        runs: One of each seed, in their order.
        warnings: Sentences on what makes these figures say little.
    """

    space: str
    dimensions: int
    projected: int
    samples_real: int
    samples_fake: int
    kernel: str
    alpha: float
    neighbours: int
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
        """One line with the space, the counts and the figures, and one for each warning."""
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
    """Fidelity and diversity of what was made, on supports that outliers do not widen.

    Equal to the package top-pr 0.2.1 given the same draws, at less than a tenth of its time and memory. That package
    takes its draws from numpy's global state; those of one seed here are what it takes after ``np.random.seed(seed)``
    (42 where there are more than 32 features: it sets that itself). What it does on the way is kept: single precision
    for features and for distances in the kernel, bandwidths from *later* samples alone, its Epanechnikov kernel
    ``1 - u / h²`` with the distance where the square belongs. Its factor (π/4h)^D is left out: it cancels, and
    overflows.

    Args:
        real: Features of recordings, one row each. The bandwidth depends on the order: mix sets that are sorted.
        fake: Features of what was made. More than 32 features are projected to 32 (:func:`~.distances.project`).
        alpha: 1 less the confidence of the band, in (0, 1).
        kernel: Shape of the kernel.
        rounds: Resamples of each set for one band.
        seed: The first of the bootstrap seeds.
        seeds: How many there are.
        draws: For each repetition the rows drawn of the real and of the fake set, (rounds, N) and (rounds, M), in place
            of those from the seeds.
        space: What the features are, printed with the result.

    Returns:
        Undefined with its reason where a set has fewer than 5 D + 2 samples, features that are not finite, or no
        spread; figures that say little come with warnings.

    Raises:
        ShapeError: The sets differ in their features, or draws do not fit the sets.
        ConfigError: A setting is out of range.

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
    neighbours = 5 * a.shape[1]
    reason = unusable(a, b, neighbours + 2, f"{neighbours} neighbours")
    points = (a.astype(np.float64), b.astype(np.float64))
    widths = [math.nan, math.nan] if reason else [_bandwidth(part, neighbours) for part in points]
    reason = reason or _no_bandwidth(widths, neighbours)
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
        kernel=kernel, alpha=alpha, neighbours=neighbours,
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
    """The rows that ``np.random.choice`` gives the reference: numpy keeps this stream as it is for ever."""
    draws = []
    for number in range(seed, seed + seeds):
        stream = np.random.RandomState(number)
        draws.append((stream.randint(0, real, (rounds, real)), stream.randint(0, fake, (rounds, fake))))
    return draws


def _bandwidth(points: Float[ndarray, "N D"], neighbours: int) -> float:
    """Median over the samples of the distance to the k-th nearest of the *later* ones; the last k have too few."""
    distances = Distances(points)
    size = len(points)
    squares = np.empty(size - neighbours)
    for rows in slices(squares.size, _ROWS):
        tile = distances.tile(rows, slice(rows.start + 1, size))  # a row's own later samples begin on the diagonal
        tile[np.tril_indices(len(tile), -1, tile.shape[1])] = np.inf
        tile.partition(neighbours - 1, axis=1)
        squares[rows] = tile[:, neighbours - 1]
    middle = np.argsort(squares, kind="stable")[int(squares.size * 0.5) - 1]
    later = np.arange(middle + 1, size)
    exact = distances.exact(np.full(later.size, middle), later)  # as the reference has it, free of the tile's rounding
    return math.sqrt(np.partition(exact, neighbours - 1)[neighbours - 1])


def _no_bandwidth(widths: Sequence[float], neighbours: int) -> str:
    for name, width in zip(("real", "fake"), widths, strict=True):
        if width == 0.0:
            return f"the {name} features have no spread: the middle sample equals {neighbours} later ones"
        if not _BANDWIDTHS[0] < width < _BANDWIDTHS[1]:
            return f"bandwidth {width:.3g} of the {name} samples is out of single precision: scale the features"
    return ""


def _kernel(squares: Float[ndarray, "N M"], width: float, kernel: str) -> Float[ndarray, "N M"]:
    """Weights for squared distances, 0 beyond the bandwidth. Distances are rounded as the reference rounds them."""
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
    """Density at each sample of its own set, and the threshold of each repetition, both in kernels.

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
    """Density of the fakes at each real sample, and of the real samples at each fake."""
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
    if max(widths) > _SCALES * min(widths):
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
    """Mean and percentiles over the seeds that have a value."""
    values = [score.value for score in scores if score.defined]
    reasons = Counter(score.reason for score in scores if not score.defined)
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) > 1 else (math.nan, math.nan)
    return Figure(
        mean=float(np.mean(values)) if values else math.nan, low=float(low), high=float(high), n=len(values),
        excluded=len(scores) - len(values), reasons=dict(sorted(reasons.items())),
    )  # fmt: skip
