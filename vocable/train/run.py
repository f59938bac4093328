"""Training runs: everything a recipe decides, and the function that trains one into a folder."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from vocable.collective import world
from vocable.errors import CheckpointError, ConfigError, VocableError
from vocable.files import make_folder, sha256, write_json
from vocable.schema import read_object, to_json
from vocable.train.objective import Batches, Objective
from vocable.train.record import manifests_of
from vocable.train.trainer import TrainConfig, Trainer, join_processes

FORMAT = 2  # of run.json; vocable 0.1 wrote none
_Paths = Sequence[str | os.PathLike[str]]


@runtime_checkable
class Material(Batches, Protocol):
    """Training data that is ready to be batched."""

    @property
    def problems(self) -> Sequence[VocableError]:
        """Reasons why recordings were left out."""

    @property
    def hours(self) -> float:
        """Length of all recordings, in hours."""


@dataclass(frozen=True, kw_only=True)
class Run(ABC):
    """Everything that decides a training run except its data. Printing it shows every value.

    Each system has a subclass in its recipe module. They have in common:

    Attributes:
        model: Network sizes.
        losses: Losses: weights, schedules, stages.
        batches: How batches are made of recordings; has a ``batch_size`` and a ``seed``.
        train: Training configuration: steps, learning rate, precision.
        find: Function that loads another tokenizer by name, such as :func:`vocable.load`, for recipes whose targets are
            another tokenizer's tokens. It is no setting: ``run.json`` does not keep it.
    """

    model: Any
    losses: Any
    batches: Any
    train: TrainConfig
    find: Callable[[str], Any] | None = field(default=None, repr=False, compare=False)

    @abstractmethod
    def material(self, manifests: _Paths, split: str | None) -> Material:
        """Return the training data.

        Args:
            manifests: Paths of JSONL manifests; one named twice counts twice.
            split: Split of the manifests to train on; None takes every line.

        Raises:
            ManifestError: If no recording can be used.
        """

    @abstractmethod
    def objective(self, material: Any, start: Any | None = None) -> Objective:
        """Return the networks to train and their losses.

        Args:
            material: Training data, from :meth:`material`.
            start: Trained tokenizer of this system to begin from (:func:`vocable.load`); random weights by default.

        Raises:
            ConfigError: If ``start`` does not fit.
        """

    def check_start(self, start: Any | None) -> None:  # noqa: B027 a hook, which most recipes need not use
        """Raise a ConfigError, before any data is read, if training cannot begin from a model, or without one."""

    def with_teachers(self, sources: Mapping[str, str], cache: str) -> "Run":
        """Return a copy of this run with the teacher checkpoints set.

        Args:
            sources: Folder or name of each teacher, by its part; an unknown part raises a ConfigError.
            cache: Folder where the teachers' features are kept.
        """
        if sources:
            raise ConfigError(f"this recipe has no teachers; leave {', '.join(sources)} out")
        return self

    def teachers(self) -> dict[str, dict[str, Any]]:
        """Return name, digest and more of each teacher, by its part, as ``run.json`` keeps them."""
        return {}


def fit(run: Run, manifests: _Paths, folder: str | os.PathLike[str], *,
        split: str | None = "train", start: Any | None = None, find: Callable[[str], Any] | None = None,
        resume: bool = False, quiet: bool = False, say: Callable[[str], None] = print) -> None:  # fmt: skip
    """Train a run into a folder.

    Args:
        run: Run to train, from a recipe.
        manifests: Paths of JSONL manifests; one named twice counts twice.
        folder: Folder that gets ``run.json``, ``log.jsonl``, ``tensorboard/`` and ``checkpoints/``.
        split: Split of the manifests to train on; None takes every line.
        start: Trained tokenizer to begin from; to be given again where the run is resumed.
        find: Function that loads another tokenizer by name, for recipes whose targets are its tokens.
        resume: Whether to continue from the newest checkpoint in the folder. The manifests may have moved.
        quiet: Whether to hide the progress bar.
        say: Function that gets a line about the data.

    Raises:
        ManifestError: If no recording can be used.
        ConfigError: If the folder already holds a run and ``resume`` is false, or the batch does not divide.
        CheckpointError: If the checkpoint to resume from cannot be used, or is of another recipe or other data.
        TrainingError: If a loss or gradient is not finite.
    """
    device = join_processes()
    rank, size = world()
    target = Path(folder)
    run = run if find is None else replace(run, find=find)
    run.check_start(start)
    settings = {
        "format": FORMAT,
        **run_to_json(run),
        "data": [{"path": str(path), "sha256": sha256(Path(path))} for path in manifests if Path(path).is_file()],
        "split": split,
        "start": None if start is None else start.digest,
        "teachers": run.teachers(),
    }
    if rank == 0:  # the rank that writes the file
        _check_folder(settings, target, resume)
    if run.batches.batch_size % size:
        batch = run.batches.batch_size
        raise ConfigError(f"a batch of {batch} cannot be shared by {size} processes; choose a multiple")
    material = run.material(manifests, split)
    torch.manual_seed(run.train.seed)
    objective = run.objective(material, start)  # may raise, so nothing is written before
    if rank == 0:
        for problem in material.problems:
            say(f"left out: {problem}")
        for doubt in getattr(material, "doubts", ()):  # recordings that may not match their manifest, used all the same
            say(f"doubtful: {doubt}")
        say(f"{material.hours:.2f} hours of speech; {size} process(es) on {device}")
        make_folder(target)
        write_json(target / "run.json", settings)
    trainer = Trainer(objective, material, run.train, target, device=device, quiet=quiet)
    if resume and trainer.resume() and rank == 0:
        say(f"resumed at step {trainer.step}")
    trainer.run()


def override(run: Run, *, steps: int | None = None, batch_size: int | None = None, seed: int | None = None,
             precision: str | None = None, not_finite: str | None = None, teachers: Sequence[str] = (),
             cache: Path | None = None) -> Run:  # fmt: skip
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

    Raises:
        ConfigError: If a value is out of range, or the run has no such teacher.
    """
    if teachers or cache:
        sources = {}
        for teacher in teachers:
            part, _, source = teacher.partition("=")
            if not part or not source:
                raise ConfigError(f"a teacher is '{teacher}'; write PART=SOURCE, such as acoustic=resemblyzer")
            sources[part] = source
        run = run.with_teachers(sources, str(cache or "teachers"))
    given = {"steps": steps, "seed": seed, "precision": precision, "not_finite": not_finite}
    train = replace(run.train, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    given = {"batch_size": batch_size, "seed": seed}
    batches = replace(run.batches, **{name: value for name, value in given.items() if value is not None})
    return replace(run, train=train, batches=batches)


def run_to_json(run: Run) -> dict[str, Any]:
    """Return a run's settings as plain JSON values."""
    return {field.name: to_json(getattr(run, field.name)) for field in fields(run) if field.name != "find"}


def _check_folder(settings: Mapping[str, Any], folder: Path, resume: bool) -> None:
    """Raise an error if the folder holds a run that these settings do not continue."""
    file = folder / "run.json"
    if not file.exists():
        return
    if not resume:
        raise ConfigError(f"{folder}: holds a run already; pass --resume to continue it, or choose another folder")
    stored = read_object(file, advice="is this a run's folder?")
    if (version := stored.get("format")) != FORMAT:
        made = "by vocable 0.1" if version is None else f"in format {version}"
        raise CheckpointError(
            f"{file}: this run was begun {made} and cannot be resumed; train into another folder, with --init {folder} "
            "to start from its newest weights"
        )
    if problem := _difference(stored, settings):
        raise CheckpointError(f"{file}: {problem}")


def _difference(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> str | None:
    """Return why a stored run cannot be resumed with some settings, or None if it can.

    The data are compared, too: a batch is a function of data, seed and step.
    """
    if stored.get("start") != settings["start"]:
        return f"the run began from {stored.get('start') or 'nothing'}; pass the same --init"
    if (teachers := _teacher_digests(stored)) != _teacher_digests(settings):
        return f"the run has the teachers {teachers or 'none'}; pass the same ones"
    for key in ("model", "batches"):
        if stored.get(key) != settings[key]:
            return f"the run's recipe has other '{key}' settings; resume with that recipe"
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
    return None


def _teacher_digests(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return name and digest of a run's teachers, by part."""
    teachers = settings.get("teachers")
    return {
        part: f"{teacher.get('name')} ({teacher.get('digest')})"
        for part, teacher in (teachers.items() if isinstance(teachers, Mapping) else ())
        if isinstance(teacher, Mapping)
    }
