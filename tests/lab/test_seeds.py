"""What is left over seeds: t intervals that scipy's own test agrees with, and differences within a seed."""

import math

import numpy as np
import pytest
from scipy import stats

from vocable.evaluate.card import Column
from vocable.metrics.score import Figure
from vocable_lab.seeds import Measured, interval, over_seeds, seeds_table, seeds_to_json

COLUMNS = [
    Column(key="x", title="X", better="higher", caption=""),
    Column(key="share", title="share", unit="%", better="higher", caption=""),
]


def run(group: str, seed: int, value: float, part: str = "", key: str = "x") -> Measured:
    figure = Figure(mean=value, low=value - 1, high=value + 1, n=50)
    return Measured(group=group, part=part, seed=seed, figures={key: figure})


def test_the_interval_is_that_of_a_t_test() -> None:
    values = np.random.default_rng(0).normal(3.0, 1.0, 5)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    figure = interval(values.tolist())
    assert (figure.low, figure.mean, figure.high) == pytest.approx((low, values.mean(), high))
    assert math.isnan(interval([1.0]).low)


def test_a_difference_is_taken_within_a_seed_whatever_order_and_number_of_seeds() -> None:
    """Seeds apart by 10 move no paired difference."""
    runs = [run("plain", 0, 1.0), run("plain", 1, 11.0), run("plain", 2, 21.0)]
    runs += [run("taught", 2, 22.5), run("taught", 0, 2.5), run("taught", 7, 99.0)]
    plain, taught = over_seeds(runs, ["x"])
    assert (plain.baseline, plain.differences) == ("", {})
    assert taught.differences["x"].mean == 1.5
    assert taught.differences["x"].n == 2
    assert taught.differences["x"].low == taught.differences["x"].high == 1.5
    assert taught.means["x"].n == 3
    assert plain.means["x"].high - plain.means["x"].low > 40


def test_parts_are_compared_with_their_like_and_what_is_not_known_is_left_out() -> None:
    runs = [run("plain", 0, 1.0), run("plain", 0, 5.0, "@1"), run("taught", 0, 2.0), run("taught", 0, 7.0, "@1")]
    runs += [run("taught", 0, math.nan, key="share"), run("taught", 0, 0.5, "@1", key="share")]
    merged = [
        Measured(group=one.group, part=one.part, seed=0, figures={**one.figures, **more.figures})
        for one, more in zip(runs[2:4], runs[4:], strict=True)
    ]
    rows = {row.name: row for row in over_seeds([*runs[:2], *merged], ["x", "share"])}
    assert rows["taught@1"].baseline == "plain@1"
    assert rows["taught@1"].differences["x"].mean == 2.0
    assert "share" not in rows["taught"].means
    assert "share" not in rows["taught@1"].differences, "nobody else has it"


def test_the_table_and_the_values_say_the_same() -> None:
    rows = over_seeds([run("plain", seed, 0.25 * seed, key="share") for seed in range(3)]
                      + [run("taught", seed, 0.25 * seed + 0.5 + seed / 16, key="share") for seed in range(3)],
                      ["x", "share"])  # fmt: skip
    lines = seeds_table(rows, COLUMNS).splitlines()
    assert lines[0] == "| over seeds | seeds | share |"
    values = seeds_to_json(rows)["taught"]["share"]["difference"]
    low, high = values["interval"]
    assert lines[4] == f"| taught − plain | 3 | {values['mean']:+.3f} ({low:+.3f} to {high:+.3f}) |"
    assert values["from"] == "plain"
    assert "interval" not in seeds_to_json(over_seeds([run("plain", 0, 1.0)], ["x"]))["plain"]["x"]
