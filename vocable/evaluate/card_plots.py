"""Rate–quality plots as SVG: a curve for each family, its name at the curve, anchors as thin lines.

The text of a plot is text and its colours are the page's, so that it stays sharp and follows the dark mode. Families
differ by colour and by the shape of their marks; tokenizers are filled and drawn through, all others are hollow.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vocable.evaluate.card import Column, Entry
from vocable.evaluate.card_text import arrow, head, interval, shown, times
from vocable.evaluate.page import escaped

_WIDTH, _HEIGHT = 340, 232
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 328.0, 12.0, 196.0  # of the frame
_LETTER, _LINE = 5.9, 12.0  # size of a letter of 11 px, nearly
_HUES = 5
_MARKS = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0",
    "M-3.6,-3.6h7.2v7.2h-7.2z",
    "M0,-4.8L4.6,3.4H-4.6z",
    "M0,-5.2L5.2,0L0,5.2L-5.2,0z",
    "M0,4.8L4.6,-3.4H-4.6z",
    "M-3.6,-3.6L3.6,3.6M3.6,-3.6L-3.6,3.6",
    "M-4.8,0H4.8M0,-4.8V4.8",
    "M-2.3,-4.6H2.3L4.6,0L2.3,4.6H-2.3L-4.6,0z",
)
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, kw_only=True)
class Family:
    """How the entries of one family are drawn.

    Attributes:
        name: At the curve.
        look: Class of the page's style.
        mark: Path of the mark.
        entries: By bit rate.
    """

    name: str
    look: str
    mark: str
    entries: tuple[Entry, ...]


def families(entries: Iterable[Entry]) -> list[Family]:
    """What has a bit rate, by family; tokenizers first, each with a look that no other has.

    Example:
        >>> opus = [Entry(name=f"Opus {k}k", kind="codec", family="Opus", note="", bit_rate=1e3 * k) for k in (9, 6)]
        >>> [(family.name, family.look, len(family.entries)) for family in families(opus)]
        [('Opus', 'other', 2)]
    """
    parts: dict[tuple[bool, str], list[Entry]] = {}
    for entry in entries:
        if entry.kind != "anchor" and math.isfinite(entry.bit_rate) and entry.bit_rate > 0:
            parts.setdefault((entry.kind != "tokenizer", entry.family), []).append(entry)
    order = sorted(parts.items(), key=lambda part: part[0][0])  # stable: families stay as they came
    return [
        Family(
            name=name if len(some) > 1 else some[0].name,
            look="other" if other else f"hue{place % _HUES}",
            mark=_MARKS[place % len(_MARKS)],
            entries=tuple(sorted(some, key=lambda entry: entry.bit_rate)),
        )
        for place, ((other, name), some) in enumerate(order)
    ]


def key(of: Sequence[Family]) -> str:
    """Which mark is whose."""
    items = "".join(
        f"<li><svg viewBox='-8 -8 16 16' width=16 height=16 class='{family.look}' aria-hidden=true>"
        f"<path class=line d='M-8,0H8'/><path class=mark d='{family.mark}'/></svg> {escaped(family.name)}</li>"
        for family in of
    )
    return f"<ul class=key>{items}</ul>"


def plot(column: Column, of: Sequence[Family], anchors: Mapping[str, float]) -> str:
    """One metric over bit rate.

    Args:
        column: The metric.
        of: Families; those without a figure are left away.
        anchors: Names of thin lines and where they lie.

    Returns:
        HTML; empty if there is nothing to draw.
    """
    drawn = [(family, _points(family, column)) for family in of]
    drawn = [(family, points) for family, points in drawn if points]
    if not drawn:
        return ""
    figures = [point.figures[column.key] for _, points in drawn for point in points]
    ends = [times(column) * end for figure in figures for end in (figure.mean, figure.low, figure.high)]
    place = _Frame(
        [point.bit_rate for _, points in drawn for point in points],
        [end for end in ends if math.isfinite(end)],
        [times(column) * value for value in anchors.values() if math.isfinite(value)],
    )
    curves = [(family, [place.at(point, column) for point in points]) for family, points in drawn]
    taken = [_around(x, y, 6.5) for _, spots in curves for x, y, *_ in spots]
    taken += [box for _, spots in curves for a, b in pairwise(spots) for box in _along(a, b)]
    lines = _anchors(place, anchors, column, taken)
    marks = "".join(
        _curve(family, points, spots, column) for (family, points), (_, spots) in zip(drawn, curves, strict=True)
    )
    names = "".join(_name(family, spots, taken) for family, spots in curves)
    said = f"{head(column)} over bits per second; the figures stand in the table below"
    return (
        f"<figure class='card plot'><figcaption><b>{escaped(head(column))}</b> <span>{arrow(column)}</span>"
        f"</figcaption><svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role=img "
        f"aria-label='{escaped(said)}'>{place.grid()}{lines}{marks}{names}</svg></figure>"
    )


class _Frame:
    """From bits per second and a metric to places in the picture."""

    def __init__(self, rates: Sequence[float], values: Sequence[float], anchors: Sequence[float]) -> None:
        low, high = min(rates), max(rates)
        room = max((high / low) ** 0.08, 1.15 if high > low else 2.0)
        self.left, self.right = math.log10(low / room), math.log10(high * room)
        bottom, top = min(values), max(values)
        span = (top - bottom) or abs(top) or 1.0
        near = [value for value in anchors if bottom - span / 2 <= value <= top + span / 2]  # others would flatten all
        bottom, top = min([bottom, *near]), max([top, *near])
        span = (top - bottom) or span
        self.bottom, self.top = bottom - 0.07 * span, top + 0.1 * span

    def x(self, rate: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (math.log10(rate) - self.left) / (self.right - self.left)

    def y(self, value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - self.bottom) / (self.top - self.bottom)

    def at(self, entry: Entry, column: Column) -> tuple[float, float, float, float]:
        """Of an entry's mark, and the ends of its bar; NaN where there is no interval."""
        figure, by = entry.figures[column.key], times(column)
        low, high = (self.y(by * end) if math.isfinite(end) else math.nan for end in (figure.low, figure.high))
        return self.x(entry.bit_rate), self.y(by * figure.mean), low, high

    def grid(self) -> str:
        parts = []
        for value in _round_numbers(self.bottom, self.top, 5):
            y = self.y(value)
            parts.append(f"<path class=grid d='M{_LEFT:g},{y:.1f}H{_RIGHT:g}'/>")
            parts.append(f"<text x='{_LEFT - 6:g}' y='{y + 3.6:.1f}' class=end>{value:g}</text>".replace(">-", ">−"))
        for rate in _round_rates(10**self.left, 10**self.right):
            x, text = self.x(rate), f"{rate / 1000:g}k" if rate >= 1000 else f"{rate:g}"
            parts.append(f"<path class=grid d='M{x:.1f},{_BOTTOM:g}v4'/>")
            parts.append(f"<text x='{x:.1f}' y='{_BOTTOM + 16:g}' class=mid>{text}</text>")
        parts.append(f"<text x='{_RIGHT:g}' y='{_BOTTOM + 31:g}' class=end>bit/s</text>")
        return f"<g class=frame>{''.join(parts)}</g>"


