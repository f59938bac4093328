"""What studies can be made of: a system's kind of run, its studies, and how their variants are measured."""

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
    """One answer to a study's question.

    Attributes:
        name: Of its folder and its row.
        run: What is trained.
        shares: Begins from the first variant's model, so that only what is trained after it differs.
        every: Each of its checkpoints is measured, and not the last alone.
        levels: Numbers of levels that it is measured at, beside all.
        group: Variants of one group differ in their seed alone: they get a mean, and the difference from the first
            group seed by seed, in a table of their own.
    """

    name: str
    run: Any
    shares: bool = False
    every: bool = False
    levels: tuple[int, ...] = ()
    group: str = ""


def nothing(run: Any, manifests: Sequence[Path], out: Path) -> None:
    """There is nothing to make ready."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A system that studies can be made of.

    Attributes:
        name: Of the system, as people say it.
        example: A recipe of it.
        run: Its kind of run.
        studies: By name: from a run to its variants.
        evaluation: What measures a variant.
        columns: What the table shows of it.
        ready: Whether a checkpoint's tokenizer can be measured at all.
        before: Makes ready, in the study's folder, what all variants are measured with.
        split: What variants are judged on, where the manifests have it; None: what ``vocable evaluate`` takes.
        logged: Columns by what the log of a training has of the same kind: the mean of that since the checkpoint before
            stands in the column ``train_…``, and of what is measured on its way both are drawn.
        learnt: Figures that are also taken of as many recordings of those that are learnt from, where a training is
            measured on its way: columns ``train_evaluated_…``.
    """

    name: str
    example: str
    run: type[Run]
    studies: Mapping[str, Callable[[Any], list[Variant]]]
    evaluation: Callable[[Plan, Path], Evaluation]
    columns: Sequence[Column]
    ready: Callable[[Any], bool] = lambda tokenizer: True
    before: Callable[[Any, Sequence[Path], Path], None] = nothing
    split: str | None = None
    logged: Mapping[str, str] = field(default_factory=dict)
    learnt: Sequence[str] = ()
