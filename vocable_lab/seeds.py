"""What is left of a difference over seeds: means of variants trained several times, and differences seed by seed.

The seed of a training moves its figures by as much as what a study asks for may do. Runs of one seed have their data in
one order and begin alike, so a difference is taken within each seed and its interval is over seeds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vocable.errors import MissingDependencyError
from vocable.evaluate.card import Column
from vocable.metrics.score import Figure

_LEVEL = 0.95  # of the intervals


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one training came to.

    Attributes:
        group: Which variant.
        part: What of it: a number of levels, a step; empty for the whole.
        seed: Of the training.
        figures: By column key.
    """

    group: str
    part: str = ""
    seed: int
    figures: Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class OverSeeds:
    """A variant over its seeds.

    Attributes:
        name: Of its row.
        baseline: The row that it is compared with; empty for that row itself.
        means: By column key, with a t interval over seeds.
        differences: From the baseline, over the seeds that both have; none of the baseline itself.
    """

    name: str
    baseline: str
    means: Mapping[str, Figure]
    differences: Mapping[str, Figure]


def over_seeds(measured: Sequence[Measured], keys: Sequence[str]) -> list[OverSeeds]:
    """Variants over their seeds, each compared with the first.

    Args:
        measured: Trainings; the first one's group is the baseline, part by part.
        keys: Of the figures that are wanted. One that is NaN, or of one seed only, takes no part in a difference.

    Raises:
        MissingDependencyError: scipy is not installed.

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
    first = measured[0].group if measured else ""
    rows = []
    for (group, part), row in values.items():
        beside = values.get((first, part), {}) if group != first else {}
        means = {key: interval(list(seeds.values())) for key, seeds in row.items()}
        pairs = {
            key: [value - beside[key][seed] for seed, value in seeds.items() if seed in beside[key]]
            for key, seeds in row.items() if key in beside
        }  # fmt: skip
        rows.append(
            OverSeeds(
                name=group + part, baseline=first + part if beside else "", means=means,
                differences={key: interval(each) for key, each in pairs.items() if each},
            )
        )  # fmt: skip
    return rows


def interval(values: Sequence[float]) -> Figure:
    """Mean of some values with the 95 % t interval; that of one value has no ends.

    Raises:
        MissingDependencyError: scipy is not installed.

    Example:
        >>> figure = interval([1.0, 2.0, 3.0])
        >>> figure.mean, round(figure.low, 2), round(figure.high, 2)
        (2.0, -0.48, 4.48)
    """
    try:
        from scipy.stats import t
    except ImportError as error:
        raise MissingDependencyError("intervals need scipy; run pip install 'vocable[metrics]'") from error
    drawn = np.array(values)
    mean, half = float(drawn.mean()), math.nan
    if drawn.size > 1:
        half = float(t.ppf((1 + _LEVEL) / 2, drawn.size - 1) * drawn.std(ddof=1) / math.sqrt(drawn.size))
    return Figure(mean=mean, low=mean - half, high=mean + half, n=drawn.size)


def seeds_table(rows: Sequence[OverSeeds], columns: Sequence[Column]) -> str:
    """The means, and below each its difference from the baseline, in Markdown; without what is the same everywhere."""
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
        "In brackets: 95 % t interval over seeds; of one seed there is none. Differences are taken seed by seed.",
    ]
    return "\n".join(lines) + "\n"


def seeds_to_json(rows: Sequence[OverSeeds]) -> dict[str, Any]:
    """The same as plain values, by row and column key."""
    return {
        row.name: {
            key: _plain(mean) | ({"difference": _plain(row.differences[key]) | {"from": row.baseline}}
                                 if key in row.differences else {})
            for key, mean in row.means.items()
        } for row in rows
    }  # fmt: skip


def _line(name: str, figures: Mapping[str, Figure], columns: Sequence[Column], sign: str) -> str:
    forms = [sign + (".3f" if column.unit == "%" else column.form) for column in columns]
    cells = [
        figures[column.key].text(form) if column.key in figures else ""
        for column, form in zip(columns, forms, strict=True)
    ]
    seeds = max((figure.n for figure in figures.values()), default=0)
    return f"| {name} | {seeds} | " + " | ".join(cells) + " |"


def _plain(figure: Figure) -> dict[str, Any]:
    ends = {} if math.isnan(figure.low) else {"interval": [figure.low, figure.high]}
    return {"mean": figure.mean, "seeds": figure.n} | ends