def _points(family: Family, column: Column) -> list[Entry]:
    return [
        entry for entry in family.entries
        if column.key in entry.figures and math.isfinite(entry.figures[column.key].mean)
    ]  # fmt: skip


def _curve(
    family: Family, points: Sequence[Entry], spots: Sequence[tuple[float, float, float, float]], column: Column
) -> str:
    path = "L".join(f"{x:.1f},{y:.1f}" for x, y, *_ in spots)
    parts = [f"<path class=line d='M{path}'/>"] if len(spots) > 1 else []
    for entry, (x, y, low, high) in zip(points, spots, strict=True):
        figure = entry.figures[column.key]
        bar = "" if math.isnan(low) else f"<path class=bars d='M{x - 3:.1f},{low:.1f}h6m-3,0V{high:.1f}m-3,0h6'/>"
        said = f"{entry.name}: {shown(figure.mean, column)} {interval(figure, column)} at {entry.bit_rate:,.0f} bit/s"
        parts.append(
            f"<g><title>{escaped(said)}</title>{bar}"
            f"<path class=mark transform='translate({x:.1f} {y:.1f})' d='{family.mark}'/></g>"
        )
    return f"<g class='{family.look}'>{''.join(parts)}</g>"


def _anchors(place: _Frame, anchors: Mapping[str, float], column: Column, taken: list[Box]) -> str:
    """Thin lines; what lies outside is named at that edge."""
    parts = []
    for name, value in anchors.items():
        if not math.isfinite(value):
            continue
        y = place.y(times(column) * value)
        text = name
        if _TOP <= y <= _BOTTOM:
            parts.append(f"<path class=anchor d='M{_LEFT:g},{y:.1f}H{_RIGHT:g}'/>")
            heights = (y - 4, y + 12)
        else:
            text = f"{name} {shown(value, column)} {'↑' if y < _TOP else '↓'}"
            heights = (_TOP + 9, _TOP + 9) if y < _TOP else (_BOTTOM - 4, _BOTTOM - 4)
        ends = [(x, height, side) for height in heights for x, side in ((_RIGHT - 2, "end"), (_LEFT + 2, "start"))]
        parts.append(_put(text, ends, taken, "anchor", always=True))
    return f"<g class=anchors>{''.join(parts)}</g>"


