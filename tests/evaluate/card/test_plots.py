"""Plots of figures over bit rates."""

import math
import re
from typing import Any

import numpy as np
import pytest

from tests.evaluate.card.cards import card
from vocable.evaluate.card import Column, Entry
from vocable.evaluate.card_plots import families, plot
from vocable.metrics.score import Figure


def test_families_never_look_alike() -> None:
    found = families(card().entries)
    assert [family.name for family in found] == ["guided-small", "spectral-tiny", "Opus", "Codec2", "Speex 4k"]
    assert [len(family.entries) for family in found] == [3, 2, 2, 2, 1]
    assert len({(family.look, family.mark) for family in found}) == len(found)
    assert [family.look == "other" for family in found] == [False, False, True, True, True]


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_marks_lie_where_the_figures_are(better: Any) -> None:
    rates, means = [500.0, 1000.0, 2000.0, 4000.0], [1.0, 2.0, 3.0, 4.0]
    column = Column(key="x", title="x", better=better, caption="")
    entries = [
        Entry(name=f"e{at}", kind="codec", family=f"f{at}", note="", bit_rate=rate,
              figures={"x": Figure(mean=mean, low=mean - 0.5, high=mean + 0.5, n=9)})
        for at, (rate, mean) in enumerate(zip(rates, means, strict=True))
    ]  # fmt: skip
    svg = plot(column, families(entries), {"identity": 5.0, "noise": 99.0})
    marks = re.findall(r"<path class=mark transform='translate\(([\d.]+) ([\d.]+)\)'", svg)
    x, y = np.array(marks, dtype=float).T
    assert np.diff(x) == pytest.approx(np.diff(x)[0], abs=0.2)  # the scale is logarithmic
    assert np.diff(y) == pytest.approx(np.diff(y)[0], abs=0.2)
    assert np.diff(y)[0] < 0  # larger is further up, whichever is better
    assert svg.count("class=anchor ") == 1  # one line; what lies far outside is named at the edge
    assert "noise 99.00 ↑" in svg
    assert [f">e{at}</text>" in svg for at in range(4)] == [True] * 4


def test_names_in_a_plot_lie_apart() -> None:
    made = card()
    svg = plot(made.columns[0], families(made.entries), {"identity": 4.64, "noise": 1.03})
    boxes = []
    for x, y, look, text in re.findall(r"<text x='([\d.]+)' y='([\d.]+)' class='(\S+.*?)'>([^<]+)<", svg):
        side = look.split()[-1]
        left = float(x) - 5.9 * len(text) * {"start": 0, "mid": 0.5, "end": 1}[side]
        boxes.append((left, float(y) - 9, left + 5.9 * len(text), float(y) + 2))
    assert len(boxes) >= 5
    for at, a in enumerate(boxes):
        for b in boxes[:at]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def test_what_has_no_figure_or_no_rate_is_not_drawn() -> None:
    column = card().columns[0]
    nothing = Figure(mean=math.nan, low=math.nan, high=math.nan, n=0)
    entries = [
        Entry(name="a", kind="codec", family="a", note="", bit_rate=1000.0, figures={column.key: nothing}),
        Entry(
            name="b",
            kind="decoded",
            family="b",
            note="",
            figures={column.key: Figure(mean=1.0, low=1.0, high=1.0, n=1)},
        ),
    ]
    assert plot(column, families(entries), {}) == ""
