"""Columns and pictures that several papers' cards share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from vocable.evaluate.canvas import add_panels, clean_label, draw_figure
from vocable.evaluate.card import Better, Column, Picture


def column(key: str, title: str, better: Better, caption: str, unit: str = "", form: str = ".3f") -> Column:
    """Return a column of a card.

    Args:
        key: Name of the figure in ``summary.json``.
        title: Title of the column.
        better: Direction in which a figure is better.
        caption: Definition of the figure.
        unit: Unit; ``%`` shows a share times 100.
        form: Format specification of a figure.
    """
    return Column(key=key, title=title, unit=unit, better=better, caption=caption, form=form)


def usage_picture(
    counts: Int[ndarray, "R K"], rows: Sequence[str], order: Int[ndarray, " K"], *, title: str, caption: str, axis: str,
    row_height: float,
) -> Picture:  # fmt: skip
    """Draw how often each row uses each codebook entry, as one line of shades a row.

    Args:
        counts: Occurrences of each entry in each row.
        rows: Name of each row.
        order: Order of the entries from left to right.
        title: Title of the picture.
        caption: Caption of the picture.
        axis: Label of the axis of entries.
        row_height: Height of a row in inches.
    """
    shares = counts[:, order] / counts.sum(1, keepdims=True)

    def put(figure: Any) -> None:
        figure.suptitle(clean_label(title))
        (axes,) = add_panels(figure, 1, 1)
        axes.grid(visible=False)
        image = axes.imshow(np.log10(np.maximum(shares, 1e-5)), aspect="auto", cmap="magma", interpolation="nearest")
        axes.set_yticks(range(len(rows)), [clean_label(name) for name in rows])
        axes.set_xlabel(axis)
        figure.colorbar(image, ax=axes, label="log10 of the share of ids")

    return Picture(title=title, caption=caption, png=draw_figure(10.0, 1.4 + row_height * len(rows), put))