def _name(family: Family, spots: Sequence[tuple[float, float, float, float]], taken: list[Box]) -> str:
    """The family's name at its curve, where there is room: the key names it too."""
    candidates = []
    for x, y, *_ in [spots[-1], spots[0], *spots[1:-1]]:
        candidates += [(x + 9, y + 4, "start"), (x - 9, y + 4, "end"), (x, y - 10, "mid"), (x, y + 18, "mid")]
        candidates += [(x + 7, y - 7, "start"), (x - 7, y - 7, "end"), (x + 7, y + 15, "start"), (x - 7, y + 15, "end")]
    return _put(family.name, candidates, taken, f"name {family.look}")


def _put(
    text: str, candidates: Sequence[tuple[float, float, str]], taken: list[Box], look: str, always: bool = False
) -> str:
    """Text at the first place that is free, which then is not any more; at the first one at worst, or nowhere."""
    text = text if len(text) <= 24 else f"{text[:23]}…"
    width = _LETTER * len(text)
    boxes = {}
    for x, y, side in candidates:
        left = x - width * {"start": 0.0, "mid": 0.5, "end": 1.0}[side]
        boxes[x, y, side] = (left, y - _LINE + 2, left + width, y + 3)
    free = [
        spot for spot, box in boxes.items()
        if box[0] >= _LEFT and box[2] <= _WIDTH and box[1] >= 0 and box[3] <= _BOTTOM
        and not any(_overlap(box, other) for other in taken)
    ]  # fmt: skip
    if not free and not always:
        return ""
    x, y, side = spot = free[0] if free else candidates[0]
    taken.append(boxes[spot])
    return f"<text x='{x:.1f}' y='{y:.1f}' class='{look} {side}'>{escaped(text)}</text>"


def _around(x: float, y: float, by: float) -> Box:
    return x - by, y - by, x + by, y + by


def _along(a: tuple[float, ...], b: tuple[float, ...]) -> list[Box]:
    """Small boxes on the way from a mark to the next."""
    count = max(2, round(math.dist(a[:2], b[:2]) / 5))
    shares = [step / count for step in range(1, count)]
    return [_around(a[0] + s * (b[0] - a[0]), a[1] + s * (b[1] - a[1]), 2.0) for s in shares]


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _round_numbers(low: float, high: float, most: int) -> list[float]:
    """Round numbers within a range."""
    size = math.floor(math.log10(high - low))
    steps = [mantissa * 10.0**power for power in (size - 1, size) for mantissa in (1, 2, 5)]
    for step in steps:
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            return [float(f"{index * step:.6g}") + 0.0 for index in range(first, last + 1)]
    return []


def _round_rates(low: float, high: float) -> list[float]:
    """Round bit rates within a range, few enough to be read."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for mantissas in ((1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0), (1.0, 2.0, 4.0, 6.0), (1.0, 2.0, 5.0), (1.0, 3.0)):
        found = [mantissa * 10.0**power for power in powers for mantissa in mantissas]
        found = [rate for rate in found if low <= rate <= high]
        if len(found) <= 7:
            return found
    return [10.0**power for power in powers if low <= 10.0**power <= high]
