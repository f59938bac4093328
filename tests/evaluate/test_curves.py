"""Pictures of a run: what is logged is what is drawn."""

import numpy as np
import pytest

from tests.evaluate.drawn import drawn, titles
from vocable.errors import ConfigError, InputError
from vocable.evaluate.curves import plot_codebook_usage, plot_losses, plot_schedules, read_curve, smooth
from vocable.train.schedule import LearningRate, Weight


def _rows(count: int = 40) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for step in range(1, count + 1):
        row: dict[str, object] = {"step": step, "learning_rate": 0.1, "skipped": 0, "generator/mel": 1 + 1 / step,
                                  "generator/total": 30.0 / step, "generator/mel/weight": 1.0,
                                  "generator/gradient_norm": 2.0}  # fmt: skip
        if step > 10:
            row |= {"used": [1.0, step / count], "perplexity": [3.0, 4.0], "dead": [0.0, 1.0]}
        if step % 10 == 0:
            row["validation/mel"] = 2.0
        rows.append(row)
    return rows


def test_losses_have_a_panel_each_sums_first_norms_last() -> None:
    rows = _rows()
    rows[3]["generator/mel"] = None  # a loss that was not finite
    picture, figure = drawn(lambda: plot_losses(rows[::-1]))
    assert titles(figure) == ["generator/total", "generator/mel", "generator/gradient_norm"]
    total, mel, _ = figure.axes
    assert (total.get_yscale(), mel.get_yscale()) == ("log", "linear")
    raw, mean, held = mel.lines
    assert raw.get_xdata().tolist() == [step for step in range(1, 41) if step != 4]
    assert raw.get_ydata().tolist() == [row["generator/mel"] for row in rows if row["generator/mel"] is not None]
    assert np.allclose(mean.get_ydata(), smooth(np.asarray(raw.get_ydata()), 5))
    assert held.get_xdata().tolist() == [10, 20, 30, 40]
    assert "mean over 5 logged values" in picture.caption


def test_smoothing_keeps_constants_and_is_the_mean_of_what_there_is() -> None:
    values = np.random.default_rng(0).standard_normal(11)
    wanted = [values[max(0, at - 2) : at + 3].mean() for at in range(11)]
    assert np.allclose(smooth(values, 5), wanted)
    assert np.allclose(smooth(np.full(4, 3.0), 9), 3.0)
    assert np.array_equal(smooth(values, 1), values)
    for size in (1, 2, 3):
        assert smooth(values[:size], 99).shape == (size,)


@pytest.mark.slow
def test_a_log_of_one_line_shows_a_dot_and_an_empty_one_says_so() -> None:
    _, figure = drawn(lambda: plot_losses(_rows(1)))
    assert figure.axes[0].lines[1].get_marker() == "o"
    for rows in ([], [{"step": 1, "learning_rate": 0.1}], [{"step": 1, "generator/total": None}]):
        with pytest.raises(InputError, match="no line with a loss yet"):
            plot_losses(rows)
        with pytest.raises(InputError, match="no line about codebooks yet"):
            plot_codebook_usage(rows)


def test_codebooks_have_a_line_a_level() -> None:
    _, figure = drawn(lambda: plot_codebook_usage(_rows()))
    assert titles(figure) == ["used", "perplexity"]
    first, second = figure.axes[0].lines
    assert first.get_ydata().tolist() == [1.0] * 30
    assert second.get_ydata().tolist() == [step / 40 for step in range(11, 41)]
    many = [{"step": step, "used": [0.5] * 32, "restarts": [0.0] * 32} for step in (1, 2)]
    _, figure = drawn(lambda: plot_codebook_usage(many))
    assert len(figure.axes[0].lines) == 32
    assert [text.get_text() for text in figure.legends[0].get_texts()][::7] == ["level 1", "level 32"]
    assert read_curve(many, "used", 40)[0].size == 0


def test_schedules_are_drawn_as_they_run() -> None:
    rate, weight = LearningRate(peak=1e-3, warmup=10), Weight(value=2.0, start=30, ramp=20)
    planned = {"rate": lambda step: rate.at(step, 100), "term": weight.at, "off": Weight(value=0.0).at,
               "down": lambda step: -float(step)}  # fmt: skip
    steps = np.arange(100.0)
    picture, figure = drawn(
        lambda: plot_schedules(
            planned, 100, start_steps={"quantize_from": 40, "never": 400}, logged={"term": (steps, steps)}
        )
    )
    assert titles(figure) == ["rate", "term", "down"]
    assert picture.caption == "100 steps. Always zero: off."
    line, dots, mark = figure.axes[1].lines
    assert line.get_ydata().tolist() == [weight.at(step) for step in range(100)]
    assert dots.get_xdata().tolist() == steps.tolist()
    assert list(mark.get_xdata()) == [40, 40]
    assert figure.axes[2].get_ylim()[0] < -99
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["planned", "quantize_from", "logged"]


def test_long_and_short_runs_and_none() -> None:
    _, figure = drawn(lambda: plot_schedules({"a_name_that_is_very_long_for_a_panel": lambda step: 1.0}, 300_000))
    assert figure.axes[0].lines[0].get_xdata()[[0, -1]].tolist() == [0, 299_999]
    assert drawn(lambda: plot_schedules({"x": lambda step: 1.0}, 1))[1].axes[0].lines[0].get_marker() == "o"
    with pytest.raises(ConfigError, match="a run of 0 steps"):
        plot_schedules({}, 0)
    with pytest.raises(ConfigError, match="nothing to draw"):
        plot_schedules({"x": lambda step: 0.0}, 5)
