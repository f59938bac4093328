"""Projections against their definitions, and on too little."""

import numpy as np
import pytest

from tests.evaluate.drawn import drawn
from vocable.errors import ConfigError, ShapeError
from vocable.evaluate.pictures import plot_projection, project_pca


def _clusters(count: int, each: int = 12, width: int = 8) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(0)
    centres = 20 * random.standard_normal((count, width))
    points = np.repeat(centres, each, axis=0) + random.standard_normal((count * each, width))
    return points, [f"s{number}" for number in range(count) for _ in range(each)]


def test_pca_is_the_singular_value_decomposition() -> None:
    vectors = np.random.default_rng(0).standard_normal((30, 6)) * np.arange(1, 7)
    points, shares = project_pca(vectors)
    left, values, _ = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    assert np.allclose(np.abs(points), np.abs(left[:, :2] * values[:2]))
    assert shares == pytest.approx(tuple(values[:2] ** 2 / (values**2).sum()))
    assert np.array_equal(project_pca(vectors)[0], points)


def test_the_axes_tell_the_shares_and_the_legend_the_classes() -> None:
    vectors, labels = _clusters(3)
    picture, figure = drawn(lambda: plot_projection(vectors, labels, title="Latents by speaker"))
    axes = figure.axes[0]
    assert axes.get_xlabel() == f"component 1 ({project_pca(vectors)[1][0]:.0%} of the variance)"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["s0 (12)", "s1 (12)", "s2 (12)"]
    assert picture.title == "Latents by speaker: PCA of 36 points"
    shown = np.concatenate([np.asarray(part.get_offsets()) for part in axes.collections])
    assert np.allclose(shown, project_pca(vectors)[0])
    assert len({tuple(np.asarray(part.get_facecolors())[0]) for part in axes.collections}) == 3


def test_many_classes_have_marks_of_their_own_up_to_twelve() -> None:
    vectors, labels = _clusters(20, each=3)
    _, figure = drawn(lambda: plot_projection(vectors, labels))
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(texts) == 12
    assert texts[-1] == "others (27)"
    looks = {
        (part.get_paths()[0].vertices.tobytes(), part.get_facecolors().tobytes()) for part in figure.axes[0].collections
    }
    assert len(looks) == 12


def test_tsne_keeps_neighbours_and_its_seed() -> None:
    vectors, labels = _clusters(3)
    picture, figure = drawn(lambda: plot_projection(vectors, labels, method="tsne"))
    points = np.concatenate([np.asarray(part.get_offsets()) for part in figure.axes[0].collections])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag([np.inf] * len(points))
    assert all(labels[near] == label for near, label in zip(distances.argmin(1), labels, strict=True))
    assert picture.caption.startswith("Perplexity 11.7, seed 0.")
    assert drawn(lambda: plot_projection(vectors, labels, method="tsne"))[0] == picture


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("shape", [(2, 3), (3, 1), (5, 2)])
def test_few_points_and_few_values_can_be_drawn(method: str, shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    _, figure = drawn(lambda: plot_projection(vectors, ["a"] * len(vectors), method=method))
    assert np.isfinite(np.asarray(figure.axes[0].collections[0].get_offsets())).all()


def test_what_has_no_plane_is_refused() -> None:
    two = np.eye(2)
    for vectors, labels, message in (
        (two[:1], ["a"], r"at least two vectors, got shape \(1, 2\)"),
        (np.zeros((3, 0)), ["a"] * 3, "at least two vectors"),
        (two, ["a"], "1 labels for 2 vectors"),
        (np.array([[0.0], [np.nan]]), ["a", "b"], "vector 1 has a value that is not finite"),
        (np.ones((4, 3)), ["a"] * 4, "all 4 vectors are equal"),
    ):
        with pytest.raises(ShapeError, match=message):
            plot_projection(vectors, labels)


def test_an_unknown_projection_is_named() -> None:
    with pytest.raises(ConfigError, match="no projection 'umap'; choose pca or tsne"):
        plot_projection(np.eye(2), ["a", "b"], method="umap")
