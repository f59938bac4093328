"""Pictures of latents: points in a plane, and which frame is like which.

Every function is pure: arrays in, a :class:`~vocable.evaluate.card.Picture` out, the same bytes for the same input.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.errors import ConfigError, MissingDependencyError, ShapeError
from vocable.evaluate.canvas import COLORS, MARKS, OTHERS, SOFT, classes, draw, panels, words
from vocable.evaluate.card import Picture

_PERPLEXITY = 30.0  # of t-SNE, where there are points enough
_MISSING = "projections need scikit-learn; run pip install 'vocable[evaluate]'"


def projection_picture(vectors: Float[ndarray, "M D"], labels: Sequence[str], *, method: str = "pca",
                       seed: int = 0, title: str = "Latents") -> Picture:  # fmt: skip
    """Vectors as points in a plane, with a colour and a mark for each label.

    Args:
        vectors: Any scale.
        labels: One a vector; with more than 12 different ones the rarest stand together as "others".
        method: ``pca`` shows the two directions of largest variance and their shares; ``tsne`` shows who is near
            whom, at perplexity 30 or, for few points, a third of them.
        seed: Of t-SNE, and of the order in which classes are drawn.
        title: Of what is shown; the method and the number of points are added.

    Raises:
        ShapeError: Fewer than two vectors, labels of another number, a value that is not finite, or all vectors equal.
        ConfigError: No such method.
        MissingDependencyError: scikit-learn or matplotlib is not installed.

    Source:
        t-SNE: van der Maaten and Hinton, JMLR 9 (2008); both as in scikit-learn.

    Example:
        >>> random = np.random.default_rng(0)
        >>> projection_picture(random.standard_normal((20, 4)), ["a", "b"] * 10).title
        'Latents: PCA of 20 points'
    """
    _check_vectors(vectors, labels)
    if method == "pca":
        points, shares = pca(vectors)
        names = [f"component {axis} ({share:.0%} of the variance)" for axis, share in enumerate(shares, 1)]
        how, caption = "PCA", "The two directions in which the vectors vary most; equal scales on both axes."
    elif method == "tsne":
        points, perplexity = _tsne(vectors, seed)
        names = ["t-SNE 1 (no unit)", "t-SNE 2 (no unit)"]
        how = "t-SNE"
        caption = (
            f"Perplexity {perplexity:.3g}, seed {seed}. Neighbours are near; distances between groups, their sizes "
            "and the axes mean nothing."
        )
    else:
        raise ConfigError(f"there is no projection '{method}'; choose pca or tsne")
    groups = classes(labels)

    def put(figure: Any) -> None:
        figure.suptitle(words(f"{title}: {how} of {len(points)} points", 80))
        (axes,) = panels(figure, 1, 1)
        for index, (name, rows) in enumerate(groups):
            color, mark = (SOFT, ".") if name == OTHERS else (COLORS[index % len(COLORS)], MARKS[index])
            axes.scatter(*points[rows].T, s=26, c=color, marker=mark, alpha=0.75, linewidths=0.4, edgecolors="white",
                         label=words(f"{name} ({rows.size})"))  # fmt: skip
        axes.set(xlabel=names[0], ylabel=names[1])
        axes.set_aspect("equal", adjustable="datalim")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2)

    return Picture(title=f"{title}: {how} of {len(points)} points", caption=caption, png=draw(7.5, 5.2, put))


def pca(vectors: Float[ndarray, "M D"]) -> tuple[Float[ndarray, "M 2"], tuple[float, float]]:
    """Coordinates along the two directions of largest variance, and their shares of it, in [0, 1].

    Example:
        >>> points, shares = pca(np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 0.0], [3.0, 0.0]]))
        >>> np.abs(points).tolist(), shares
        ([[1.5, 0.0], [1.5, 0.0], [1.5, 0.0], [1.5, 0.0]], (1.0, 0.0))
    """
    try:
        from sklearn.decomposition import PCA
    except ImportError as error:
        raise MissingDependencyError(_MISSING) from error
    fitted = PCA(n_components=min(2, *vectors.shape), svd_solver="full")
    found = fitted.fit_transform(vectors.astype(np.float64))
    first, second = (*map(float, fitted.explained_variance_ratio_), 0.0)[:2]
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1]))), (first, second)  # vectors of one value have no second


def similarity_picture(a: Float[ndarray, "N D"], b: Float[ndarray, "M D"], *,
                       names: tuple[str, str] = ("S (frame)", "P (frame)"),
                       title: str = "Cosine similarity") -> Picture:  # fmt: skip
    """Cosine of the angle between each row of one sequence and each of another, such as speech and phoneme latents.

    Frames that belong together lie on a bright line; a zero vector has no direction and stays grey.

    Args:
        a: From top to bottom.
        b: From left to right.
        names: Of the two axes.
        title: Of the picture.

    Raises:
        ShapeError: A sequence is empty or has a value that is not finite.

    Example:
        >>> similarity_picture(np.eye(4), np.eye(4)).title
        'Cosine similarity'
    """
    if not (a.size and b.size and np.isfinite(a).all() and np.isfinite(b).all()):
        raise ShapeError(f"cosines need two sequences of finite vectors, got shapes {a.shape} and {b.shape}")
    cosines = cosine(a, b)

    def put(figure: Any) -> None:
        figure.suptitle(words(title))
        (axes,) = panels(figure, 1, 1)
        axes.set_facecolor("#bdbdbd")
        axes.grid(visible=False)
        image = axes.imshow(cosines, aspect="auto", cmap="PuOr_r", vmin=-1.0, vmax=1.0)
        axes.set(ylabel=words(names[0]), xlabel=words(names[1]))
        figure.colorbar(image, ax=axes, label="cosine (−1 to 1)", pad=0.02)

    undefined = int(np.isnan(cosines).sum())
    caption = f"{len(a)} × {len(b)} vectors of {a.shape[1]} values."
    caption += f" Grey: {undefined} pairs with a zero vector, which has no direction." if undefined else ""
    return Picture(title=title, caption=caption, png=draw(7.0, 5.0, put))


def cosine(a: Float[ndarray, "N D"], b: Float[ndarray, "M D"]) -> Float[ndarray, "N M"]:
    """Cosines of all pairs of rows, in [-1, 1]; NaN where a row is zero.

    Example:
        >>> cosine(np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([[-1.0, 0.0]])).tolist()
        [[-1.0], [nan]]
    """
    with np.errstate(invalid="ignore"):
        left, right = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))
    return (left @ right.T).clip(-1.0, 1.0)


def _check_vectors(vectors: Float[ndarray, "M D"], labels: Sequence[str]) -> None:
    if len(vectors) < 2 or not vectors.shape[1]:
        raise ShapeError(f"a projection needs at least two vectors, got shape {vectors.shape}")
    if len(labels) != len(vectors):
        raise ShapeError(f"there are {len(labels)} labels for {len(vectors)} vectors; give one each")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(1))[0])
        raise ShapeError(f"vector {row} has a value that is not finite")
    if (vectors == vectors[0]).all():
        raise ShapeError(f"all {len(vectors)} vectors are equal: there is no direction to show")


def _tsne(vectors: Float[ndarray, "M D"], seed: int) -> tuple[Float[ndarray, "M 2"], float]:
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingDependencyError(_MISSING) from error
    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    start = pca(vectors)[0]
    start = (start / start[:, 0].std() * 1e-4).astype(np.float32)  # as init="pca", which refuses vectors of one value
    fitted = TSNE(perplexity=perplexity, init=start, random_state=seed, n_jobs=1, method="exact" if len(vectors) < 50
                  else "barnes_hut")  # fmt: skip
    return fitted.fit_transform(vectors.astype(np.float32)), perplexity
