"""Resumption of runs: what a folder holds, and how it differs from what is about to be trained."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from vocable.collective import world
from vocable.errors import CheckpointError, ConfigError, VocableError
from vocable.files import exists
from vocable.schema import read_object
from vocable.train.record import manifests_of

FORMAT = 2
"""Version of ``run.json``; vocable 0.1 wrote none."""
_PACKAGES = ("vocable", "torch", "numpy", "soxr")  # whose versions can move a bit
_FREE = (  # of train, changed without asking
    "steps", "not_finite", "log_every", "save_every", "eval_every", "keep", "workers", "accumulate",
    "activation_checkpointing",
)  # fmt: skip
_NOT_SETTINGS = ("format", "recipe", "init", "data", "split", "start", "teachers", "environment", "resumed", "corpus")
_MAX_NAMED = 4  # differences in a message


def describe_environment(device: str, precision: str) -> dict[str, Any]:
    """Return what decides the bits of a training beside its settings and data, as JSON values.

    Args:
        device: Torch device of the networks.
        precision: Precision of the networks.
    """
    name = device if device == "cpu" else torch.cuda.get_device_name(device)
    return {
        **{f"{package} version": _version(package) for package in _PACKAGES},
        "threads": torch.get_num_threads(), "CPU capability": torch.backends.cpu.get_cpu_capability(),
        "processes": world()[1], "device": name, "precision": precision,
    }  # fmt: skip


def read_run(folder: Path) -> dict[str, Any] | None:
    """Return the contents of a folder's ``run.json``, or None if the folder holds no run.

    Raises:
        CheckpointError: If it cannot be read, or the run is of another format.
    """
    file = folder / "run.json"
    if not exists(file):
        return None
    stored = read_object(file, advice="is this a run's folder?")
    if (found := stored.get("format")) != FORMAT:
        made = "by vocable 0.1" if found is None else f"in format {found}"
        raise CheckpointError(
            f"{file}: this run was begun {made} and cannot be resumed; train into another folder, with --init {folder} "
            "to start from its newest weights"
        )
    return stored


def compare(stored: Mapping[str, Any], settings: Mapping[str, Any], file: Path, *, locations: tuple[str, ...] = (),
            allow_changes: bool = False, exact: bool = False) -> list[str]:  # fmt: skip
    """Return how settings differ from those of a stored run, where it may be resumed all the same.

    Args:
        stored: Contents of ``run.json``.
        settings: Settings to resume with, in the same form.
        file: Path of ``run.json``, for messages.
        locations: Settings that say where something lies, which may have moved; digests decide whether it is the same.
        allow_changes: Whether losses, optimizer and batches may have other settings.
        exact: Whether nothing may differ that can move a bit.

    Raises:
        CheckpointError: If the run is of other data or networks, or differs in what is not allowed.
    """
    if problem := _other_run(stored, settings):
        raise CheckpointError(f"{file}: {problem}")
    differences = {
        name: pair for name, pair in _differences(stored, settings)
        if name not in locations and name != "train.precision"
    }  # fmt: skip
    if sizes := [name for name in differences if name.startswith("model.")]:
        raise CheckpointError(
            f"{file}: the run's recipe has other 'model' settings ({_named(differences, sizes)}); resume with that "
            "recipe"
        )
    free = [name for name in differences if name in {f"train.{key}" for key in _FREE}]
    changed = [name for name in differences if name not in free]
    if changed and not allow_changes:
        parts = " and ".join(f"'{part}'" for part in dict.fromkeys(name.partition(".")[0] for name in changed))
        raise CheckpointError(
            f"{file}: the run's recipe has other {parts} settings ({_named(differences, changed)}); leave them as they "
            "were, or pass --allow-changes to go on with the new ones"
        )
    lines = [f"changed on request: {_named(differences, changed)}"] if changed else []
    if free:
        lines.append(f"changed: {_named(differences, free)}")
    surroundings = _compare_environment(stored, settings)
    moving = surroundings + changed + [name for name in free if name in ("train.steps", "train.accumulate")]
    if exact and moving:
        reason = "; ".join(surroundings) or _named(differences, moving)
        raise CheckpointError(f"{file}: cannot be resumed exactly: {reason}; leave --exact out to go on all the same")
    if surroundings:
        lines.append(
            f"warning: {'; '.join(surroundings)}: the run may differ in its last bits from one without a break"
        )
    return lines


def compare_corpus(stored: Mapping[str, Any], settings: Mapping[str, Any], problems: Sequence[VocableError],
                   file: Path, allow_changes: bool) -> list[str]:  # fmt: skip
    """Return how the recordings differ from those that a stored run began with, where it may be resumed all the same.

    Args:
        stored: Contents of ``run.json``; empty where there is no such run.
        settings: What ``run.json`` will hold, with ``corpus``: number, hours and digest of the lengths of clips.
        problems: Reasons why recordings are left out now.
        file: Path of ``run.json``, for messages.
        allow_changes: Whether the run may be resumed with other recordings.

    Raises:
        CheckpointError: If the recordings differ, so that batches would, and that is not allowed.
    """
    before, now = stored.get("corpus"), settings.get("corpus")
    if not isinstance(before, Mapping) or not isinstance(now, Mapping) or before.get("sha256") == now["sha256"]:
        return []
    change = " and ".join(
        f"{when} with {str(one.get('clips'))[:20]} clips of {str(one.get('hours'))[:20]} h"
        for when, one in (("began", before), ("would go on", now))
    )
    if allow_changes:
        return [f"changed on request: the run {change}"]
    first = f"; the first that is left out now: {problems[0]}" if problems else ""
    raise CheckpointError(
        f"{file}: recordings have changed: the run {change}{first}; restore them, or pass --allow-changes"
    )


def next_environments(stored: Mapping[str, Any] | None, settings: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Return what ``run.json`` keeps of its environments: the first, and each that a later part had instead.

    Args:
        stored: Contents of ``run.json`` before, if any.
        settings: Settings with the ``environment`` of this part.
        step: Number of steps that are finished.
    """
    environment = settings["environment"]
    if stored is None or not isinstance(stored.get("environment"), dict):
        return {"environment": environment}
    resumed = _resumed(stored)
    if environment != _newest_environment(stored):
        resumed.append({"step": step, "environment": environment})
    return {"environment": stored["environment"]} | ({"resumed": resumed} if resumed else {})


