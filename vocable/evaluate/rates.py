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
_MIN_GAP = 0.07  # of the height, between the names of two lines


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
        axes.xaxis.set_major_formatter(lambda rate, _: f"{rate / 1000:g}k" if rate >= 1000 else f"{rate:g}")
        axes.margins(0.08)
        axes.set_xlabel("bit/s")
        _draw_lines(axes, card, column)

    return draw_figure(3.7, 2.5, fill, "svg")


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
    ticks: list[tuple[float, list[str]]] = []
    for name, value in sorted(values.items(), key=lambda item: item[1]):
        inside = low <= value <= high
        if inside:
            axes.axhline(value, color=SOFT, linestyle=":", linewidth=1.0)
        arrow = "" if inside else f" {column.format(value / column.factor)} {'↑' if value > high else '↓'}"
        place, text = min(max(value, low), high), clean_label(name, 16) + arrow
        if ticks and place - ticks[-1][0] < _MIN_GAP * (high - low):
            ticks[-1][1].append(text)
        else:
            ticks.append((place, [text]))
    if ticks:
        right = axes.secondary_yaxis("right")
        right.set_yticks([place for place, _ in ticks], ["\n".join(texts[::-1]) for _, texts in ticks], fontsize=8)
        right.tick_params(length=0)
        right.spines["right"].set_visible(False)
