"""TopP&R: equal to its package given its draws, right in direction, and honest where it says little."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from vocable.errors import ConfigError, ShapeError
from vocable.metrics import support as module
from vocable.metrics.distances import Distances, project
from vocable.metrics.distribution import neighborhoods
from vocable.metrics.support import Bootstrap, topological_precision_recall

GOLDEN = json.loads(Path(__file__).with_name("top_pr.json").read_text(encoding="utf-8"))  # by benchmarks/support.py


def normal(count: int, width: int = 8, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width)) + shift


def sets(case: dict) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """The features and draws that benchmarks/support.py gave the package."""
    stream = np.random.RandomState(case["seed"])
    real = stream.standard_normal((case["real"], case["width"])).astype(np.float32)
    fake = (stream.standard_normal((case["fake"], case["width"])) + case["shift"]).astype(np.float32)
    return real, fake, tuple(stream.randint(0, case[name], (10, case[name])) for name in ("real", "fake"))


@pytest.mark.parametrize("line", GOLDEN, ids=lambda line: "{width}-{kernel}".format(**line["case"]))
def test_figures_equal_the_package(line: dict) -> None:
    real, fake, draw = sets(line["case"])
    found = topological_precision_recall(real, fake, kernel=line["case"]["kernel"], draws=[draw])
    wanted = line["drawn"]
    for name in ("fidelity", "diversity", "f1"):
        assert getattr(found, name).mean == pytest.approx(wanted[name], abs=1e-9)
    assert (found.bandwidth_real, found.bandwidth_fake) == pytest.approx(tuple(wanted["bandwidths"]), rel=1e-6)
    run = found.runs[0]
    assert (run.threshold_real, run.threshold_fake) == pytest.approx(tuple(wanted["thresholds"]), rel=1e-5)


@pytest.mark.parametrize("line", GOLDEN, ids=lambda line: "{width}-{kernel}".format(**line["case"]))
def test_a_seed_draws_what_the_package_draws(line: dict) -> None:
    real, fake, _ = sets(line["case"])
    seed = 42 if line["case"]["width"] > 32 else line["case"]["seed"]  # the package sets 42 where it projects
    found = topological_precision_recall(real, fake, kernel=line["case"]["kernel"], seed=seed, seeds=1)
    for name in ("fidelity", "diversity", "f1"):
        assert getattr(found, name).mean == pytest.approx(line["as_shipped"][name], abs=1e-9)


def dense(real: np.ndarray, fake: np.ndarray, draw: tuple[np.ndarray, np.ndarray], alpha: float) -> list[int]:
    """The statistic straight from its definition, with full matrices: four counts."""

    def matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))

    def kernel(distance: np.ndarray, width: float) -> np.ndarray:
        return np.where(distance <= width, np.cos(np.pi / 2 * distance / width), 0.0)

    def band(points: np.ndarray, rows: np.ndarray) -> tuple[float, float, np.ndarray]:
        near, neighbors = matrix(points, points), 5 * points.shape[1]
        reach = sorted(
            sorted(near[row, row + 1 :])[neighbors - 1] for row in range(len(points) - neighbors)
        )  # later samples only
        width = reach[len(reach) // 2 - 1]
        weights = kernel(near, width)
        furthest = [np.abs(weights.sum(axis=1) - weights[:, drawn].sum(axis=1)).max() for drawn in rows]
        return width, float(np.quantile(furthest, 1 - alpha)), weights.sum(axis=1)

    (width, bound, own), (other_width, other_bound, other_own) = (
        band(part, rows) for part, rows in zip((real, fake), draw, strict=True)
    )
    across = matrix(real, fake)
    on_real, on_fake = own > bound, other_own > other_bound
    shared_real = on_real & (kernel(across, other_width).sum(axis=1) > other_bound)
    shared_fake = on_fake & (kernel(across, width).sum(axis=0) > bound)
    return [int(part.sum()) for part in (on_real, on_fake, shared_real, shared_fake)]


@pytest.mark.parametrize(("size", "alpha"), [(90, 0.1), (131, 0.3)])
def test_counts_equal_the_definition(size: int, alpha: float) -> None:
    real = normal(size, 6).astype(np.float32).astype(np.float64)
    fake = normal(2 * size - 3, 6, seed=1, shift=0.5).astype(np.float32).astype(np.float64)
    draw = tuple(np.random.default_rng(2).integers(len(part), size=(7, len(part))) for part in (real, fake))
    run = topological_precision_recall(real, fake, alpha=alpha, draws=[draw]).runs[0]
    counts = [run.significant_real, run.significant_fake, run.shared_real, run.shared_fake]
    assert counts == dense(real, fake, draw, alpha)


def test_one_outlier_drowns_nobody_else() -> None:
    real, fake = (normal(100, 6, seed=seed).astype(np.float32).astype(np.float64) for seed in (0, 1))
    real[7] = 1e16
    draw = tuple(np.random.default_rng(2).integers(100, size=(5, 100)) for _ in range(2))
    run = topological_precision_recall(real.astype(np.float32), fake, draws=[draw]).runs[0]
    counts = [run.significant_real, run.significant_fake, run.shared_real, run.shared_fake]
    assert counts == dense(real, fake, draw, 0.1)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = normal(150), normal(120, seed=1, shift=0.3)
    whole = topological_precision_recall(real, fake, seeds=3)
    monkeypatch.setattr(module, "_TILE", 37)
    monkeypatch.setattr(module, "_ROWS", 11)
    pieces = topological_precision_recall(real, fake, seeds=3)
    assert pieces.fidelity == whole.fidelity
    assert pieces.diversity == whole.diversity
    assert pieces.bandwidth_real == whole.bandwidth_real
    assert [run.threshold_fake for run in pieces.runs] == pytest.approx([run.threshold_fake for run in whole.runs])


def test_place_and_scale_change_nothing() -> None:
    real, fake = normal(150).astype(np.float32), normal(150, seed=1, shift=0.3).astype(np.float32)
    plain = topological_precision_recall(real, fake)
    scaled = topological_precision_recall(real * 2.0**20, fake * 2.0**20)
    assert scaled.fidelity == plain.fidelity
    assert scaled.diversity == plain.diversity
    assert scaled.bandwidth_fake == plain.bandwidth_fake * 2.0**20
    moved = topological_precision_recall(real + 100.0, fake + 100.0)
    assert moved.fidelity.mean == pytest.approx(plain.fidelity.mean, abs=0.01)


def test_seeds_give_an_interval_and_the_same_again() -> None:
    real, fake = normal(200), normal(200, seed=1, shift=0.5)
    found = topological_precision_recall(real, fake, seed=3, seeds=6)
    assert found == topological_precision_recall(real, fake, seed=3, seeds=6)
    values = [run.fidelity.value for run in found.runs]
    assert found.fidelity.n == len(values) == 6
    assert min(values) <= found.fidelity.low <= found.fidelity.mean <= found.fidelity.high <= max(values)
    assert found.fidelity.low < found.fidelity.high
    alone = topological_precision_recall(real, fake, seed=5, seeds=1)
    assert alone.runs[0].threshold_real == pytest.approx(found.runs[2].threshold_real)
    assert alone.runs[0].fidelity == found.runs[2].fidelity
    assert math.isnan(alone.fidelity.low)


def test_all_samples_as_denominators_give_no_more() -> None:
    found = topological_precision_recall(normal(200), normal(260, seed=1, shift=0.5), seeds=2)
    shared = [run.shared_fake / 260 for run in found.runs]
    assert found.fidelity_of_all.mean == pytest.approx(np.mean(shared))
    assert found.fidelity_of_all.mean <= found.fidelity.mean
    assert found.diversity_of_all.mean <= found.diversity.mean
    assert any(run.significant_fake < 260 for run in found.runs)


def test_f1_is_nothing_where_a_part_is_nothing() -> None:
    counts = {"threshold_real": 1.0, "threshold_fake": 1.0, "significant_real": 10, "significant_fake": 10}
    assert Bootstrap(**counts, shared_real=10, shared_fake=5).f1.value == pytest.approx(2 / 3)
    assert Bootstrap(**counts, shared_real=10, shared_fake=0).f1.value == 0.0
    counts["significant_fake"] = 0
    assert Bootstrap(**counts, shared_real=10, shared_fake=0).f1.reason == "no fake sample is significant"


# ---- direction ------------------------------------------------------------------------------------------------------


def modes(counts: list[int], seed: int) -> np.ndarray:
    """So many samples of each of some modes far apart, mixed as the bandwidth wants them."""
    stream = np.random.default_rng(seed)
    centres = 8.0 * np.random.default_rng(99).standard_normal((len(counts), 8))
    parts = [stream.standard_normal((count, 8)) + centre for count, centre in zip(counts, centres, strict=True)]
    return stream.permutation(np.concatenate(parts))


def test_equal_distributions_are_near_one() -> None:
    found = topological_precision_recall(modes([200, 200, 200], 0), modes([200, 200, 200], 1))
    assert found.fidelity.mean > 0.85
    assert found.diversity.mean > 0.85
    assert found.f1.mean > 0.85
    assert found.warnings == ()


def test_dropped_modes_lower_diversity_alone() -> None:
    real = modes([200, 200, 200], 0)
    drops = [modes(counts, 1) for counts in ([200, 200, 200], [300, 300, 0], [600, 0, 0])]
    found = [topological_precision_recall(real, fake, seeds=3) for fake in drops]
    diversity = [one.diversity.mean for one in found]
    assert diversity[0] > 0.85
    assert diversity[0] > diversity[1] + 0.2 > diversity[2] + 0.4
    assert all(one.fidelity.mean >= found[0].fidelity.mean > 0.85 for one in found)


def test_noise_among_the_fakes_lowers_fidelity() -> None:
    real, fake = modes([300, 300], 0), modes([300, 300], 1)
    fakes = [fake, *(np.concatenate([fake[:-count], normal(count, 8, seed=2, shift=40.0)]) for count in (150, 300))]
    mixed = [np.random.default_rng(3).permutation(one) for one in fakes]
    fidelity = [topological_precision_recall(real, one, seeds=3).fidelity.mean for one in mixed]
    assert fidelity[0] > 0.85
    assert fidelity[0] > fidelity[1] + 0.1 > fidelity[2] + 0.2


def test_outliers_among_the_real_samples_let_nothing_in() -> None:
    """Twenty real samples wide of the rest: precision takes the fakes around them for good ones, fidelity does not."""
    real = np.random.default_rng(0).permutation(np.concatenate([normal(580, 8), 12.0 * normal(20, 8, seed=1)]))
    fake = np.random.default_rng(1).permutation(np.concatenate([normal(400, 8, seed=2), 8.0 * normal(200, 8, seed=3)]))
    clean = topological_precision_recall(normal(600, 8), fake, seeds=3)
    found = topological_precision_recall(real, fake, seeds=3)
    assert found.fidelity.mean == pytest.approx(clean.fidelity.mean, abs=0.1)
    precision = [neighborhoods(part, fake, neighbors=3).precision.value for part in (normal(600, 8), real)]
    assert precision[1] > precision[0] + 0.15


# ---- where it says little -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("real", "fake", "reason"),
    [
        (normal(41), normal(60), "41 real samples, and 40 neighbors need at least 42"),
        (normal(60), normal(0), "0 fake samples, and 40 neighbors need at least 42"),
        (np.ones((60, 8)), normal(60), "the real features have no spread: the middle sample equals 40 later ones"),
        (normal(60), np.full((60, 8), np.nan), "60 of 60 fake samples hold NaN or infinite features"),
        (normal(60), 1e300 * normal(60), "60 of 60 fake samples hold NaN or infinite features"),
        (normal(60), 1e19 * normal(60), "fake features over 1e+18 overflow single precision: scale them down"),
        (1e-20 * normal(60), normal(60), "is out of single precision: scale the features"),
        (normal(60, 0), normal(60, 0), "the samples have no features"),
    ],
)
def test_degenerate_sets_are_undefined(real: np.ndarray, fake: np.ndarray, reason: str) -> None:
    found = topological_precision_recall(real, fake, seeds=2)
    for figure in (found.fidelity, found.diversity, found.f1, found.fidelity_of_all, found.diversity_of_all):
        assert math.isnan(figure.mean)
        assert (figure.n, figure.excluded) == (0, 2)
        assert all(reason in why for why in figure.reasons)
    assert found.runs == ()
    assert "fidelity undefined" in found.text()


def test_the_least_number_of_samples_is_enough() -> None:
    assert topological_precision_recall(normal(42), normal(42, seed=1)).bandwidth_real > 0


@pytest.mark.parametrize(
    ("real", "fake", "warnings"),
    [
        (normal(80, 3), normal(80, 3, seed=1), ["3 dimensions: the reference package has no result for fewer than 4"]),
        (
            normal(80) * np.arange(8).clip(0, 1),
            normal(80, seed=1),
            ["1 of 8 features never change in the real samples"],
        ),
        (
            normal(80),
            0.01 * normal(80, seed=1),
            ["the sets differ in scale: bandwidth "],
        ),
        (
            normal(80),
            normal(80, seed=1, shift=30.0),
            ["no fake lies within a bandwidth of any real sample: the sets may be of different spaces or scales"],
        ),
    ],
)
def test_figures_that_say_little_come_with_warnings(real: np.ndarray, fake: np.ndarray, warnings: list[str]) -> None:
    found = topological_precision_recall(real, fake, seeds=2)
    assert len(found.warnings) == len(warnings)
    assert all(had.startswith(wanted) for had, wanted in zip(found.warnings, warnings, strict=True))
    assert all(f"warning: {had}" in found.text() for had in found.warnings)


def test_no_significant_sample_is_said() -> None:
    """One sample drawn again and again: the band is wider than any density."""
    real, fake = normal(80), normal(80, seed=1)
    same = np.zeros((4, 80), dtype=np.int64)
    whole = np.arange(80)[None].repeat(4, axis=0)
    found = topological_precision_recall(real, fake, draws=[(whole, same), (whole, whole)])
    assert found.warnings == ("no fake sample is significant in 1 of 2 bootstraps",)
    assert (found.fidelity.n, found.fidelity.excluded) == (1, 1)
    assert found.fidelity.reasons == {"no fake sample is significant": 1}
    assert found.runs[1].significant_fake == 80


def test_the_space_is_printed() -> None:
    found = topological_precision_recall(normal(200, 40), normal(200, 40, seed=1), seeds=1, space="latent")
    assert found.text().startswith("TopP&R of latent (40 → 32 dimensions): fidelity ")
    assert found.neighbors == 160


def test_misuse_is_an_error() -> None:
    real, fake = normal(60), normal(60, seed=1)
    whole = np.arange(60)[None]
    with pytest.raises(ShapeError, match="real samples have 8 features and fake ones 7"):
        topological_precision_recall(real, fake[:, :7])
    with pytest.raises(ShapeError, match="real samples have 40 features and fake ones 64"):
        topological_precision_recall(normal(200, 40), normal(200, 64))
    with pytest.raises(ShapeError, match=r"draws of shape \(1, 59\) do not fit 60 fake samples"):
        topological_precision_recall(real, fake, draws=[(whole, whole[:, :59])])
    with pytest.raises(ShapeError, match="do not fit 60 real samples"):
        topological_precision_recall(real, fake, draws=[(whole + 1, whole)])
    for setting in ({"alpha": 0.0}, {"alpha": 1.0}, {"rounds": 0}, {"seeds": 0}, {"draws": []}):
        with pytest.raises(ConfigError, match="TopP&R: "):
            topological_precision_recall(real, fake, **setting)


# ---- distances ------------------------------------------------------------------------------------------------------


def test_tiles_are_distances_far_from_the_origin_too() -> None:
    a, b = normal(30, 5, shift=1e6), normal(20, 5, seed=1, shift=1e6)
    wanted = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    distances = Distances(a, b)
    rows, columns = slice(3, 9), slice(5, 20)
    assert np.abs(distances.tile(rows, columns) - wanted[rows, columns]).max() <= distances.slack(rows, columns) < 1e-12
    assert distances.exact(np.array([3, 4]), np.array([5, 6])) == pytest.approx([wanted[3, 5], wanted[4, 6]])


def test_the_projection_is_the_packages_and_leaves_torch_alone() -> None:
    import torch

    torch.manual_seed(7)
    before = torch.get_rng_state()
    features = normal(4, 48)
    found = project(features)
    assert torch.equal(torch.get_rng_state(), before)
    layer = torch.nn.Linear(48, 32, bias=False)
    torch.manual_seed(99)
    torch.nn.init.xavier_normal_(layer.weight)
    assert np.array_equal(found, layer(torch.tensor(features, dtype=torch.float32)).detach().numpy())
    torch.set_rng_state(before)
    with pytest.raises(ConfigError, match="width 0"):
        project(features, 0)
