"""Means of variants that were trained at several seeds, and their differences, seed by seed.

The seed of a training can change its figures as much as the variant does. Runs of one seed see their data in the same
order and begin with the same weights, so a difference is taken within each seed and its interval is over seeds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vocable.errors import MissingDependencyError
from vocable.evaluate.card import Column
from vocable.metrics.score import Figure

_CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Figures of one training.

    Attributes:
        group: Name of the variant that trainings of several seeds have in common.
        part: Suffix of the row's name: a number of levels or a step; empty for the whole.
        seed: Seed of the training.
        figures: Figures by column key.
    """

    group: str
    part: str = ""
    seed: int
    figures: Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class OverSeeds:
    """Mean figures of a variant over its seeds.

    Attributes:
        name: Name of the row.
        baseline: Name of the row that it is compared with; empty for that row itself.
        means: Mean figures by column key, with a t interval over seeds.
        differences: Differences from the baseline over the seeds that both have; empty for the baseline itself.
    """

    name: str
    baseline: str
    means: Mapping[str, Figure]
    differences: Mapping[str, Figure]


def over_seeds(measured: Sequence[Measured], keys: Sequence[str]) -> list[OverSeeds]:
    """Average variants over their seeds, and compare each with the first.

    Args:
        measured: Figures of all trainings. The group of the first one is the baseline, part by part.
        keys: Keys of the figures to average. A figure that is NaN takes no part.

    Raises:
        MissingDependencyError: If scipy is not installed.

    Example:
        >>> def run(group: str, seed: int, value: float) -> Measured:
        ...     return Measured(group=group, seed=seed, figures={"x": Figure(mean=value, low=0.0, high=9.0, n=50)})
        >>> plain, taught = over_seeds([run("plain", 0, 1.0), run("plain", 1, 3.0), run("taught", 0, 2.0),
        ...                             run("taught", 1, 4.0)], ["x"])
        >>> plain.means["x"].mean, taught.differences["x"].mean, taught.differences["x"].low
        (2.0, 1.0, 1.0)
    """
    values: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    for one in measured:
        row = values.setdefault((one.group, one.part), {})
        for key in keys:
            if key in one.figures and math.isfinite(one.figures[key].mean):
                row.setdefault(key, {})[one.seed] = one.figures[key].mean
    baseline = measured[0].group if measured else ""
    rows = []
    for (group, part), row in values.items():
        reference = values.get((baseline, part), {}) if group != baseline else {}
        means = {key: interval(list(seeds.values())) for key, seeds in row.items()}
        pairs = {
            key: [value - reference[key][seed] for seed, value in seeds.items() if seed in reference[key]]
            for key, seeds in row.items() if key in reference
        }  # fmt: skip
        rows.append(
            OverSeeds(
                name=group + part, baseline=baseline + part if reference else "", means=means,
                differences={key: interval(each) for key, each in pairs.items() if each},
            )
        )  # fmt: skip
    return rows


def interval(values: Sequence[float]) -> Figure:
    """Return the mean of some values with its 95 % t interval, whose ends are NaN for one value.

    Raises:
        MissingDependencyError: If scipy is not installed.

    Example:
        >>> figure = interval([1.0, 2.0, 3.0])
        >>> figure.mean, round(figure.low, 2), round(figure.high, 2)
        (2.0, -0.48, 4.48)
    """
    try:
        from scipy.stats import t
    except ImportError as error:
        raise MissingDependencyError("intervals need scipy; run pip install 'vocable[metrics]'") from error
    array = np.array(values)
    mean, half = float(array.mean()), math.nan
    if array.size > 1:
        half = float(t.ppf((1 + _CONFIDENCE) / 2, array.size - 1) * array.std(ddof=1) / math.sqrt(array.size))
    return Figure(mean=mean, low=mean - half, high=mean + half, n=array.size)


def seeds_table(rows: Sequence[OverSeeds], columns: Sequence[Column]) -> str:
    """Return means and differences as a table in Markdown, without columns whose values are all equal."""
    columns = [
        column for column in columns
        if len({row.means[column.key].mean for row in rows if column.key in row.means}) > 1
    ]  # fmt: skip
    lines = [
        "| over seeds | seeds | " + " | ".join(column.title for column in columns) + " |",
        "| --- | ---: |" + " ---: |" * len(columns),
    ]
    for row in rows:
        lines.append(_line(row.name, row.means, columns, sign=""))
        if row.baseline:
            lines.append(_line(f"{row.name} − {row.baseline}", row.differences, columns, sign="+"))
    lines += [
        "",
        "In brackets: 95 % t interval over seeds; one seed has none. Differences are taken seed by seed.",
    ]
    return "\n".join(lines) + "\n"


def seeds_to_json(rows: Sequence[OverSeeds]) -> dict[str, Any]:
    """Return means and differences as plain values, by row and column key."""
    values: dict[str, Any] = {}
    for row in rows:
        values[row.name] = {key: figure_to_json(mean, "seeds") for key, mean in row.means.items()}
        for key, difference in row.differences.items():
            values[row.name][key]["difference"] = figure_to_json(difference, "seeds") | {"from": row.baseline}
    return values


def figure_to_json(figure: Figure, count: str) -> dict[str, Any]:
    """Return a figure as plain values: mean, count under the given key, and the interval if there is one.

    Example:
        >>> figure_to_json(Figure(mean=1.0, low=0.5, high=1.5, n=3), "seeds")
        {'mean': 1.0, 'seeds': 3, 'interval': [0.5, 1.5]}
    """
    interval = {} if math.isnan(figure.low) else {"interval": [figure.low, figure.high]}
    return {"mean": figure.mean, count: figure.n} | interval


def _line(name: str, figures: Mapping[str, Figure], columns: Sequence[Column], sign: str) -> str:
    forms = [sign + (".3f" if column.unit == "%" else column.form) for column in columns]
    cells = [
        figures[column.key].text(form) if column.key in figures else ""
        for column, form in zip(columns, forms, strict=True)
    ]
    seeds = max((figure.n for figure in figures.values()), default=0)
    return f"| {name} | {seeds} | " + " | ".join(cells) + " |"
