"""One way to draw: the same fonts, colours and bytes everywhere, whatever this machine's matplotlib is set to.

Figures are made with matplotlib's objects, never with pyplot: no window system, nothing left behind between two
pictures. Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart; classes also differ in
the shape of their marks.
"""

import io
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from vocable.errors import MissingDependencyError

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", "*", ">", "p", "h")
SOFT = "#8a8a8a"
OTHERS = "others"
_DPI = 150
_LONGEST = 48  # characters of a name
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "figure.titlesize": 12.5,
    "figure.titleweight": "bold",
    "font.size": 9.5,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "image.interpolation": "nearest",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
}


def draw(width: float, height: float, put: Callable[[Any], None]) -> bytes:
    """A figure as PNG; equal figures give equal bytes.

    Args:
        width: Inches; 150 pixels each.
        height: Likewise.
        put: Fills a matplotlib ``Figure``.

    Raises:
        MissingDependencyError: matplotlib is not installed.

    Example:
        >>> draw(2.0, 1.0, lambda figure: figure.suptitle("hello"))[1:4]
        b'PNG'
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("pictures need matplotlib; run pip install 'vocable[evaluate]'") from error
    defaults: Any = matplotlib.rcParamsDefault
    style: Any = {key: defaults[key] for key in defaults if not key.startswith("backend")} | _STYLE
    with warnings.catch_warnings(), matplotlib.rc_context(style):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        put(figure)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def panels(figure: Any, count: int, columns: int, **shared: Any) -> list[Any]:
    """So many axes in rows of at most ``columns``; the last row may be short."""
    columns = min(columns, count)
    grid = figure.subplots(rows_for(count, columns), columns, squeeze=False, **shared).reshape(-1)
    for axes in grid[count:]:
        axes.remove()
    return list(grid[:count])


def rows_for(count: int, columns: int) -> int:
    """Rows that so many panels take.

    Example:
        >>> [rows_for(count, 3) for count in (1, 3, 4)]
        [1, 1, 2]
    """
    return -(-count // max(1, min(columns, count)))


def words(text: object, longest: int = _LONGEST) -> str:
    r"""A name as it can be drawn: no mathematics, nothing hidden, not too long.

    Example:
        >>> words("a$b$"), words("_me"), words(None), words("tokenizer", 6)
        ('a\\$b\\$', ' _me', '(none)', 'token…')
    """
    name = "(none)" if text is None else str(text).encode("utf-8", "replace").decode()
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split()) or "(empty)"
    name = name if len(name) <= longest else name[: longest - 1] + "…"
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")  # matplotlib hides labels with a leading _


def classes(labels: Sequence[str], most: int = len(MARKS)) -> list[tuple[str, Int[ndarray, " R"]]]:
    """Labels and the rows that have each, in the order of their names; beyond ``most`` the rarest stand together.

    Example:
        >>> [(name, rows.tolist()) for name, rows in classes(["b", "a", "b", "c"], most=2)]
        [('b', [0, 2]), ('others', [1, 3])]
    """
    counts = Counter(labels)
    kept = sorted(counts, key=lambda name: (-counts[name], _natural(name)))
    kept = kept if len(kept) <= most else kept[: most - 1]
    column = np.array(labels, dtype=object)
    found = [(name, np.flatnonzero(column == name)) for name in sorted(kept, key=_natural)]
    rest = np.flatnonzero([label not in kept for label in labels])
    return [*found, (OTHERS, rest)] if rest.size else found


def log_scale(axis: Any) -> None:
    """Make an axis of a matplotlib ``Axes`` logarithmic, with numbers written as people write them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis._set_axes_scale("log")
    low, high = sorted(axis.get_view_interval())
    narrow = math.log10(high / low) < 2.5
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}" if 1e-4 <= value < 1e6 else f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sorts ``s2`` before ``s10``."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
