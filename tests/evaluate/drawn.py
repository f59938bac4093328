"""The matplotlib figure behind a picture, and the law that every one keeps: all words are whole and apart."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import Any
from unittest.mock import patch

from matplotlib.figure import Figure

from vocable.evaluate.card import Picture


@contextmanager
def watched() -> Iterator[list[Figure]]:
    """Figures saved while this is open."""
    figures: list[Figure] = []
    save = Figure.savefig

    def watch(figure: Figure, *args: Any, **settings: Any) -> None:
        save(figure, *args, **settings)
        figures.append(figure)

    with patch.object(Figure, "savefig", watch), patch("vocable.evaluate.canvas._DPI", 60):  # words scale along
        yield figures


def drawn(make: Callable[[], Picture]) -> tuple[Picture, Figure]:
    """A picture and its figure, checked."""
    with watched() as figures:
        picture = make()
    assert picture.png.startswith(b"\x89PNG\r\n\x1a\n")
    assert not any(word in picture.png for word in (b"tEXt", b"iTXt", b"tIME", b"Matplotlib"))
    assert picture.title
    assert picture.caption.endswith(".")
    (figure,) = figures
    check_words(figure)
    return picture, figure


def check_words(figure: Figure) -> None:
    """No title, label, tick label or legend runs out of the picture or into another."""
    figure.canvas.get_renderer()
    whole = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in _texts(figure)]
    for words, box in boxes:
        assert box.x0 >= whole.x0 - 1, f"{words!r} is cut off"
        assert box.y0 >= whole.y0 - 1, f"{words!r} is cut off"
        assert box.x1 <= whole.x1 + 1, f"{words!r} is cut off"
        assert box.y1 <= whole.y1 + 1, f"{words!r} is cut off"
    for (first, a), (second, b) in combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide <= 1 or high <= 2, f"{first!r} overlaps {second!r}"


def _texts(figure: Figure) -> list[Any]:
    found = [figure._suptitle] if figure._suptitle else []
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    for legend in legends:
        found += legend.get_texts()
    children = [child for axes in figure.axes for child in axes.child_axes]
    for axes in [*figure.axes, *children]:
        found += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            shown = (tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)
            found += [label for tick in shown for label in (tick.label1, tick.label2) if label.get_visible()]
    return [text for text in found if text.get_text().strip() and text.get_visible()]


def titles(figure: Figure) -> list[str]:
    """Of the panels, in order."""
    return [axes._left_title.get_text() for axes in figure.axes if axes._left_title.get_text()]
