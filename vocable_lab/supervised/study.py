"""Studies of the supervised units: kinds of codebook and token rates, and what each loss of the recognizer adds."""

from dataclasses import replace
from typing import Any

from vocable.quantizers.fsq import equal_levels
from vocable.systems.supervised.config import SupervisedLosses
from vocable.systems.supervised.recipe import SupervisedRun
from vocable.train.schedule import Weight
from vocable_lab.shared.codes import COLUMNS, Codes
from vocable_lab.subjects import Subject, Variant, fit_schedules

_OFF = Weight(value=0.0)


def units(run: SupervisedRun) -> list[Variant]:
    """Return variants with a learned codebook and with finite scalars, at the recipe's token rate and at half of it.

    Decoded audio is not compared with its recording: this saves a third of the time of a step.
    """
    run = fit_schedules(_with_losses(run, representation=_OFF))
    size, sizes, recognizer = run.model.codebook_size, run.model.decoder, run.model.recognizer
    first, second = sizes.strides
    halved = replace(
        run.model,
        encoder=replace(run.model.encoder, frames_per_token=2 * run.model.encoder.frames_per_token),
        recognizer=replace(recognizer, phones_per_token=2 * recognizer.phones_per_token),
        decoder=replace(sizes, strides=(first, 2 * second)),
    )
    rates = {"": run.model, "-half-rate": halved}
    scalars = equal_levels(size)
    return [
        Variant(
            name=f"{kind}{name}", run=replace(run, model=replace(model, fsq_levels=levels)),
            has_other_sizes=bool(name or levels),
        )
        for name, model in rates.items() for kind, levels in (("codebook", ()), ("fsq", scalars))
    ]  # fmt: skip


def tasks(run: SupervisedRun) -> list[Variant]:
    """Return the recipe, and the recipe without one of the losses that teach the units what is said."""
    run = fit_schedules(run)
    return [
        Variant(name="recipe", run=run),
        *(Variant(name=f"no-{name}", run=_with_losses(run, **{name: _OFF}))
          for name in ("letters", "distillation", "representation")),
    ]  # fmt: skip


def _with_losses(run: SupervisedRun, **weights: Any) -> SupervisedRun:
    losses: SupervisedLosses = replace(run.losses, **weights)
    return replace(run, losses=losses)


SUBJECT = Subject(
    name="supervised units",
    example="supervised-tiny",
    run=SupervisedRun,
    studies={"units": units, "tasks": tasks},
    evaluation=Codes,
    columns=COLUMNS,
    split="dev",
)
