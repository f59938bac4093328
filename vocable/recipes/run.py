"""A complete run, and how to start it."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol, get_args, get_type_hints, runtime_checkable

import torch

from vocable.collective import world
from vocable.data.manifest import Utterance, read_manifests
from vocable.errors import CheckpointError, ConfigError, VocableError
from vocable.files import make_folder, sha256, write_json
from vocable.recipes.record import manifests_of
from vocable.train.objective import Batches, Objective
from vocable.train.trainer import TrainConfig, Trainer, join_processes


@runtime_checkable
class Material(Batches, Protocol):
    """Recordings that are ready to be learnt from."""

    @property
    def problems(self) -> Sequence[VocableError]:
        """Why recordings were left out."""
        ...

    @property
    def hours(self) -> float:
        """Speech to draw from."""
        ...


@runtime_checkable
class Doubting(Protocol):
    """Recordings of which some may not be what their manifest says, and are learnt from all the same."""

    @property
    def doubts(self) -> Sequence[VocableError]:
        """Why."""
        ...


@dataclass(frozen=True, kw_only=True)
class Run(ABC):
    """Everything that decides a run but its data. ``print`` shows every value.

    Each system has its own kind of run, beside its recipes. What they have in common:

    Attributes:
        model: Sizes of the networks.
        losses: What is learnt: weights, schedules, stages.
        batches: How batches are made of recordings; has a ``batch_size`` and a ``seed``.
        train: Steps, learning rate, precision.
    """

    model: Any
    losses: Any
    batches: Any
    train: TrainConfig

    @abstractmethod
    def material(self, utterances: Sequence[Utterance]) -> Material:
        """The batches that the run learns from.

        Raises:
            ManifestError: No utterance can be used.
        """

    @abstractmethod
    def objective(self, material: Any, start: Any | None = None) -> Objective:
        """What learns from them, with fresh networks.

        Args:
            material: As :meth:`material` made it.
            start: A trained tokenizer to begin from (:func:`vocable.load`), of this system.

        Raises:
            ConfigError: ``start`` does not fit.
        """

    def taught(self, sources: Mapping[str, str], cache: str) -> "Run":
        """The same run with its teachers named.

        Args:
            sources: Folder or name of each, by the part it plays.
            cache: Folder where what they say of recordings is kept.

        Raises:
            ConfigError: The run has no such teacher.
        """
        if sources:
            raise ConfigError(f"this recipe has no teachers; leave {', '.join(sources)} out")
        return self

    def teachers(self) -> dict[str, dict[str, Any]]:
        """Name, digest and more of each teacher, by the part it plays: what ``run.json`` keeps.

        Raises:
            ConfigError: One is not named yet.
            CheckpointError: One is not at hand.
        """
        return {}


def fit(run: Run, manifests: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str], *,
        split: str | None = "train", start: Any | None = None, resume: bool = False, quiet: bool = False,
        say: Callable[[str], None] = print) -> None:  # fmt: skip
    """Train a run into a folder.

    Args:
        run: What to train, from a recipe.
        manifests: JSONL files; one named twice counts twice.
        folder: Gets ``run.json``, ``log.jsonl``, ``tensorboard/`` and ``checkpoints/``.
        split: Which split of the manifests; None takes every line.
        start: A trained tokenizer to begin from; to be given again where the run is resumed.
        resume: Go on from the newest checkpoint in the folder, with the same data; they may have moved.
        quiet: No progress bar.
        say: Gets lines about the data.

    Raises:
        ManifestError: No usable line.
        ConfigError: The folder already holds a run and ``resume`` was not asked for, or the batch does not divide.
        CheckpointError: The checkpoint to resume from cannot be used, or is of another recipe or other data.
        TrainingError: A loss or gradient was not finite.
    """
    device = join_processes()
    rank, size = world()
    target = Path(folder)
    utterances = read_manifests(manifests, split)
    settings = {
        **run_to_json(run),
        "data": [{"path": str(path), "sha256": sha256(Path(path))} for path in manifests],
        "split": split,
        "start": None if start is None else start.digest,
        "teachers": run.teachers(),
    }
    if rank == 0:  # which writes the file that is looked for
        _check_folder(settings, target, resume)
    if run.batches.batch_size % size:
        batch = run.batches.batch_size
        raise ConfigError(f"a batch of {batch} cannot be shared by {size} processes; choose a multiple")
    material = run.material(utterances)
    torch.manual_seed(run.train.seed)
    objective = run.objective(material, start)  # which may refuse: nothing is written before
    if rank == 0:
        for problem in material.problems:
            say(f"left out: {problem}")
        for doubt in material.doubts if isinstance(material, Doubting) else ():
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
        run = run.taught(dict(_named(teacher) for teacher in teachers), str(cache or "teachers"))
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
    """A run as plain values."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(run)))
    return values


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
