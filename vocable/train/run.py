"""Training runs: everything a recipe decides, and the function that trains one into a folder."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol, get_args, get_type_hints, runtime_checkable

import torch

from vocable.collective import world
from vocable.errors import CheckpointError, ConfigError, VocableError
from vocable.files import make_folder, sha256, write_json
from vocable.train.objective import Batches, Objective
from vocable.train.record import manifests_of
from vocable.train.trainer import TrainConfig, Trainer, join_processes

_Paths = Sequence[str | os.PathLike[str]]


@runtime_checkable
class Material(Batches, Protocol):
    """Training data that is ready to be batched."""

    @property
    def problems(self) -> Sequence[VocableError]:
        """Reasons why recordings were left out."""
        ...

    @property
    def hours(self) -> float:
        """Length of all recordings, in hours."""
        ...


@runtime_checkable
class QuestionableMaterial(Protocol):
    """Training data with recordings that may not match their manifest but are used all the same."""

    @property
    def doubts(self) -> Sequence[VocableError]:
        """Reasons for doubt."""
        ...


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

    def with_teachers(self, sources: Mapping[str, str], cache: str) -> "Run":
        """Return a copy of this run with the teacher checkpoints set.

        Args:
            sources: Folder or name of each teacher, by its part.
            cache: Folder where the teachers' features are kept.

        Raises:
            ConfigError: If the run has no such teacher.
        """
        if sources:
            raise ConfigError(f"this recipe has no teachers; leave {', '.join(sources)} out")
        return self

    def teachers(self) -> dict[str, dict[str, Any]]:
        """Return name, digest and more of each teacher, by its part, as ``run.json`` keeps them.

        Raises:
            ConfigError: If a teacher is not named yet.
            CheckpointError: If a teacher is not at hand.
        """
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
    settings = {
        **run_to_json(run),
        "data": [{"path": str(path), "sha256": sha256(Path(path))} for path in manifests if Path(path).is_file()],
        "split": split,
        "start": None if start is None else start.digest,
        "teachers": run.teachers(),
    }
    if rank == 0:  # which writes the file that is looked for
        _check_folder(settings, target, resume)
    if run.batches.batch_size % size:
        batch = run.batches.batch_size
        raise ConfigError(f"a batch of {batch} cannot be shared by {size} processes; choose a multiple")
    material = run.material(manifests, split)
    torch.manual_seed(run.train.seed)
    objective = run.objective(material, start)  # which may refuse: nothing is written before
    if rank == 0:
        for problem in material.problems:
            say(f"left out: {problem}")
        for doubt in material.doubts if isinstance(material, QuestionableMaterial) else ():
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
    """The same run with some values replaced; None keeps the recipe's.

    Args:
        run: From a recipe.
        steps: In the whole run.
        batch_size: Rows of the global batch.
        seed: Of weights, batches and all else that is random.
        precision: As in :class:`TrainConfig`.
        not_finite: As in :class:`TrainConfig`.
        teachers: ``PART=SOURCE`` of each, such as ``acoustic=resemblyzer``.
        cache: Folder where what they say of recordings is kept; ``teachers`` by default.

    Raises:
        ConfigError: A value is out of range, or the run has no such teacher.
    """
    if teachers or cache:
        run = run.with_teachers(dict(_named(teacher) for teacher in teachers), str(cache or "teachers"))
    for name, value, allowed in (("precision", precision, _choices("precision")),
                                 ("not_finite", not_finite, _choices("not_finite"))):  # fmt: skip
        if value is not None and value not in allowed:
            raise ConfigError(f"{name} is '{value}'; choose {' or '.join(allowed)}")
    asked = {"steps": steps, "seed": seed, "precision": precision, "not_finite": not_finite}
    train = replace(run.train, **{name: value for name, value in asked.items() if value is not None})  # type: ignore[arg-type]
    batches = replace(
        run.batches,
        batch_size=run.batches.batch_size if batch_size is None else batch_size,
        seed=run.batches.seed if seed is None else seed,
    )
    return replace(run, train=train, batches=batches)


def _named(teacher: str) -> tuple[str, str]:
    part, _, source = teacher.partition("=")
    if not part or not source:
        raise ConfigError(f"a teacher is '{teacher}'; write PART=SOURCE, such as acoustic=resemblyzer")
    return part, source


def _choices(name: str) -> tuple[str, ...]:
    return get_args(get_type_hints(TrainConfig)[name])


def run_to_json(run: Run) -> dict[str, Any]:
    """Return a run's settings as plain JSON values."""
    values = asdict(run)
    del values["find"]
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _check_folder(settings: Mapping[str, Any], folder: Path, resume: bool) -> None:
    """Refuse a folder that holds a run which these settings do not go on with."""
    known = folder / "run.json"
    if not known.exists():
        return
    if not resume:
        raise ConfigError(f"{folder}: holds a run already; pass --resume to go on with it, or choose another folder")
    try:
        before = json.loads(known.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{known}: cannot be read ({error})") from error
    if not isinstance(before, dict):
        raise CheckpointError(f"{known}: holds no settings; is this a run's folder?")
    if before.get("start") != settings["start"]:
        raise CheckpointError(f"{known}: the run began from {before.get('start') or 'nothing'}; pass the same --init")
    if (taught := _digests(before)) != _digests(settings):
        raise CheckpointError(f"{known}: the run was taught by {taught or 'nobody'}; give it the same teachers")
    for key in ("model", "batches"):
        if before.get(key) != settings[key]:
            raise CheckpointError(f"{known}: was made by a recipe with other '{key}' settings; resume with that recipe")
    _check_data(before, settings, known)


def _digests(settings: Mapping[str, Any]) -> dict[str, str]:
    """Of a run's teachers, by part; a run of before has none."""
    teachers = settings.get("teachers")
    teachers = teachers if isinstance(teachers, Mapping) else {}
    return {part: f"{one.get('name')} ({one.get('digest')})" for part, one in teachers.items()}


def _check_data(before: Mapping[str, Any], now: Mapping[str, Any], known: Path) -> None:
    """Refuse other data than a run began with: batches would no longer be those of its seed and step."""
    if before.get("split", now["split"]) != now["split"]:
        raise CheckpointError(
            f"{known}: the run learns from split '{before['split']}', not '{now['split']}'; give the same split"
        )
    for one, other in zip_longest(manifests_of(before), manifests_of(now)):
        if other is None:
            raise CheckpointError(f"{known}: the run learns from {one[0]} too; pass all its manifests, in order")
        if one is None:
            raise CheckpointError(f"{known}: the run does not learn from {other[0]}; leave it out")
        if one[1] not in (None, other[1]):  # None: a run of before, which kept no digest
            raise CheckpointError(
                f"{known}: {other[0]} is not what the run learns from ({one[0]}, SHA-256 {one[1][:12]}…); "
                "give it the manifest it began with, or begin another run"
            )
