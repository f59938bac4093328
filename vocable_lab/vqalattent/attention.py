"""Pictures of attention maps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.errors import ShapeError
from vocable.evaluate.canvas import add_panels, clean_label, count_rows, draw_figure
from vocable.evaluate.card import Picture

_MAX_NAMES = 40  # queries that are named


def plot_attention(weights: Float[ndarray, "H N M"], *, queries: Sequence[str] | None = None,
                   names: tuple[str, str] = ("query", "key (frame)"), title: str = "Attention") -> Picture:  # fmt: skip
    """Plot attention maps, heads side by side on one scale, each under the mean entropy of its rows.

    An entropy of 0 bit means attention to one key, log2 M bit means equal attention to all. Rows of zeros (masked
    queries) do not count.

    Args:
        weights: Attention after the softmax: H heads, N queries, M keys.
        queries: Name of each query, such as its text token; shown if there are at most 40.
        names: Labels of the two axes.
        title: Title of the picture.

    Raises:
        ShapeError: If an axis is empty, a weight is negative or not finite, or the number of names is not N.

    Example:
        >>> plot_attention(np.full((2, 3, 4), 0.25), queries=["the", "cat", "sat"]).title
        'Attention'
    """
    if not weights.size or not np.isfinite(weights).all() or float(weights.min()) < 0:
        raise ShapeError(f"attention of shape {weights.shape} is empty, negative or not finite; give it after softmax")
    if queries is not None and len(queries) != weights.shape[1]:
        raise ShapeError(f"there are {len(queries)} names for {weights.shape[1]} queries")
    heads, rows, _ = weights.shape
    columns = min(heads, 4)
    most = float(weights.max()) or 1.0
    is_named = queries is not None and rows <= _MAX_NAMES

    def fill(figure: Any) -> None:
        figure.suptitle(clean_label(title))
        maps = add_panels(figure, heads, columns, sharex=True, sharey=True)
        for head, (axes, values) in enumerate(zip(maps, weights, strict=True), 1):
            axes.grid(visible=False)
            image = axes.imshow(values, aspect="auto", cmap="viridis", vmin=0.0, vmax=most)
            bits = mean_entropy(values)
            axes.set_title(f"head {head}: " + ("no query" if np.isnan(bits) else f"{bits:.2f} bit"))
            if queries is not None and is_named:
                axes.set_yticks(range(rows), [clean_label(query, 16) for query in queries])
            axes.set(xlabel=clean_label(names[1]) if head > heads - columns else "",
                     ylabel=clean_label(names[0]) if head % columns == 1 or columns == 1 else "")  # fmt: skip
        figure.colorbar(image, ax=maps, label="weight", pad=0.015)

    height = 0.9 + count_rows(heads, 4) * (max(2.0, 0.17 * rows) if is_named else 2.2)
    caption = (
        f"{heads} heads, {rows} queries, {weights.shape[2]} keys. Each title gives the mean entropy of the rows, which "
        f"is at most {np.log2(weights.shape[2]):.2f} bit."
    )
    return Picture(title=title, caption=caption, png=draw_figure(1.6 + 2.2 * max(columns, 2), height, fill))


def mean_entropy(weights: Float[ndarray, "N M"]) -> float:
    """Return the mean entropy in bits of the rows that are not zero, each normalized to sum 1; NaN if all are zero.

    Example:
        >>> mean_entropy(np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 0.0]]))
        0.5
    """
    rows = weights[weights.sum(1) > 0].astype(np.float64)
    if not len(rows):
        return float("nan")
    shares = rows / rows.sum(1, keepdims=True)
    return float(-(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(1).mean()) + 0.0
