"""Plans of trainings: a recipe with changes, or what a run's folder holds."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vocable.errors import ConfigError, ManifestError
from vocable.files import exists, is_file
from vocable.train.overrides import override
from vocable.train.record import manifests_of
from vocable.train.resume import read_run, stored_recipe
from vocable.train.run import AUDIO, Run
from vocable.train.settings import parse_assignments, read_settings, restore_settings

ALL = "all"
"""Name of a split that takes every line of a manifest."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Arguments of :func:`vocable.train.run.fit`.

    Attributes:
        run: Run to train.
        manifests: Absolute paths of its manifests, with their shares.
        split: Split of the manifests; None takes every line.
        init: Name or folder of the model to begin from; None for random weights.
    """

    run: Run
    manifests: list[Path]
    split: str | None
    init: str | None


def plan_training(
    folder: Path, find_recipe: Callable[[str], Run], *, recipe: str | None = None, manifests: Sequence[Path] = (),
    split: str | None = None, init: str | None = None, resume: bool = False, cache: Path | None = None,
    config: Path | None = None, assignments: Sequence[str] = (), **values: Any,
) -> TrainingPlan:  # fmt: skip
    """Return what to train. A run that is resumed keeps everything that is not named here.

    Args:
        folder: Folder of the run.
        find_recipe: Function from the name of a recipe to its run.
        recipe: Name of the recipe; the stored one where a run is resumed.
        manifests: JSONL manifests, with shares or not; the stored ones where a run is resumed.
        split: Split of the manifests, ``train`` by default; ``all`` takes every line.
        init: Name or folder of a model to begin from.
        resume: Whether to go on with the run in the folder, if there is one.
        cache: Folder of the teachers' features; ``teachers`` in the run's folder by default.
        config: TOML or YAML file of settings.
        assignments: Settings as ``NAME=VALUE``, which win over the file's.
        values: More arguments of :func:`vocable.train.overrides.override`.

    Raises:
        ConfigError: If something is missing that is not stored, or a setting cannot be used.
        ManifestError: If a stored manifest is no longer there.
        CheckpointError: If the stored run cannot be read.
    """
    stored = read_run(folder) if resume else None
    if stored is None:
        if recipe is None or not manifests:
            missing = (
                "RECIPE and --data" if recipe is None and not manifests else "RECIPE" if recipe is None else "--data"
            )
            there = f"{folder} holds no run to resume" if resume else "a new run has no recipe or data of its own"
            raise ConfigError(f"{there}; pass {missing} (vocable recipes lists the recipes)")
        run, cache = find_recipe(recipe), cache or folder / "teachers"
    else:
        file = folder / "run.json"
        run = restore_settings(find_recipe(stored_recipe(stored, recipe, folder)), stored, str(file))
        manifests = manifests or _stored_manifests(stored, file)
        split = split or stored.get("split") or ALL
        init = init or stored.get("init")
        if stored.get("start") and init is None:
            raise ConfigError(f"{file}: the run began from a model that is not named here; pass the same --init")
    changes = ({} if config is None else read_settings(run, config)) | parse_assignments(run, assignments)
    run = override(
        run, settings=changes, cache=None if cache is None else Path(os.path.abspath(cache)), scale=stored is None,  # noqa: PTH100
        **values,
    )  # fmt: skip
    if cache is not None:
        run = replace(run, audio_cache=Path(os.path.abspath(cache)) / AUDIO)  # noqa: PTH100
    return TrainingPlan(
        run=run, manifests=[Path(os.path.abspath(path)) for path in manifests],  # noqa: PTH100
        split=None if split == ALL else split or "train",
        init=None if init is None else _absolute(init),
    )  # fmt: skip


def _absolute(init: str) -> str:
    """Return a model's folder, also behind ``cosyvoice:``, as an absolute path; the name itself if there is none."""
    kind, colon, place = init.partition(":")
    if exists(Path(init)):
        return os.path.abspath(init)  # noqa: PTH100
    return f"{kind}:{os.path.abspath(place)}" if colon and exists(Path(place)) else init  # noqa: PTH100


def _stored_manifests(stored: dict[str, Any], file: Path) -> list[Path]:
    entries = manifests_of(stored)
    for path in (entry.path for entry in entries):
        if not is_file(Path(path)):
            raise ManifestError(f"{file}: its manifest {path} is not there; pass --data with the path that it has now")
    return [Path(entry.argument) for entry in entries]
