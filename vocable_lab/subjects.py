"""Subjects of studies: a system's kind of run, its studies, and how their variants are evaluated."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vocable.evaluate.card import Column
from vocable.evaluate.plan import Plan
from vocable.evaluate.runner import Evaluation
from vocable.train.run import Run


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A variant of a recipe that a study trains.

    Attributes:
        name: Name of its folder and its row.
        run: Run to train.
        shares_first: Whether it begins from the first variant's model, so that only what is trained after it differs.
        every_checkpoint: Whether each of its checkpoints is evaluated, not the last one alone.
        levels: Numbers of levels to evaluate it at, beside all levels.
        group: Name that variants share which differ in their seed alone. A second table holds the mean of a group and
            its difference from the first group, seed by seed. Empty for none.
    """

    name: str
    run: Any
    shares_first: bool = False
    every_checkpoint: bool = False
    levels: tuple[int, ...] = ()
    group: str = ""


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
        prepare: Function that makes in the study's folder what all evaluations share, from the run and the manifests.
        split: Split to evaluate on where every manifest has it; None takes that of ``vocable evaluate``.
        logged: Columns by name of a statistic in ``log.jsonl``. Its mean since the previous checkpoint stands in the
            column ``train_…``; the curves of both are drawn.
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
    prepare: Callable[[Any, Sequence[Path], Path], None] = lambda run, manifests, out: None
    split: str | None = None
    logged: Mapping[str, str] = field(default_factory=dict)
    train_columns: Sequence[str] = ()
