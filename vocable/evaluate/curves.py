"""Pictures of a training run: its losses, its schedules, and the usage of its codebooks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.errors import ConfigError, InputError
from vocable.evaluate.canvas import COLORS, clean_label, count_rows, draw_picture, set_log_scale
from vocable.evaluate.card import Picture

LogRow = Mapping[str, Any]  # one line of log.jsonl
Curve = tuple[Float[ndarray, " R"], Float[ndarray, " R"]]  # steps, values

_COLUMNS = 3  # panels in a row
_MEASURED = {"validation/": "validation", "evaluated/": "training, evaluated"}  # drawn into the panels of their terms
_PROGRESS = ("step", "seconds", "learning_rate", "skipped")
_UNITS = {"used": "share of entries", "perplexity": "entries", "restarts": "entries, so far"}
_IMPLIED = ("dead", "entropy")  # by the share in use and by the perplexity
_POINTS = 2000  # of a schedule
_MAX_LEGEND = 8  # levels


def plot_losses(rows: Sequence[LogRow], *, title: str = "Losses in training") -> Picture:
    """Plot every term of the loss against the step, as logged and smoothed, one panel each; sums come first.

    Args:
        rows: Lines of ``log.jsonl``: ``step``, and numbers named ``part/term``. ``validation/term`` and
            ``evaluated/term`` (of training recordings) are drawn into the panel of their term. Weights are left out.
        title: Title of the picture.

    Raises:
        InputError: If no line has a loss.
    """
    names = [name for name in _number_names(rows) if "/" in name and not name.startswith(tuple(_MEASURED))]
    terms = [name for name in names if not name.endswith("/weight")]
    if all(name.endswith("/gradient_norm") for name in terms):
        raise InputError("the log has no line with a loss yet; continue the run and look again")
    terms.sort(key=lambda name: {"total": 0, "gradient_norm": 2}.get(name.rpartition("/")[2], 1))
    return _plot_logged(rows, terms, title, "value (no unit)")


def plot_metrics(rows: Sequence[LogRow], *, title: str = "Metrics in training") -> Picture:
    """Plot the other logged numbers, such as accuracies, as :func:`plot_losses` plots losses.

    Raises:
        InputError: If no line has such a number.
    """
    names = metric_names(rows)
    if not names:
        raise InputError("the log has no line with metrics beside the losses; look at the losses")
    return _plot_logged(rows, names, title, "value")


def metric_names(rows: Sequence[LogRow]) -> list[str]:
    """Return the names of logged numbers that are neither losses nor progress.

    Example:
        >>> metric_names([{"step": 1, "seconds": 2.0, "taste/units": 3.0, "top1": 0.25, "used": [1.0]}])
        ['top1']
    """
    return [name for name in _number_names(rows) if "/" not in name and name not in _PROGRESS]


def plot_schedules(
    schedules: Mapping[str, Callable[[int], float]],
    steps: int,
    *,
    start_steps: Mapping[str, int] | None = None,
    logged: Mapping[str, Curve] | None = None,
) -> Picture:
    """Plot every loss weight and learning rate against the step, before or after training.

    Args:
        schedules: Function from the step (0 is the first) to the value, by name. Schedules that are always zero are
            listed in the caption.
        steps: Number of steps of the run.
        start_steps: Steps at which a part of the training starts, by name: one vertical line each.
        logged: Values that a run logged, by the name of the schedule: dots.

    Raises:
        ConfigError: If there is no step, or every schedule is always zero.
    """
    if steps < 1:
        raise ConfigError(f"a run of {steps} steps has no schedule; it must have at least 1")
    at = np.unique(np.linspace(0, steps - 1, min(steps, _POINTS)).round().astype(int))
    planned = {name: np.array([value(int(step)) for step in at]) for name, value in schedules.items()}
    drawn = {name: values for name, values in planned.items() if values.any()}
    zero = sorted(set(planned) - set(drawn))
    if not drawn:
        raise ConfigError("every schedule is always zero: there is nothing to draw")
    marks = {name: step for name, step in (start_steps or {}).items() if 0 < step < steps}

    def fill(figure: Any, grid: list[Any]) -> None:
        for axes, (name, values) in zip(grid, drawn.items(), strict=True):
            axes.plot(at, values, color=COLORS[0], label="planned", **_dots_if_few(at))
            if logged and name in logged:
                axes.plot(*logged[name], color=COLORS[1], linestyle="", marker=".", markersize=4, label="logged")
            for index, (mark, step) in enumerate(marks.items(), 2):
                color = COLORS[index % len(COLORS)]
                axes.axvline(step, color=color, linestyle="--", linewidth=1.2, label=clean_label(mark))
            axes.set_ylim(min(0.0, values.min()) * 1.1, max(0.0, values.max()) * 1.1)
            axes.set_title(clean_label(name))
            axes.ticklabel_format(axis="y", scilimits=(-3, 4))
        _label_steps(grid, "value")
        found = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in grid]
        legend = {label: handle for pairs in found for handle, label in pairs}
        if len(legend) > 1:
            figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=4)

    caption = f"{steps:,} steps." + (f" Always zero: {', '.join(zero)}." if zero else "")
    return _draw_grid("Schedules", caption, len(drawn), fill)


def plot_codebook_usage(rows: Sequence[LogRow]) -> Picture:
    """Plot the quantizer's statistics, which are lists with one number a level, against the step.

    Raises:
        InputError: If no line has such statistics.
    """
    names = usage_names(rows)
    if not names:
        raise InputError("the log has no line about codebooks yet; continue until the run quantizes and look again")
    levels = max(len(row[name]) for row in rows for name in names if row.get(name))

    def fill(figure: Any, grid: list[Any]) -> None:
        from matplotlib import colormaps

        shades = colormaps["viridis"](np.linspace(0.0, 0.88, levels))
        for axes, name in zip(grid, names, strict=True):
            for level in range(levels):
                steps, values = read_curve(rows, name, level)
                axes.plot(steps, values, label=f"level {level + 1}", color=shades[level], linewidth=1.2, clip_on=False,
                          **_dots_if_few(steps))  # fmt: skip
            axes.set(title=clean_label(name), ylabel=_UNITS.get(name, "value"))
            axes.set_ylim(bottom=0.0, top=max(1.05, axes.get_ylim()[1]))
        _label_steps(grid)
        handles, labels = grid[0].get_legend_handles_labels()
        kept = np.unique(np.linspace(0, levels - 1, min(levels, _MAX_LEGEND)).round().astype(int))
        figure.legend([handles[index] for index in kept], [labels[index] for index in kept], loc="outside right center")

    return _draw_grid("Codebooks in training", "Moving averages of the quantizer; one line a level.", len(names), fill)


def usage_names(rows: Sequence[LogRow]) -> list[str]:
    """Return the names of logged codebook statistics that are worth a panel."""
    found = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, list) and value)
    return [name for name in found if name not in _IMPLIED]


def read_curve(rows: Sequence[LogRow], name: str, level: int | None = None) -> Curve:
    """Return the steps and values of a logged number, or of a level of a logged list, in the order of the steps.

    Example:
        >>> [values.tolist() for values in read_curve([{"step": 2, "x": 1.0}, {"step": 1, "x": None}], "x")]
        [[2.0], [1.0]]
    """
    values: Iterable[tuple[Any, Any]] = ((row["step"], row.get(name)) for row in rows)
    if level is not None:
        values = ((step, value[level]) for step, value in values if isinstance(value, list) and len(value) > level)
    pairs = [(float(step), float(value)) for step, value in values if _is_number(value)]
    steps, numbers = np.array(sorted(pairs, key=lambda pair: pair[0])).reshape(-1, 2).T
    return steps, numbers


def smooth(values: Float[ndarray, " R"], width: int) -> Float[ndarray, " R"]:
    """Return the centered moving mean over an odd width, which is cut off at the ends.

    Example:
        >>> smooth(np.array([0.0, 3.0, 0.0, 3.0]), 3).tolist()
        [1.5, 1.0, 2.0, 1.5]
    """
    width = min(width, 2 * ((values.size + 1) // 2) - 1)
    window = np.ones(width)
    return np.convolve(values, window, "same") / np.convolve(np.ones(values.size), window, "same")


def _plot_logged(rows: Sequence[LogRow], names: Sequence[str], title: str, unit: str) -> Picture:
    """Plot each number as logged and smoothed, with the measurements of the same term."""
    curves = {name: read_curve(rows, name) for name in names}
    measured = {name: read_curve(rows, name) for name in _number_names(rows) if name.startswith(tuple(_MEASURED))}
    width = max(1, 2 * (max(steps.size for steps, _ in curves.values()) // 20) + 1)

    def fill(figure: Any, grid: list[Any]) -> None:
        for axes, (name, (steps, values)) in zip(grid, curves.items(), strict=True):
            axes.plot(steps, values, color=COLORS[0], alpha=0.3, linewidth=0.9)
            axes.plot(steps, smooth(values, width), color=COLORS[0], label="training", **_dots_if_few(steps))
            for color, (kind, label) in enumerate(_MEASURED.items(), start=1):
                curve = measured.get(kind + name.rpartition("/")[2])
                if curve is not None:
                    axes.plot(*curve, color=COLORS[color], marker="o", markersize=3, label=label)
                    axes.legend()
            axes.set_title(clean_label(name))
            if values.min() > 0 and values.max() > 10 * values.min():
                set_log_scale(axes.yaxis)
        _label_steps(grid, unit)

    caption = (
        f"Faint: as logged, one value a batch; strong: mean over {width} logged values. The axis is logarithmic where "
        "a curve spans more than a factor of ten."
    )
    return _draw_grid(title, caption, len(curves), fill)


def _number_names(rows: Sequence[LogRow]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name, value in row.items() if _is_number(value)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _dots_if_few(steps: Any) -> dict[str, Any]:
    """Return the style of a curve that is too short to be seen as a line."""
    return {"marker": "o", "markersize": 4} if steps.size < 3 else {}


def _label_steps(grid: Sequence[Any], ylabel: str | None = None) -> None:
    columns = min(_COLUMNS, len(grid))
    for index, axes in enumerate(grid):
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("step" if index >= len(grid) - columns else "")
        axes.xaxis.set_major_formatter("{x:,.10g}")
        axes.xaxis.get_major_locator().set_params(nbins=4)
        if ylabel and index % columns == 0:
            axes.set_ylabel(ylabel)


def _draw_grid(title: str, caption: str, count: int, fill: Callable[[Any, list[Any]], None]) -> Picture:
    size = max(5.0, 2.9 * min(_COLUMNS, count) + 0.8), 1.0 + 2.1 * count_rows(count, _COLUMNS)
    return draw_picture(title, caption, size, fill, count, _COLUMNS, sharex=True)
