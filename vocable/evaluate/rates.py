"""Rate-quality plots: one metric against the bit rate, one curve a family of entries."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vocable.evaluate.canvas import COLORS, SOFT, clean_label, draw_figure, set_log_scale
from vocable.evaluate.card import Card, Column, Entry

_HUES = COLORS[:5]
_MARKS = {"o": "●○", "s": "■□", "^": "▲△", "D": "◆◇", "v": "▼▽", "p": "⬟⬠", "h": "⬢⬡", "*": "★☆"}  # filled, hollow
_LINE_HEIGHT = 0.085  # of the height, taken by the name of a line


@dataclass(frozen=True, kw_only=True)
class Family:
    """Entries that form one curve, and the look of that curve."""

    name: str
    hue: int | None  # index of the color of a tokenizer; None for codecs, which are gray, hollow and dashed
    mark: str  # matplotlib marker
    entries: tuple[Entry, ...]  # in the order of their bit rates

    @property
    def symbol(self) -> str:
        """Unicode symbol of the mark, for the key on the page."""
        return _MARKS[self.mark][self.hue is None]


def find_families(entries: Iterable[Entry]) -> list[Family]:
    """Group the entries that have a bit rate into families; tokenizers come first, and no two families look alike."""
    parts: dict[tuple[bool, str], list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.kind != "tokenizer"):  # stable: the order of the card
        if entry.kind != "anchor" and 0 < entry.bit_rate < math.inf:
            parts.setdefault((entry.kind != "tokenizer", entry.family), []).append(entry)
    marks = list(_MARKS)
    return [
        Family(name=name if len(members) > 1 else members[0].name, hue=None if is_other else place % len(_HUES),
               mark=marks[place % len(marks)], entries=tuple(sorted(members, key=lambda entry: entry.bit_rate)))
        for place, ((is_other, name), members) in enumerate(parts.items())
    ]  # fmt: skip


def plot_rates(card: Card, column: Column, families: Sequence[Family]) -> bytes | None:
    """Plot a metric against the bit rate, with 95 % intervals and a dotted line for each entry without a bit rate.

    Returns:
        SVG file, or None if no entry has both a figure and a bit rate. Families without a figure are left out.
    """
    curves = [(family, [entry for entry in family.entries if _is_known(entry, column)]) for family in families]
    curves = [(family, points) for family, points in curves if points]
    if not curves:
        return None

    def fill(figure: Any) -> None:
        axes = figure.add_subplot()
        for family, points in curves:
            _draw_curve(axes, family, points, column)
        set_log_scale(axes.xaxis)
        axes.xaxis.set_major_formatter(lambda rate, _: _short_rate(rate))
        axes.margins(0.08)
        axes.set_xlabel("bit/s")
        _draw_lines(axes, card, column)

    return draw_figure(3.7, 2.5, fill, "svg")


def _short_rate(rate: float) -> str:
    """Return a bit rate as a tick label.

    Example:
        >>> _short_rate(250.0), _short_rate(1500.0), _short_rate(2e6)
        ('250', '1.5k', '2M')
    """
    unit = next((unit for unit in ((1e6, "M"), (1e3, "k")) if rate >= unit[0]), (1.0, ""))
    return f"{rate / unit[0]:g}{unit[1]}"


def _is_known(entry: Entry, column: Column) -> bool:
    return column.key in entry.figures and math.isfinite(entry.figures[column.key].mean)


def _draw_curve(axes: Any, family: Family, points: Sequence[Entry], column: Column) -> None:
    figures = [entry.figures[column.key] for entry in points]
    ends = np.array([[figure.mean - figure.low, figure.high - figure.mean] for figure in figures]).T
    means = [column.factor * figure.mean for figure in figures]
    if family.hue is None:
        color, fill, line, width = SOFT, "none", "--", 1.0
    else:
        color, fill, line, width = _HUES[family.hue], _HUES[family.hue], "-", 1.6
    axes.errorbar(
        [entry.bit_rate for entry in points], means, column.factor * np.fmax(ends, 0.0), color=color, capsize=2,
        marker=family.mark, markersize=5, markerfacecolor=fill, linestyle=line, linewidth=width, elinewidth=0.9,
    )  # fmt: skip


def _draw_lines(axes: Any, card: Card, column: Column) -> None:
    """Draw a dotted line for each anchor and each entry without a bit rate, named on the right.

    A value far outside the curves would flatten them: it is named at the edge with its figure and an arrow instead.
    """
    rateless = sorted((entry for entry in card.entries if entry.kind == "anchor" or math.isnan(entry.bit_rate)),
                      key=lambda entry: entry.kind != "anchor")  # fmt: skip
    values = {entry.name: column.factor * entry.figures[column.key].mean for entry in rateless
              if _is_known(entry, column)}  # fmt: skip
    low, high = axes.get_ylim()
    margin = (high - low) / 2
    near = [value for value in values.values() if low - margin <= value <= high + margin]
    low, high = min([low, *near]), max([high, *near])
    axes.set_ylim(low, high)
    names: list[tuple[float, str]] = []
    for name, value in sorted(values.items(), key=lambda item: item[1]):
        inside = low <= value <= high
        if inside:
            axes.axhline(value, color=SOFT, linestyle=":", linewidth=1.0)
        arrow = "" if inside else f" {column.format(value / column.factor)} {'↑' if value > high else '↓'}"
        names.append((min(max(value, low), high), clean_label(name, 16) + arrow))
    ticks = _join_near(names, low, high)
    if ticks:
        right = axes.secondary_yaxis("right")
        right.set_yticks([place for place, _ in ticks], ["\n".join(texts[::-1]) for _, texts in ticks], fontsize=8)
        right.tick_params(length=0)
        right.spines["right"].set_visible(False)


def _join_near(names: Sequence[tuple[float, str]], low: float, high: float) -> list[tuple[float, list[str]]]:
    """Join names that would overlap, from low to high places, into ticks of several lines that lie in the plot.

    Example:
        >>> _join_near([(1.0, "a"), (1.5, "b"), (9.0, "c")], low=0.0, high=10.0)
        [(1.25, ['a', 'b']), (9.0, ['c'])]
    """
    height = _LINE_HEIGHT * (high - low)

    def place(group: Sequence[tuple[float, str]]) -> float:
        inset = (len(group) - 1) / 2 * height  # lines outside the plot would meet the ticks of the other axis
        return min(max(sum(place for place, _ in group) / len(group), low + inset), high - inset)

    groups: list[list[tuple[float, str]]] = []
    for name in names:
        group = [name]
        while groups and place(group) - place(groups[-1]) < height * (len(group) + len(groups[-1])) / 2:
            group = groups.pop() + group
        groups.append(group)
    return [(place(group), [text for _, text in group]) for group in groups]
