"""Runs with other values than their recipe's, and the schedules of shorter runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from vocable.errors import ConfigError
from vocable.train.run import Run
from vocable.train.schedule import CountsSteps, Weight
from vocable.train.settings import change_settings, type_hints


def override(run: Run, *, steps: int | None = None, batch_size: int | None = None, seed: int | None = None,
             precision: str | None = None, not_finite: str | None = None, teachers: Sequence[str] = (),
             cache: Path | None = None, settings: Mapping[str, Any] | None = None,
             scale: bool = True) -> Run:  # fmt: skip
    """Return the run with some values replaced; None keeps the recipe's.

    Args:
        run: Run from a recipe.
        steps: Number of steps of the whole run; see :class:`TrainConfig`, also for ``precision`` and ``not_finite``.
        batch_size: Size of the global batch.
        seed: Seed of weights, batches and everything else that is random.
        precision: Precision of the networks.
        not_finite: Reaction to a loss that is not finite.
        teachers: Source of each teacher as ``PART=SOURCE``, such as ``acoustic=resemblyzer``.
        cache: Folder that caches the teachers' features; ``teachers`` by default.
        settings: JSON values of any settings by name, such as ``{"model.width": 64}``; see
            :func:`vocable.train.settings.change_settings`.
        scale: Whether the schedules of a run with fewer steps than the recipe's shrink in proportion. What is then
            still later than the end of the run is refused.

    Raises:
        ConfigError: If a value is out of range, the run has no such teacher or setting, or a stage would never begin.
    """
    if teachers or cache:
        sources = {}
        for teacher in teachers:
            part, _, source = teacher.partition("=")
            if not part or not source:
                raise ConfigError(f"a teacher is '{teacher}'; write PART=SOURCE, such as acoustic=resemblyzer")
            sources[part] = source
        run = run.with_teachers(sources, str(cache or "teachers"))
    values, accepted = dict(settings or {}), unreached(run)
    steps = steps if steps is not None else values.get("train.steps")
    if type(steps) is int and scale:
        run = scale_schedules(run, steps)
    given = {"steps": steps, "seed": seed, "precision": precision, "not_finite": not_finite}
    values = {f"train.{name}": value for name, value in given.items() if value is not None} | values
    given = {"batch_size": batch_size, "seed": seed}
    values = {f"batches.{name}": value for name, value in given.items() if value is not None} | values
    run = change_settings(run, values)
    late = {name: value for name, value in unreached(run).items() if name not in accepted}
    if scale and late:
        name, value = next(iter(late.items()))
        raise ConfigError(
            f"{name} is {value}, and the run has {run.train.steps} steps, so that stage would never begin or end; "
            "lower it, or raise --steps"
        )
    return run


def scale_schedules(run: Run, steps: int) -> Run:
    """Return a run of some steps; if they are fewer, everything that counts steps of the run shrinks in proportion.

    Example:
        >>> from vocable.systems.guided.recipe import small
        >>> [scale_schedules(small(), steps).losses.quantize_from for steps in (20, 10_000, 20_000)]
        [2, 1000, 1000]
    """
    whole = run.train.steps
    if steps < whole:
        run = _scale(run, steps, whole)
    return replace(run, train=replace(run.train, steps=steps))


def unreached(run: Run) -> dict[str, int]:
    """Return the settings that count at least all steps of a run, so that what they start never happens.

    Example:
        >>> from vocable.systems.guided.recipe import small
        >>> unreached(change_settings(small(), {"train.steps": 200}))
        {'losses.quantize_from': 1000, 'train.learning_rate.warmup': 200}
    """
    return {name: value for name, value in _counts(run) if value and value >= run.train.steps}


def _counts_steps(hint: Any) -> bool:
    return any(isinstance(extra, CountsSteps) for extra in getattr(hint, "__metadata__", ()))


def _scale(record: Any, steps: int, whole: int) -> Any:
    hints, changes = type_hints(type(record)), {}
    for field in fields(record):
        value = getattr(record, field.name)
        if _counts_steps(hints[field.name]):
            changes[field.name] = value * steps // whole
        elif is_dataclass(value) and not isinstance(value, type):
            changes[field.name] = _scale(value, steps, whole)
    changes = {name: value for name, value in changes.items() if value != getattr(record, name)}
    return replace(record, **changes) if changes else record


def _counts(record: Any, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Yield names and values of all settings that count steps; those of losses of weight 0 do not count."""
    if isinstance(record, Weight) and record.value == 0:
        return
    hints = type_hints(type(record))
    for field in fields(record):
        value = getattr(record, field.name)
        if _counts_steps(hints[field.name]):
            yield f"{prefix}{field.name}", value
        elif is_dataclass(value) and not isinstance(value, type):
            yield from _counts(value, f"{prefix}{field.name}.")
