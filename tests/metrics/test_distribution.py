"""Distances between sets: equal to plain definitions and to the package prdc, defined where there is something."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.errors import ConfigError, ShapeError
from vocable.metrics import distribution as module
from vocable.metrics.distribution import (
    Neighborhoods,
    compare,
    frechet_distance,
    kernel_distance,
    neighborhoods,
)


def normal(count: int, width: int = 6, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width)) + shift


# ---- Fréchet --------------------------------------------------------------------------------------------------------


def test_frechet_equals_the_formula() -> None:
    import scipy.linalg

    mix = normal(6, 6, seed=5)
    real, fake = normal(300) @ mix, normal(200, seed=1, shift=0.4)
    a, b = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    apart = real.mean(axis=0) - fake.mean(axis=0)
    wanted = apart @ apart + np.trace(a + b - 2.0 * scipy.linalg.sqrtm(a @ b).real)
    assert frechet_distance(real, fake).value == pytest.approx(wanted, rel=1e-9)
    assert frechet_distance(fake, real).value == pytest.approx(wanted, rel=1e-9)


def test_frechet_of_gaussians_in_closed_form() -> None:
    """Diagonal covariances: the sum of squared differences of means and of deviations."""
    real = normal(400)
    real -= real.mean(axis=0)
    real = np.linalg.qr(real)[0] * math.sqrt(399)  # means 0, covariance exactly 1
    factor = np.array([0.0, 0.5, 1.0, 2.0, 3.0, 1e-6])
    wanted = 6 * 0.25 + ((1 - factor) ** 2).sum()
    assert frechet_distance(real, real * factor + 0.5).value == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("count", [2, 3, 7, 20])
def test_frechet_survives_few_samples_and_dead_features(count: int) -> None:
    real = np.hstack([normal(count, 20), np.ones((count, 4))])
    assert frechet_distance(real, real).value == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(real, real + 2.0).value == pytest.approx(24 * 4.0, rel=1e-9)


def test_frechet_in_blocks_equals_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = normal(90), normal(70, seed=1, shift=1.0)
    whole = frechet_distance(real, fake).value
    monkeypatch.setattr(module, "_ROWS", 7)
    assert frechet_distance(real, fake).value == pytest.approx(whole, rel=1e-12)


# ---- kernel distance ------------------------------------------------------------------------------------------------


def test_kernel_distance_equals_the_definition() -> None:
    """With every pair of halves weighed alike, the mean is the unbiased estimate from all samples."""
    real, fake = normal(40, 4), normal(40, 4, seed=1, shift=0.8)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (float(x @ y) / 4 + 1.0) ** 3

    within = [
        np.mean([kernel(part[i], part[j]) for i in range(40) for j in range(40) if i != j]) for part in (real, fake)
    ]
    wanted = sum(within) - 2.0 * np.mean([kernel(x, y) for x in real for y in fake])
    assert module._discrepancy(real, fake) == pytest.approx(wanted, rel=1e-12)
    found = kernel_distance(real, fake, subsets=400)
    assert found.low < wanted < found.high
    assert found.n == 400


def test_kernel_distance_has_no_bias() -> None:
    """The mean over many pairs of small sets of one distribution is 0 within its interval."""
    values = np.array([kernel_distance(normal(40, 4, s), normal(40, 4, 1000 + s), subsets=2).mean for s in range(100)])
    assert abs(values.mean()) < 4.0 * values.std() / math.sqrt(values.size)
    assert (values < 0).any()


def test_kernel_distance_is_seeded() -> None:
    real, fake = normal(60), normal(50, seed=1, shift=0.5)
    assert kernel_distance(real, fake, seed=1) == kernel_distance(real, fake, seed=1)
    assert kernel_distance(real, fake, seed=1) != kernel_distance(real, fake, seed=2)


# ---- neighborhoods -------------------------------------------------------------------------------------------------


def plain(real: np.ndarray, fake: np.ndarray, k: int) -> list[float]:
    """The definitions with full matrices."""

    def matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return ((a[:, None] - b[None]) ** 2).sum(axis=2)

    radii = [np.sort(matrix(part, part), axis=1)[:, k] for part in (real, fake)]  # column 0 is the sample itself
    across = matrix(real, fake)
    inside = across < radii[0][:, None]
    return [
        float(inside.any(axis=0).mean()),
        float((across < radii[1][None]).any(axis=1).mean()),
        float(inside.sum(axis=0).mean() / k),
        float(inside.any(axis=1).mean()),
    ]


def values(found: Neighborhoods) -> list[float]:
    return [score.value for score in (found.precision, found.recall, found.density, found.coverage)]


PRDC = {  # of prdc 0.2: compute_prdc(real_features=..., fake_features=..., nearest_k=k), sets as below
    3: [0.4777777777777778, 0.972, 0.38518518518518513, 0.46],
    5: [0.65, 0.996, 0.4144444444444445, 0.668],
}


@pytest.mark.parametrize("neighbors", [3, 5])
def test_neighborhoods_equal_prdc(neighbors: int) -> None:
    stream = np.random.RandomState(0)
    real, fake = stream.standard_normal((250, 8)), 1.3 * stream.standard_normal((180, 8)) + 0.4
    assert values(neighborhoods(real, fake, neighbors=neighbors)) == pytest.approx(PRDC[neighbors], abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    counts=st.tuples(st.integers(4, 40), st.integers(4, 40)),
    width=st.integers(1, 4),
    neighbors=st.integers(1, 3),
    grid=st.sampled_from([0.25, 1.0]),
)
def test_neighborhoods_with_ties_equal_the_definition(
    seed: int, counts: tuple[int, int], width: int, neighbors: int, grid: float
) -> None:
    """Points of a lattice: many distances are the same, and many fall on the rim of a ball."""
    stream = np.random.default_rng(seed)
    real, fake = (grid * stream.integers(0, 4, size=(count, width)) for count in counts)
    found = neighborhoods(real, fake, neighbors=neighbors)
    for score, wanted in zip(values(found), plain(real, fake, neighbors), strict=True):
        assert math.isnan(score) or score == pytest.approx(wanted, abs=1e-12)


def test_neighborhoods_in_blocks_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    real = normal(130)
    fake = np.concatenate([real[:30], normal(60, seed=1, shift=0.5)])
    whole = neighborhoods(real, fake, neighbors=3)
    monkeypatch.setattr(module, "_TILE", 17)
    assert neighborhoods(real, fake, neighbors=3) == whole
    assert values(whole) == pytest.approx(plain(real, fake, 3), abs=1e-12)


def test_one_outlier_drowns_nobody_else() -> None:
    real, fake = normal(60), normal(50, seed=1, shift=0.5)
    real[3] = 1e14
    assert values(neighborhoods(real, fake, neighbors=3)) == pytest.approx(plain(real, fake, 3), abs=1e-12)


def test_equal_sets_have_density_one() -> None:
    found = neighborhoods(normal(500), normal(500, seed=1), neighbors=5)
    assert found.density.value == pytest.approx(1.0, abs=0.1)
    assert found.coverage.value == pytest.approx(1 - 0.5**5, abs=0.03)  # its expectation, Naeem et al. section 3.2


# ---- where there is nothing, and all at once ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("real", "fake", "reason"),
    [
        (normal(1), normal(9), "1 real samples, and"),
        (normal(9), normal(0), "0 fake samples, and"),
        (normal(9), np.full((9, 6), np.inf), "9 of 9 fake samples hold NaN or infinite features"),
        (1e30 * normal(9), normal(9), "real features over 1e+18 overflow single precision"),
    ],
)
def test_degenerate_sets_are_undefined(real: np.ndarray, fake: np.ndarray, reason: str) -> None:
    assert frechet_distance(real, fake).reason.startswith(reason)
    assert next(iter(kernel_distance(real, fake).reasons)).startswith(reason)
    found = neighborhoods(real, fake, neighbors=3)
    assert all(score.reason.startswith(reason) for score in (found.precision, found.recall, found.density))


def test_repeated_real_samples_have_no_ball() -> None:
    found = neighborhoods(np.ones((20, 6)), normal(20), neighbors=3)
    for score in (found.precision, found.density, found.coverage):
        assert score.reason == "every real sample equals 3 others"
    assert found.recall.defined


def test_misuse_is_an_error() -> None:
    for measure in (frechet_distance, kernel_distance, compare):
        with pytest.raises(ShapeError, match="real samples have 6 features and fake ones 5"):
            measure(normal(9), normal(9, 5))
    with pytest.raises(ShapeError, match="real samples have 40 features and fake ones 64"):
        compare(normal(9, 40), normal(9, 64))
    with pytest.raises(ConfigError, match="0 neighbors"):
        neighborhoods(normal(9), normal(9), neighbors=0)
    with pytest.raises(ConfigError, match="1 of at least 2 samples"):
        kernel_distance(normal(9), normal(9), size=1)
    for dimensions in (0, 33):
        with pytest.raises(ConfigError, match=f"compare: {dimensions} dimensions are out of range"):
            compare(normal(9), normal(9), dimensions=dimensions)


def test_compare_takes_one_projection_for_all() -> None:
    from vocable.metrics.distances import project

    real, fake = normal(120, 40), normal(110, 40, seed=1, shift=0.5)
    found = compare(real, fake, seed=4, dimensions=6, space="latent")
    a, b = project(real, 6), project(fake, 6)
    assert (found.support.dimensions, found.support.projected, found.support.space) == (40, 6, "latent")
    assert found.frechet == frechet_distance(a, b)
    assert found.kernel == kernel_distance(a, b, seed=4)
    assert found.nearest == neighborhoods(a, b, neighbors=3)
    assert found.dense == neighborhoods(a, b, neighbors=5)
    assert list(found.figures()) == [
        "TopP&R fidelity", "TopP&R diversity", "TopP&R F1", "Fréchet distance", "kernel distance",
        "precision (k = 3)", "recall (k = 3)", "density (k = 5)", "coverage (k = 5)",
    ]  # fmt: skip
    assert all(isinstance(figure.text(".2f"), str) for figure in found.figures().values())


def test_compare_says_where_the_frechet_distance_is_biased() -> None:
    found = compare(normal(5, 20), normal(30, 20, seed=1))
    assert found.warnings == ("5 real samples of 20 features: the Fréchet distance is biased upwards",)
    assert math.isnan(found.support.f1.mean)
    assert found.frechet.defined
