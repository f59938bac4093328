"""A complete run, and how to start it."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch

from vocable.collective import world
from vocable.data.crops import CropConfig, Crops
from vocable.data.manifest import read_manifests
from vocable.errors import CheckpointError, ConfigError
from vocable.files import make_folder, write_json
from vocable.systems.guided.config import GuidedConfig
from vocable.systems.guided.model import GuidedModel
from vocable.systems.guided.objective import GuidedLosses, GuidedObjective
from vocable.train.trainer import TrainConfig, Trainer, join_processes, leave_processes


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides a run but its data. ``print`` shows every value."""

    model: GuidedConfig
    losses: GuidedLosses
    crops: CropConfig
    train: TrainConfig


def fit(run: Run, manifests: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str], *,
        split: str | None = "train", resume: bool = False, quiet: bool = False,
        say: Callable[[str], None] = print) -> None:  # fmt: skip
    """Train a run into a folder.

    Args:
        run: What to train, from a recipe.
        manifests: JSONL files; one named twice counts twice.
        folder: Gets ``run.json``, ``log.jsonl``, ``tensorboard/`` and ``checkpoints/``.
        split: Which split of the manifests; None takes every line.
        resume: Go on from the newest checkpoint in the folder.
        quiet: No progress bar.
        say: Gets lines about the data.

    Raises:
        ManifestError: No usable line.
        ConfigError: The folder already holds a run and ``resume`` was not asked for, or the batch does not divide.
        CheckpointError: The checkpoint to resume from cannot be used, or is another recipe's.
        TrainingError: A loss or gradient was not finite.
    """
    device = join_processes()
    rank, size = world()
    target = Path(folder)
    if rank == 0:  # which writes the file that is looked for
        _check_folder(run, target, resume)
    if run.crops.batch_size % size:
        raise ConfigError(f"a batch of {run.crops.batch_size} cannot be shared by {size} processes; choose a multiple")
    crops = Crops(
        read_manifests(manifests, split), run.crops, sample_rate=run.model.sample_rate, hop=run.model.spec.hop or 1
    )
    if rank == 0:
        for problem in crops.problems:
            say(f"left out: {problem}")
        say(f"{crops.hours:.2f} hours of speech; {size} process(es) on {device}")
        make_folder(target)
        write_json(target / "run.json", {**run_to_json(run), "data": [str(path) for path in manifests], "split": split})
    torch.manual_seed(run.train.seed)
    objective = GuidedObjective(GuidedModel(run.model), run.losses, seed=run.train.seed)
    trainer = Trainer(objective, crops, run.train, target, device=device, quiet=quiet)
    if resume and trainer.resume() and rank == 0:
        say(f"resumed at step {trainer.step}")
    trainer.run()
    leave_processes()


def override(run: Run, *, steps: int | None = None, batch_size: int | None = None, seed: int | None = None,
             precision: str | None = None, not_finite: str | None = None) -> Run:  # fmt: skip
    """The same run with some values replaced; None keeps the recipe's.

    Raises:
        ConfigError: A value is out of range.
    """
    for name, value, allowed in (("precision", precision, _choices("precision")),
                                 ("not_finite", not_finite, _choices("not_finite"))):  # fmt: skip
        if value is not None and value not in allowed:
            raise ConfigError(f"{name} is '{value}'; choose {' or '.join(allowed)}")
    asked = {"steps": steps, "seed": seed, "precision": precision, "not_finite": not_finite}
    train = replace(run.train, **{name: value for name, value in asked.items() if value is not None})  # type: ignore[arg-type]
    crops = replace(
        run.crops,
        batch_size=run.crops.batch_size if batch_size is None else batch_size,
        seed=run.crops.seed if seed is None else seed,
    )
    return replace(run, train=train, crops=crops)


def _choices(name: str) -> tuple[str, ...]:
    return get_args(get_type_hints(TrainConfig)[name])


def run_to_json(run: Run) -> dict[str, Any]:
    """A run as plain values."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(run)))
    return values


def _check_folder(run: Run, folder: Path, resume: bool) -> None:
    known = folder / "run.json"
    if not known.exists():
        return
    if not resume:
        raise ConfigError(f"{folder}: holds a run already; pass --resume to go on with it, or choose another folder")
    try:
        before = json.loads(known.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{known}: cannot be read ({error})") from error
    for key in ("model", "crops"):
        if before.get(key) != run_to_json(run)[key]:
            raise CheckpointError(f"{known}: was made by a recipe with other '{key}' settings; resume with that recipe")
