"""Training runs: everything a recipe decides, and the function that trains one into a folder."""

import os
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch

from vocable.collective import world
from vocable.device import move_all
from vocable.errors import ConfigError, VocableError
from vocable.files import exists, folder_exists, is_file, make_folder, remove_folder, sha256, write_json
from vocable.locks import lock_folder
from vocable.schema import to_json
from vocable.shares import split_shares
from vocable.train.card import card_text
from vocable.train.log import check_board
from vocable.train.objective import Batches, Objective
from vocable.train.resume import FORMAT, compare, compare_corpus, describe_environment, next_environments, read_run
from vocable.train.trainer import TrainConfig, Trainer, join_processes
from vocable.train.validation import Validation

NOT_SETTINGS = ("find", "recipe", "audio_cache")
"""Fields of a run that are no settings."""
AUDIO = "audio"
"""Folder for recordings in the cache of a run, beside the features of its teachers."""
_Paths = Sequence[str | os.PathLike[str]]
OpenValidation = Callable[["Run", Any], Validation | None]
"""Function from a run and its training data to its dev split; None if it has none."""


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
        recipe: Name of the recipe, for ``run.json``; None for a run that no recipe made.
        audio_cache: Folder of the lengths of recordings, and of those that must be decoded as a whole. It is no
            setting; None keeps nothing.
        makes_tokenizer: Whether its model is a tokenizer, which can be listened to.
        locations: Names of settings that say where a teacher or a cache lies. They may change when a run is resumed.
    """

    locations: ClassVar[tuple[str, ...]] = ()
    makes_tokenizer: ClassVar[bool] = True

    model: Any
    losses: Any
    batches: Any
    train: TrainConfig
    recipe: str | None = field(default=None, repr=False, compare=False)
    find: Callable[[str], Any] | None = field(default=None, repr=False, compare=False)
    audio_cache: Path | None = field(default=None, repr=False, compare=False)

    @abstractmethod
    def material(self, manifests: _Paths, split: str | None) -> Material:
        """Return the training data.

        Args:
            manifests: Paths of JSONL manifests, with shares (``a.jsonl:0.7``) or not; one named twice counts twice.
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

    def begin_from(self, init: str, load: Callable[[str], Any]) -> tuple["Run", Any]:
        """Return this run, and the model that training begins from.

        Args:
            init: Name or folder of a model, as ``--init`` takes it.
            load: Function that loads a tokenizer by name or folder, such as :func:`vocable.load`.

        Raises:
            CheckpointError: If there is no such model.
        """
        return self, load(init)

    def check_start(self, start: Any | None) -> None:  # noqa: B027 a hook, which most recipes need not use
        """Raise a ConfigError, before any data is read, if training cannot begin from a model, or without one."""

    def validation_material(self, utterances: Sequence[Any], material: Any) -> Batches:
        """Return batches of the dev split.

        Args:
            utterances: Utterances of the split, at least one.
            material: Training data, whose scales and inventories the batches have, too.

        Raises:
            VocableError: If none of them can be used.
        """
        make: Callable[[Sequence[Any]], Batches] | None = getattr(self, "material_of", None)
        if make is None:
            raise ConfigError("this recipe has no batches of single utterances")
        return make(utterances)

    def with_teachers(self, sources: Mapping[str, str], cache: str) -> "Run":
        """Return a copy of this run with the teacher checkpoints set.

        Args:
            sources: Folder or name of each teacher, by its part; an unknown part raises a ConfigError.
            cache: Folder where the teachers' features are kept.
        """
        if sources:
            raise ConfigError(f"this recipe has no teachers; leave {', '.join(sources)} out")
        return self

    def extractors(self) -> Mapping[str, Any]:
        """Return the frozen feature extractors whose results are kept, by the folder of each in the cache."""
        return {}

    def teachers(self) -> dict[str, dict[str, Any]]:
        """Return name, digest and more of each teacher, by its part, as ``run.json`` keeps them."""
        return {}


