"""Plots of figures over bit rates."""

import base64
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing

from tests.evaluate.card.cards import card
from tests.evaluate.drawn import check_words, watched
from vocable.evaluate.card import Card, Column, Entry
from vocable.evaluate.rates import find_families, plot_rates
from vocable.metrics.score import Figure


def _card(entries: Sequence[Entry], column: Column) -> Card:
    return Card(title="", lead="", columns=[column], entries=entries)


def _drawn(made: Card, column: Column) -> tuple[bytes, Drawing]:
    """A plot and its figure, whose words are whole and apart."""
    with watched() as figures:
        svg = plot_rates(made, column, find_families(made.entries))
    assert svg is not None
    (figure,) = figures
    figure.draw_without_rendering()  # laid out again: letters are measured otherwise than in SVG
    check_words(figure)
    return svg, figure


def _lines(figure: Drawing) -> list[str]:
    """Names on the right of a plot."""
    (right,) = figure.axes[0].child_axes
    return [label.get_text() for label in right.get_yticklabels()]


def test_families_never_look_alike() -> None:
    found = find_families(card().entries)
    assert [family.name for family in found] == ["guided-small", "spectral-tiny", "Opus", "Codec2", "Speex 4k"]
    assert [len(family.entries) for family in found] == [3, 2, 2, 2, 1]
    assert (
        len({(family.hue, family.mark) for family in found}) == len({family.symbol for family in found}) == len(found)
    )
    assert [family.hue is None for family in found] == [False, False, True, True, True]


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_marks_lie_where_the_figures_are(better: Any) -> None:
    rates, means = [500.0, 1000.0, 2000.0, 4000.0], [1.0, 2.0, 3.0, 4.0]
    column = Column(key="x", title="x", better=better, caption="")
    entries = [
        Entry(name=f"e{at}", kind="codec", family=f"f{at}", note="", bit_rate=rate,
              figures={"x": Figure(mean=mean, low=mean - 0.5, high=mean + 0.5, n=9)})
        for at, (rate, mean) in enumerate(zip(rates, means, strict=True))
    ]  # fmt: skip
    entries += [
        Entry(
            name=name, kind="anchor", family=name, note="", figures={"x": Figure(mean=mean, low=mean, high=mean, n=9)}
        )
        for name, mean in (("identity", 5.0), ("noise", 99.0))
    ]
    _, figure = _drawn(_card(entries, column), column)
    axes = figure.axes[0]
    points = [container.lines[0].get_xydata()[0].tolist() for container in axes.containers]
    assert points == [[rate, mean] for rate, mean in zip(rates, means, strict=True)]
    bars = [container.lines[2][0].get_segments()[0][:, 1].tolist() for container in axes.containers]
    assert bars == [[mean - 0.5, mean + 0.5] for mean in means]
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[0] < axes.get_ylim()[1]  # larger is further up, whichever is better
    dotted = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert dotted == [5.0]  # one line; what lies far outside is named at the edge
    assert _lines(figure) == ["noise 99.00 ↑\nidentity"]


def test_every_plot_of_a_card_has_its_names_apart() -> None:
    made = card()
    for column in made.main_columns:
        svg, figure = _drawn(made, column)
        names = "\n".join(_lines(figure))
        assert all(name in names for name in ("identity", "noise"))
        if column.key != "si_sdr":
            assert "elsewhere" in names
        assert svg == plot_rates(made, column, find_families(made.entries))  # the same bytes


def test_a_plot_is_text_in_the_colors_of_the_page() -> None:
    made = card()
    svg, _ = _drawn(made, made.columns[0])
    text = svg.decode()
    assert re.search(r"<text [^>]*>bit/s</text>", text)
    assert "prefers-color-scheme: dark" in text
    drawn = re.sub(r"<style>.*?</style>|base64,[\w+/=\s]+", "", text, flags=re.S)
    assert not re.search(r"(?:fill|stroke): #", drawn), "a color that does not follow the dark mode"
    assert base64.b64encode(svg)


def test_what_has_no_figure_or_no_rate_is_not_drawn() -> None:
    column = card().columns[0]
    nothing = Figure(mean=math.nan, low=math.nan, high=math.nan, n=0)
    some = Figure(mean=1.0, low=1.0, high=1.0, n=1)
    entries = [
        Entry(name="a", kind="codec", family="a", note="", bit_rate=1000.0, figures={column.key: nothing}),
        Entry(name="b", kind="decoded", family="b", note="", figures={column.key: some}),
    ]
    assert plot_rates(_card(entries, column), column, find_families(entries)) is None
    lone = [Entry(name="a", kind="codec", family="a", note="", bit_rate=1000.0, figures={column.key: some})]
    _, figure = _drawn(_card(lone, column), column)  # one clip, one rate: no span on either axis
    assert np.isfinite(figure.axes[0].get_ylim()).all()


@pytest.mark.parametrize("seed", range(12))
def test_names_are_apart_whatever_the_figures_are(seed: int) -> None:
    random = np.random.default_rng(seed)
    column = Column(key="x", title="x", better="higher", caption="")
    low, span = 10 ** random.uniform(1, 5), 10 ** random.uniform(0, 4)
    entries = []
    for at in range(random.integers(1, 12)):
        mean, rate = float(random.uniform(1, 4)), float(low * span ** random.uniform())
        kind = "tokenizer" if at % 2 else "codec"
        figure = Figure(mean=mean, low=mean - 0.1, high=mean + 0.1, n=4)
        entries.append(
            Entry(name=f"e{at}", kind=kind, family=f"f{at % 3}", note="", bit_rate=rate, figures={"x": figure})
        )
    for name in ("identity", "noise", "a-long-name-of-a-folder", "elsewhere", "x")[: random.integers(0, 6)]:
        mean = float(random.uniform(1, 5) if random.uniform() < 0.7 else random.uniform(-30, 80))
        figure = Figure(mean=mean, low=mean, high=mean, n=4)
        entries.append(Entry(name=name, kind="decoded", family="a", note="", figures={"x": figure}))
    svg, _ = _drawn(_card(entries, column), column)  # which checks the words
    assert svg.count(b"bit/s") == 1
