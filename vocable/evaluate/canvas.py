"""Figures in one style: the same fonts, colors and bytes on every machine, whatever its matplotlib settings are.

Figures are matplotlib objects without pyplot, so that nothing is left behind between two figures. The colors are those
of Okabe and Ito (2008), which color-blind readers can tell apart; classes also differ by the shape of their marks.
"""

import io
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from vocable.errors import MissingDependencyError
from vocable.evaluate.card import Picture

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", "*", ">", "p", "h")
SOFT = "#8a8a8a"
OTHERS = "others"
_DPI = 150
_MAX_LABEL = 48  # characters
_PAGE = Path(__file__).parent / "page"
_PAGE_COLORS = {  # ink, edges, ticks and grid of plot.mplstyle, then the colors of curves
    "#000000": "var(--ink)", "#555555": "var(--soft)", "#333333": "var(--soft)", SOFT: "var(--soft)",
    "#e4e4e4": "var(--line)", **{color.lower(): f"var(--hue{index})" for index, color in enumerate(COLORS[:5])},
}  # fmt: skip


def draw_figure(width: float, height: float, fill: Callable[[Any], None], kind: Literal["png", "svg"] = "png") -> bytes:
    """Draw a figure; equal figures give equal bytes.

    Args:
        width: Width in inches of 150 pixels.
        height: Height in inches.
        fill: Function that draws into an empty matplotlib ``Figure``.
        kind: ``png``, or ``svg`` with a transparent ground and colors that follow the dark mode of the browser.

    Raises:
        MissingDependencyError: If matplotlib is not installed.

    Example:
        >>> draw_figure(2.0, 1.0, lambda figure: figure.suptitle("hello"))[1:4]
        b'PNG'
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("pictures need matplotlib; run pip install matplotlib") from error
    style: Any = matplotlib.rc_params_from_file(_PAGE / "plot.mplstyle")
    settings = {key: value for key, value in style.items() if not key.startswith("backend")}
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        fill(figure)
        file = io.BytesIO()
        if kind == "png":
            figure.savefig(file, format="png", metadata={"Software": None})
            return file.getvalue()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    return _follow_dark_mode(file.getvalue().decode()).encode()


def draw_picture(
    title: str, caption: str, size: tuple[float, float], fill: Callable[[Any, list[Any]], None],
    panels: int = 1, columns: int = 1, longest: int = _MAX_LABEL, **shared: Any,
) -> Picture:  # fmt: skip
    """Draw a picture of panels under a title.

    Args:
        title: Title of the picture.
        caption: Explanation in full sentences.
        size: Width and height in inches of 150 pixels.
        fill: Function that draws into the matplotlib ``Figure`` and its empty panels.
        panels: Number of panels.
        columns: Panels in a row, at most.
        longest: Most characters of the title in the picture.
        shared: Options of ``Figure.subplots``, such as ``sharex``.
    """

    def fill_figure(figure: Any) -> None:
        figure.suptitle(clean_label(title, longest))
        fill(figure, add_panels(figure, panels, columns, **shared))

    return Picture(title=title, caption=caption, png=draw_figure(*size, fill_figure))


def add_panels(figure: Any, count: int, columns: int, **shared: Any) -> list[Any]:
    """Add panels to a matplotlib ``Figure``, row by row, at most ``columns`` in a row; see ``Figure.subplots``."""
    columns = min(columns, count)
    grid = figure.subplots(count_rows(count, columns), columns, squeeze=False, **shared).reshape(-1)
    for axes in grid[count:]:
        axes.remove()
    return list(grid[:count])


def count_rows(count: int, columns: int) -> int:
    """Return the number of rows that panels take."""
    return -(-count // max(1, min(columns, count)))


def clean_label(text: object, longest: int = _MAX_LABEL) -> str:
    r"""Return a name as matplotlib can show it: no mathematics, nothing unprintable, at most ``longest`` characters.

    Example:
        >>> clean_label("a$b$"), clean_label("_me"), clean_label(None), clean_label("tokenizer", 6)
        ('a\\$b\\$', ' _me', '(none)', 'token…')
    """
    name = "(none)" if text is None else str(text).encode("utf-8", "replace").decode()
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split()) or "(empty)"
    name = name if len(name) <= longest else name[: longest - 1] + "…"
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")  # matplotlib hides labels with a leading _


def group_rows(labels: Sequence[str]) -> list[tuple[str, Int[ndarray, " R"]]]:
    """Group rows by their label, in the natural order of labels; beyond 12 groups the rarest become "others"."""
    counts = Counter(labels)
    kept = sorted(counts, key=lambda name: (-counts[name], natural_key(name)))
    kept = kept if len(kept) <= len(MARKS) else kept[: len(MARKS) - 1]
    column = np.array(labels, dtype=object)
    groups = [(name, np.flatnonzero(column == name)) for name in sorted(kept, key=natural_key)]
    rest = np.flatnonzero([label not in kept for label in labels])
    return [*groups, (OTHERS, rest)] if rest.size else groups


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts ``s2`` before ``s10``."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def set_log_scale(axis: Any) -> None:
    """Make an axis of a matplotlib ``Axes`` logarithmic, with plain numbers as tick labels, few enough to be apart."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    axis._set_axes_scale("log")
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low)
    if decades < 0.8:  # a logarithmic locator would find one tick or none, and take many linear ones instead
        axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 1.7 else (1.0,), numticks=6))
    axis.set_major_formatter(lambda value, _: f"{value:,.10g}" if 1e-4 <= value < 1e6 else f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def _follow_dark_mode(svg: str) -> str:
    """Replace the colors of a figure by variables that the browser's color scheme sets."""
    for color, variable in _PAGE_COLORS.items():
        svg = svg.replace(f": {color}", f": {variable}")
    style = (_PAGE / "plot.css").read_text(encoding="utf-8")
    return re.sub(r"(<svg [^>]*>)", lambda match: f"{match[1]}<style>{style}</style>", svg, count=1)
