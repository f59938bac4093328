"""Pictures of a training run: its losses, its schedules, and how its codebooks came into use."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.errors import ConfigError, InputError
from vocable.evaluate.canvas import COLORS, draw, log_scale, panels, rows_for, words
from vocable.evaluate.card import Picture

Row = Mapping[str, Any]
Curve = tuple[Float[ndarray, " R"], Float[ndarray, " R"]]  # steps, values

_MEASURED = {"validation/": "validation", "evaluated/": "training, evaluated"}  # drawn into the panels of their terms
_PROGRESS = ("step", "seconds", "learning_rate", "skipped")
_NOT_LOSSES = ("/weight", "/gradient_norm")
_UNITS = {"used": "share of entries", "perplexity": "entries", "restarts": "entries, so far"}
_IMPLIED = ("dead", "entropy")  # by the share in use and by the perplexity
_POINTS = 2000  # at which a schedule is drawn


def loss_picture(rows: Sequence[Row], *, title: str = "Losses in training") -> Picture:
    """Every term of the loss against the step, as logged and smoothed, in a panel each; sums come first.

    Args:
        rows: Lines of ``log.jsonl``: ``step``, and numbers named ``part/term``. ``validation/term``, and
            ``evaluated/term`` of recordings that are learnt from, are drawn into the panels of that term; weights are
            left out.
        title: Of the picture.

    Raises:
        InputError: No line has a loss.

    Example:
        >>> rows = [{"step": step, "generator/total": 1 / (step + 1)} for step in range(5)]
        >>> loss_picture(rows).title
        'Losses in training'
    """
    names = _loss_names(rows)
    if not names:
        raise InputError("the log has no line with a loss yet; go on with the run and look again")
    return _logged_picture(rows, names, title, "value (no unit)")


def stat_picture(rows: Sequence[Row], *, title: str = "Figures in training") -> Picture:
    """What else was logged, such as accuracies, against the step, as :func:`loss_picture` draws losses.

    Args:
        rows: Lines of ``log.jsonl``.
        title: Of the picture.

    Raises:
        InputError: No line has such a number.

    Example:
        >>> stat_picture([{"step": 1, "top1": 0.25}, {"step": 2, "top1": 0.5, "validation/top1": 0.5}]).title
        'Figures in training'
    """
    names = stat_names(rows)
    if not names:
        raise InputError("the log has no line with figures beside the losses; look at the losses")
    return _logged_picture(rows, names, title, "value")


def stat_names(rows: Sequence[Row]) -> list[str]:
    """Which numbers were logged beside losses and progress.

    Example:
        >>> stat_names([{"step": 1, "seconds": 2.0, "taste/units": 3.0, "top1": 0.25, "used": [1.0]}])
        ['top1']
    """
    return [name for name in _names(rows) if "/" not in name and name not in _PROGRESS]


def schedule_picture(schedules: Mapping[str, Callable[[int], float]], steps: int, *,
                     begins: Mapping[str, int] | None = None, logged: Mapping[str, Curve] | None = None,
                     title: str = "Schedules") -> Picture:  # fmt: skip
    """Every loss weight and learning rate against the step, before or after training.

    Args:
        schedules: Value at a step (0 is the first), by name. Those that are zero throughout are named, not drawn.
        steps: Of the whole run.
        begins: Steps at which something begins, by name: a vertical line.
        logged: What a run really used, by the name of its schedule: dots.
        title: Of the picture.

    Raises:
        ConfigError: No steps, or nothing that is ever other than zero.

    Example:
        >>> from vocable.train.schedule import Weight
        >>> schedule_picture({"log_mel": Weight(value=1.0, ramp=10).at}, 100).title
        'Schedules'
    """
    if steps < 1:
        raise ConfigError(f"a run of {steps} steps has no schedule; it must have at least 1")
    at = np.unique(np.linspace(0, steps - 1, min(steps, _POINTS)).round().astype(int))
    planned = {name: np.array([value(int(step)) for step in at]) for name, value in schedules.items()}
    drawn = {name: values for name, values in planned.items() if values.any()}
    zero = sorted(set(planned) - set(drawn))
    if not drawn:
        raise ConfigError("no schedule is ever other than zero: there is nothing to draw")
    marks = {name: step for name, step in (begins or {}).items() if 0 < step < steps}

    def put(figure: Any) -> None:
        figure.suptitle(words(title))
        grid = panels(figure, len(drawn), 3, sharex=True)
        for axes, (name, values) in zip(grid, drawn.items(), strict=True):
            few = {"marker": "o", "markersize": 4} if at.size < 3 else {}
            axes.plot(at, values, color=COLORS[0], label="planned", **few)
            if logged and name in logged:
                axes.plot(*logged[name], color=COLORS[1], linestyle="", marker=".", markersize=4, label="logged")
            for index, (mark, step) in enumerate(marks.items(), 2):
                axes.axvline(step, color=COLORS[index % len(COLORS)], linestyle="--", linewidth=1.2, label=words(mark))
            low, high = min(0.0, values.min()), max(0.0, values.max())
            axes.set_ylim(low * 1.1, high * 1.1)
            axes.set_title(words(name))
            axes.ticklabel_format(axis="y", scilimits=(-3, 4))
        _label_steps(grid, 3, "value")
        found = [axes.get_legend_handles_labels() for axes in grid]
        legend = {label: handle for handles, labels in found for handle, label in zip(handles, labels, strict=True)}
        if len(legend) > 1:
            figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=4)

    caption = f"{steps:,} steps." + (f" Zero throughout: {', '.join(zero)}." if zero else "")
    return Picture(title=title, caption=caption, png=_grid_png(len(drawn), 3, put))


def usage_picture(rows: Sequence[Row], *, title: str = "Codebooks in training") -> Picture:
    """What the quantizer logged of every level (share in use, perplexity, restarts) against the step.

    Args:
        rows: Lines of ``log.jsonl``; a list of numbers has one a level.
        title: Of the picture.

    Raises:
        InputError: No line has numbers by level.

    Example:
        >>> usage_picture([{"step": 1, "used": [0.5, 1.0]}, {"step": 2, "used": [0.75, 1.0]}]).title
        'Codebooks in training'
    """
    names = usage_names(rows)
    if not names:
        raise InputError("the log has no line about codebooks yet; go on until the run quantizes and look again")
    levels = max(len(row[name]) for row in rows for name in names if row.get(name))

    def put(figure: Any) -> None:
        from matplotlib import colormaps

        figure.suptitle(words(title))
        grid = panels(figure, len(names), 3, sharex=True)
        shades = colormaps["viridis"](np.linspace(0.0, 0.88, levels))
        for axes, name in zip(grid, names, strict=True):
            for level in range(levels):
                steps, values = curve_of(rows, name, level)
                few = {"marker": "o", "markersize": 4} if steps.size < 3 else {}
                shape = {"color": shades[level], "linewidth": 1.2, "clip_on": False} | few
                axes.plot(steps, values, label=f"level {level + 1}", **shape)
            axes.set(title=words(name), ylabel=_UNITS.get(name, "value"))
            axes.set_ylim(bottom=0.0, top=max(1.05, axes.get_ylim()[1]))
        _label_steps(grid, 3)
        handles, labels = grid[0].get_legend_handles_labels()
        kept = np.unique(np.linspace(0, levels - 1, min(levels, 8)).round().astype(int))
        figure.legend([handles[index] for index in kept], [labels[index] for index in kept], loc="outside right center")

    caption = "From the quantizer's moving counts; one line a level."
    return Picture(title=title, caption=caption, png=_grid_png(len(names), 3, put))


def usage_names(rows: Sequence[Row]) -> list[str]:
    """Which values have one number a level and are worth a panel.

    Example:
        >>> usage_names([{"step": 1, "loss/total": 3.0}, {"step": 2, "used": [1.0], "dead": [3.0]}])
        ['used']
    """
    found = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, list) and value)
    return [name for name in found if name not in _IMPLIED]


def curve_of(rows: Sequence[Row], name: str, level: int | None = None) -> Curve:
    """Steps and values of what is logged under a name, in the order of the steps; lines without it are left out.

    Args:
        rows: Lines of ``log.jsonl``.
        name: Of a value.
        level: Which one, 0-based, where there is one number a level.

    Example:
        >>> [values.tolist() for values in curve_of([{"step": 2, "x": 1.0}, {"step": 1, "x": None}], "x")]
        [[2.0], [1.0]]
    """
    pairs = []
    for row in rows:
        value: Any = row.get(name)
        if level is not None:
            value = value[level] if isinstance(value, list) and len(value) > level else None
        if _is_number(value):
            pairs.append((float(row["step"]), float(value)))
    found = np.array(sorted(pairs, key=lambda pair: pair[0])).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def smoothed(values: Float[ndarray, " R"], width: int) -> Float[ndarray, " R"]:
    """Centred moving mean over an odd width; at the ends over what there is.

    Example:
        >>> smoothed(np.array([0.0, 3.0, 0.0, 3.0]), 3).tolist()
        [1.5, 1.0, 2.0, 1.5]
    """
    width = min(width, 2 * ((values.size + 1) // 2) - 1)
    window = np.ones(width)
    return np.convolve(values, window, "same") / np.convolve(np.ones(values.size), window, "same")


def _logged_picture(rows: Sequence[Row], names: Sequence[str], title: str, unit: str) -> Picture:
    """A panel for each name, as logged and smoothed, with what was measured of it on the way."""
    curves = {name: curve_of(rows, name) for name in names}
    measured = {name: curve_of(rows, name) for name in _names(rows) if name.startswith(tuple(_MEASURED))}
    width = max(1, 2 * (max(steps.size for steps, _ in curves.values()) // 20) + 1)

    def put(figure: Any) -> None:
        figure.suptitle(words(title))
        grid = panels(figure, len(curves), 3, sharex=True)
        for axes, (name, (steps, values)) in zip(grid, curves.items(), strict=True):
            few = {"marker": "o", "markersize": 4} if steps.size < 3 else {}
            axes.plot(steps, values, color=COLORS[0], alpha=0.3, linewidth=0.9)
            axes.plot(steps, smoothed(values, width), color=COLORS[0], label="training", **few)
            for color, (kind, label) in enumerate(_MEASURED.items(), start=1):
                found = measured.get(kind + name.rpartition("/")[2])
                if found is not None:
                    axes.plot(*found, color=COLORS[color], marker="o", markersize=3, label=label)
                    axes.legend()
            axes.set_title(words(name))
            if values.min() > 0 and values.max() > 10 * values.min():
                log_scale(axes.yaxis)
        _label_steps(grid, 3, unit)

    caption = (
        f"Faint: as logged, each value of one batch; strong: mean over {width} logged values. The axis is logarithmic "
        "where a curve spans more than a factor of ten."
    )
    return Picture(title=title, caption=caption, png=_grid_png(len(curves), 3, put))


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name, value in row.items() if _is_number(value)))


def _loss_names(rows: Sequence[Row]) -> list[str]:
    """Names of part/term, sums first and gradient norms last."""
    names = [name for name in _names(rows) if "/" in name and not name.startswith(tuple(_MEASURED))]
    terms = [name for name in names if not name.endswith(_NOT_LOSSES)]
    norms = [name for name in names if name.endswith("/gradient_norm")] if terms else []
    return sorted(terms, key=lambda name: not name.endswith("/total")) + norms


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _label_steps(grid: Sequence[Any], columns: int, ylabel: str | None = None) -> None:
    from matplotlib.ticker import FuncFormatter

    columns = min(columns, len(grid))
    for index, axes in enumerate(grid):
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("step" if index >= len(grid) - columns else "")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axes.xaxis.get_major_locator().set_params(nbins=4)
        if ylabel and index % columns == 0:
            axes.set_ylabel(ylabel)


def _grid_png(count: int, columns: int, put: Callable[[Any], None]) -> bytes:
    columns = min(columns, count)
    return draw(max(5.0, 2.9 * columns + 0.8), 1.0 + 2.1 * rows_for(count, columns), put)