def stored_recipe(stored: Mapping[str, Any], name: str | None, folder: Path) -> str:
    """Return the recipe that a run was begun from.

    Args:
        stored: Contents of ``run.json``.
        name: Recipe that the user names; None for the stored one.
        folder: Folder of the run, for messages.

    Raises:
        ConfigError: If neither names one, or they differ.
    """
    kept = stored.get("recipe")
    if not isinstance(kept, str):
        if name is None:
            raise ConfigError(
                f"{folder / 'run.json'}: does not name its recipe; pass it: vocable train RECIPE --out … --resume"
            )
        return name
    if name not in (None, kept):
        raise ConfigError(
            f"{folder}: holds a run of recipe {kept}, not {name}; leave the recipe out, or choose another folder"
        )
    return kept


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _other_run(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> str | None:
    """Return why a stored run is another one than some settings describe, or None if it is the same.

    The data are compared, too: a batch is a function of data, seed and step.
    """
    if stored.get("start") != settings["start"]:
        return f"the run began from {stored.get('start') or 'nothing'}; pass the same --init"
    if (teachers := _teacher_digests(stored)) != _teacher_digests(settings):
        return f"the run has the teachers {teachers or 'none'}; pass the same ones"
    if stored.get("split") != settings["split"]:
        return f"the run trains on split '{stored.get('split')}', not '{settings['split']}'; pass the same split"
    for before, now in zip_longest(manifests_of(stored), manifests_of(settings)):
        if now is None:
            return f"the run trains on {before.path}, too; pass all its manifests, in order"
        if before is None:
            return f"the run does not train on {now.path}; leave it out"
        if before.sha256 != now.sha256:
            return (
                f"{now.path} is not the run's manifest ({before.path}, SHA-256 {str(before.sha256)[:12]}…); "
                "pass the manifest it began with, or begin another run"
            )
        if before.share != now.share:
            return f"the run has the share {before.share} of {now.path}, not {now.share}; pass {before.argument}"
    return None


def _teacher_digests(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return name and digest of a run's teachers, by part."""
    teachers = settings.get("teachers")
    return {
        part: f"{teacher.get('name')} ({teacher.get('digest')})"
        for part, teacher in (teachers.items() if isinstance(teachers, Mapping) else ())
        if isinstance(teacher, Mapping)
    }


def _differences(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield the settings that differ, with stored and new value; what an older version did not store is equal."""
    for key, value in settings.items():
        if key not in _NOT_SETTINGS and key in stored:
            yield from _differ(stored[key], value, key)


def _differ(before: Any, now: Any, name: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping) and before.get("kind") == now.get("kind"):
        for key, value in now.items():
            if key in before:
                yield from _differ(before[key], value, f"{name}.{key}")
    elif before != now:
        yield name, (before, now)


def _named(differences: Mapping[str, tuple[Any, Any]], names: list[str]) -> str:
    shown = [
        f"{name} was {str(differences[name][0])[:200]}, is {str(differences[name][1])[:200]}"
        for name in names[:_MAX_NAMED]
    ]
    return "; ".join(shown) + (f"; and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else "")


def _compare_environment(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    before, now = _newest_environment(stored), settings["environment"]
    if before is None:
        return ["run.json does not record the threads and versions that the run had"]
    return [
        f"{key} was {str(before.get(key))[:200]}, is {value}" for key, value in now.items() if before.get(key) != value
    ]


def _newest_environment(stored: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = [stored.get("environment"), *(part.get("environment") for part in _resumed(stored))]
    known = [one for one in found if isinstance(one, Mapping)]
    return known[-1] if known else None


def _resumed(stored: Mapping[str, Any]) -> list[dict[str, Any]]:
    parts = stored.get("resumed")
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
