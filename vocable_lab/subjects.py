"""Subjects of studies: a system's kind of run, its studies, and how their variants are evaluated."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from vocable.evaluate.card import Column
from vocable.evaluate.plan import Plan
from vocable.evaluate.runner import Evaluation
from vocable.train.overrides import scale_schedules
from vocable.train.run import Run
from vocable.train.schedule import Weight

SEEDS = 3
"""Trainings of each variant in studies over seeds."""

_SCHEDULED = 0.8  # share of a training within which every loss has its full weight
_Run = TypeVar("_Run", bound=Any)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A variant of a recipe that a study trains.

    Attributes:
        name: Name of its folder and its row.
        run: Run to train.
        begins_from: Name of an earlier variant whose model it begins from, so that only what is trained after that
            differs. Empty for none.
        every_checkpoint: Whether each of its checkpoints is evaluated, not the last one alone.
        levels: Numbers of levels to evaluate it at, beside all levels.
        group: Name that variants share which differ in their seed alone. A second table holds the mean of a group and
            its difference from the first group, seed by seed. Empty for none.
        has_other_sizes: Whether its networks are not of the recipe's sizes. A study whose trainings begin from a model
            leaves it out: it cannot begin from there, and one that begins from nothing has no place beside the others.
    """

    name: str
    run: Any
    begins_from: str = ""
    every_checkpoint: bool = False
    levels: tuple[int, ...] = ()
    group: str = ""
    has_other_sizes: bool = False


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A system that studies can be made of.

    Attributes:
        name: Name of the system in messages.
        example: One of its recipes, to name in messages.
        run: Class of its runs.
        studies: Studies by name: functions from a run to its variants.
        evaluation: Evaluation of a variant.
        columns: Columns of the study's table.
        is_ready: Function that says whether a checkpoint's tokenizer can be evaluated.
        prepare: Function that makes in the study's folder what all evaluations share, from the variants and the
            manifests. It raises a ConfigError if the study cannot answer its question on these manifests.
        cost: Function that measures what a trained model costs to use, by column. It is called once for a model.
        ceilings: Highest value by column. A column in which no variant is told apart from it is left out, and named.
        baselines: Column of a baseline by column. Variants that are not clearly better are named below the table.
        split: Split to evaluate on where every manifest has it; None takes that of ``vocable evaluate``.
        logged: Columns by name of a statistic in ``log.jsonl``. Its mean since the previous checkpoint stands in the
            column ``train_…``; the curves of both are drawn.
        final: Columns by name of a value in ``log.jsonl``, whose last value stands in the column.
        train_columns: Columns that are also computed on as many training recordings, where every checkpoint is
            evaluated; they stand in the columns ``train_evaluated_…``.
    """

    name: str
    example: str
    run: type[Run]
    studies: Mapping[str, Callable[[Any], list[Variant]]]
    evaluation: Callable[[Plan, Path], Evaluation]
    columns: Sequence[Column]
    is_ready: Callable[[Any], bool] = lambda tokenizer: True
    prepare: Callable[[Sequence[Variant], Sequence[Path], Path], None] = lambda variants, manifests, out: None
    cost: Callable[[Any], dict[str, float]] = lambda tokenizer: {}
    ceilings: Mapping[str, float] = field(default_factory=dict)
    baselines: Mapping[str, str] = field(default_factory=dict)
    split: str | None = None
    logged: Mapping[str, str] = field(default_factory=dict)
    final: Mapping[str, str] = field(default_factory=dict)
    train_columns: Sequence[str] = ()


def over_seeds(variants: Sequence[Variant], count: int = SEEDS) -> list[Variant]:
    """Return every variant at several seeds, grouped by its name; the first seed is that of its run.

    Example:
        >>> from vocable.systems.ctap.recipe import tiny
        >>> [variant.name for variant in over_seeds([Variant(name="ema", run=tiny())], 2)]
        ['ema-seed0', 'ema-seed1']
    """
    return [
        replace(
            variant, name=f"{variant.name}-seed{seed}", group=variant.name, run=with_seed(variant.run, seed),
            begins_from=f"{variant.begins_from}-seed{seed}" if variant.begins_from else "",
        )
        for first in [variants[0].run.train.seed] for seed in range(first, first + count) for variant in variants
    ]  # fmt: skip


def with_seed(run: Any, seed: int) -> Any:
    """Return a run whose weights and batches are drawn by another seed."""
    return replace(run, train=replace(run.train, seed=seed), batches=replace(run.batches, seed=seed))


def fit_schedules(run: _Run) -> _Run:
    """Return a run whose losses all have their full weight within its first four fifths, by scaled schedules.

    Args:
        run: Run with ``losses`` that have a ``codebook_start``, and with ``train``.
    """
    weights = [value for field in fields(run.losses) if isinstance(value := getattr(run.losses, field.name), Weight)]
    latest = max(run.losses.codebook_start, *(weight.start + weight.ramp for weight in weights))
    if latest <= _SCHEDULED * run.train.steps:
        return run
    whole = round(latest / _SCHEDULED)
    scaled = scale_schedules(replace(run, train=replace(run.train, steps=whole)), run.train.steps)
    return replace(run, losses=scaled.losses, train=scaled.train)
