"""Names and folders to tokenizers."""

import json
import os
from importlib.resources import files
from pathlib import Path

from vocable.errors import CheckpointError
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.train import checkpoint

SYSTEMS = {"guided": GuidedTokenizer}


def load(name: str | os.PathLike[str], device: str = "cpu") -> GuidedTokenizer:
    """A tokenizer by the name of a model in the box, or from a folder.

    Args:
        name: A name from :func:`released`, a model's folder, or a run's folder (its newest checkpoint is taken).
        device: Where the network goes: ``cpu``, ``cuda``.

    Raises:
        CheckpointError: There is no such model, or its files are missing, altered or of another version.

    Example:
        >>> load("guided-small").spec.bit_rate
        4000.0
    """
    folder, system = _found(name)
    return SYSTEMS[system].load(folder, device)


def system_of(name: str | os.PathLike[str]) -> str:
    """The system that a model belongs to.

    Raises:
        CheckpointError: As :func:`load`.

    Example:
        >>> system_of("guided-small")
        'guided'
    """
    return _found(name)[1]


def released() -> list[str]:
    """Names of the models in the box."""
    box = _box()
    return sorted(entry.name for entry in box.iterdir() if (entry / "model.json").is_file()) if box.is_dir() else []


def _box() -> Path:
    return Path(str(files("vocable"))) / "models"


def _found(name: str | os.PathLike[str]) -> tuple[Path, str]:
    """A model's folder and its system."""
    folder = Path(name)
    if not folder.exists() and str(name) in released():
        folder = _box() / str(name)
    if not folder.is_dir():
        raise CheckpointError(f"{name}: no such model; give a folder, or one of: {', '.join(released())}")
    newest = checkpoint.steps(folder / "checkpoints")
    if newest:
        folder = newest[-1]
        checkpoint.verify(folder)
    try:
        system = json.loads((folder / "model.json").read_text(encoding="utf-8"))["system"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{folder / 'model.json'}: cannot be used ({error}); is this a model's or a run's folder?"
        ) from error
    if not isinstance(system, str) or system not in SYSTEMS:
        raise CheckpointError(f"{folder / 'model.json'}: names no system this vocable knows: {', '.join(SYSTEMS)}")
    return folder, system