def fit(run: Run, manifests: _Paths, folder: str | os.PathLike[str], *,
        split: str | None = "train", start: Any | None = None, init: str | None = None,
        find: Callable[[str], Any] | None = None, validate: OpenValidation | None = None,
        resume: bool = False, allow_changes: bool = False, exact: bool = False,
        quiet: bool = False, tensorboard: bool | None = None, device: str | None = None,
        say: Callable[[str], None] = print) -> None:  # fmt: skip
    """Train a run into a folder.

    Args:
        run: Run to train, from a recipe.
        manifests: Paths of JSONL manifests, with shares (``a.jsonl:0.7``) or not; one named twice counts twice.
        folder: Folder that gets ``run.json``, ``log.jsonl``, ``tensorboard/`` and ``checkpoints/``.
        split: Split of the manifests to train on; None takes every line.
        start: Trained tokenizer to begin from; to be given again where the run is resumed.
        init: Name or folder that ``start`` was loaded from, for ``run.json``.
        find: Function that loads another tokenizer by name, for recipes whose targets are its tokens.
        validate: Function from the run and its training data to its dev split; None for no evaluation in training.
        resume: Whether to continue from the newest checkpoint in the folder. The manifests may have moved.
        allow_changes: Whether a run that is resumed may have other losses, learning rates and batches than before.
        exact: Whether a run is resumed only where it goes on bit for bit.
        quiet: Whether to hide the progress bar.
        tensorboard: Whether to write TensorBoard's files; by default if its package is installed.
        device: Torch device; a GPU where torch sees one, by default.
        say: Function that gets a line about the data.

    Raises:
        ManifestError: If no recording can be used.
        ConfigError: If the folder already holds a run and ``resume`` is false, or the batch does not divide.
        CheckpointError: If the checkpoint to resume from cannot be used, or is of another recipe or other data.
        MissingDependencyError: If TensorBoard's files are requested and its package is not installed.
        OutputError: If another process trains into the folder, or it cannot be written.
        TrainingError: If a loss or gradient is not finite.
        SystemExit: If a signal stopped the run, after its checkpoint is written; see :meth:`Trainer.run`.
    """
    device = join_processes(device)
    rank, size = world()
    target = Path(folder)
    run = run if find is None else replace(run, find=find)
    if run.audio_cache is None:
        run = replace(run, audio_cache=Path(getattr(run, "cache", None) or target / "teachers") / AUDIO)
    run.check_start(start)
    if tensorboard:
        check_board()
    settings = _describe_run(run, manifests, split, start, init) | {
        "environment": describe_environment(device, run.train.precision)
    }
    with ExitStack() as held:
        stored, is_locked = None, False
        if rank == 0:  # the rank that writes
            is_locked = _lock(target, held)
            stored = _read_stored(target, resume)
            if stored is not None:
                for line in compare(stored, settings, target / "run.json", locations=run.locations,
                                    allow_changes=allow_changes, exact=exact):  # fmt: skip
                    say(line)
        _check_shares(run, size)
        with _removed_if_refused(target) if rank == 0 and not exists(target) else nullcontext():
            material = run.material(manifests, split)
            settings |= {"corpus": getattr(material, "corpus", None)}
            for line in compare_corpus(stored or {}, settings, material.problems, target / "run.json", allow_changes):
                say(line)
            move_all(run.extractors().values(), device)
            torch.manual_seed(run.train.seed)
            objective = run.objective(material, start)  # may raise, so nothing is written before
            validation = None if validate is None else validate(run, material)
        if rank == 0:
            _describe_data(material, size, device, say)
            make_folder(target)
            is_locked = is_locked or _lock(target, held)
        trainer = Trainer(
            objective, material, run.train, target, device=device, quiet=quiet, tensorboard=tensorboard,
            validation=validation, card=partial(card_text, settings),
        )  # fmt: skip
        is_resumed = resume and trainer.resume()
        if rank == 0:
            write_json(target / "run.json", settings | next_environments(stored, settings, trainer.step))
            _describe_start(trainer, is_resumed, say)
        _train(trainer, say if rank == 0 else None, _resume_command(run, target, size))


def _check_shares(run: Run, size: int) -> None:
    """Raise a ConfigError if a batch cannot be divided among processes and their micro-batches."""
    batch, parts = run.batches.batch_size, run.train.accumulate
    if batch % size:
        raise ConfigError(f"a batch of {batch} cannot be shared by {size} processes; choose a multiple")
    if batch % (size * parts):
        raise ConfigError(
            f"train.accumulate is {parts}: {batch // size} clips of a process cannot be divided evenly; take a divisor"
        )


@contextmanager
def _removed_if_refused(folder: Path) -> Iterator[None]:
    """Remove a new folder if a run is refused that has written nothing into it but the cache of its audio."""
    try:
        yield
    except VocableError:
        if folder_exists(folder):
            remove_folder(folder)
        raise


def _lock(folder: Path, held: ExitStack) -> bool:
    """Lock a folder until the training ends; return False if there is no such folder yet."""
    if not folder_exists(folder):
        return False
    held.enter_context(lock_folder(folder, "training"))
    return True


def _describe_start(trainer: Trainer, is_resumed: bool, say: Callable[[str], None]) -> None:
    for problem in trainer.damaged:
        say(f"warning: {problem}; step {trainer.step} is used instead")
    if is_resumed:
        say(f"resumed at step {trainer.step}")


def _describe_run(
    run: Run, manifests: _Paths, split: str | None, start: Any | None, init: str | None
) -> dict[str, Any]:
    """Return what ``run.json`` keeps of a run, its data and what it begins from."""
    return {
        "format": FORMAT,
        "recipe": run.recipe,
        **run_to_json(run),
        "data": [
            {"path": str(path), "sha256": sha256(path), **({} if share is None else {"share": share})}
            for path, share in split_shares(manifests)
            if is_file(path)
        ],
        "split": split,
        "start": None if start is None else start.digest,
        "init": init,
        "teachers": run.teachers(),
    }


def _read_stored(folder: Path, resume: bool) -> dict[str, Any] | None:
    """Return the ``run.json`` of a folder; raise a ConfigError if there is one and the run is not to be resumed."""
    if not resume and exists(folder / "run.json"):
        raise ConfigError(f"{folder}: holds a run already; pass --resume to continue it, or choose another folder")
    return read_run(folder)


def _train(trainer: Trainer, say: Callable[[str], None] | None, command: str) -> None:
    """Train, and say how to go on if a signal stops the run."""
    try:
        trainer.run()
    except SystemExit:
        if say:
            say(f"to go on: {command}")
        raise


def _describe_data(material: Material, size: int, device: str, say: Callable[[str], None]) -> None:
    for problem in material.problems:
        say(f"left out: {problem}")
    for doubt in getattr(material, "doubts", ()):  # recordings that may not match their manifest, used all the same
        say(f"doubtful: {doubt}")
    say(f"{material.hours:.2f} hours of speech; {size} process(es) on {device}")


def _resume_command(run: Run, folder: Path, size: int) -> str:
    if run.recipe is None:
        return "call fit again, with resume=True"
    start = "vocable" if size == 1 else f"torchrun --nproc-per-node {size} -m vocable.cli.main"
    return f"{start} train --out {shlex.quote(str(folder))} --resume"


def run_to_json(run: Run) -> dict[str, Any]:
    """Return a run's settings as plain JSON values."""
    return {field.name: to_json(getattr(run, field.name)) for field in fields(run) if field.name not in NOT_SETTINGS}
