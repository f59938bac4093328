"""Names and folders to tokenizers."""

import json
import os
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from vocable.errors import CheckpointError, ConfigError
from vocable.folder import boxed
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.systems.supervised.tokenizer import SupervisedTokenizer
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.train import checkpoint

SYSTEMS: dict[str, Any] = {
    "ctap": CtapTokenizer, "guided": GuidedTokenizer, "supervised": SupervisedTokenizer, "taste": TasteTokenizer,
    "vqalattent": VqalattentTokenizer,
}  # fmt: skip


def load(name: str | os.PathLike[str], device: str = "cpu", vocoder: str | None = None) -> Any:
    """A tokenizer by the name of a model in the box, or from a folder; its class is its system's.

    Args:
        name: A name from :func:`released`, a model's folder, or a run's folder (its newest checkpoint is taken).
        device: Where the network goes: ``cpu``, ``cuda``.
        vocoder: For systems that decode to spectra: a name or folder, see :func:`vocable.vocoders.find_vocoder`. The
            best there is by default.

    Raises:
        CheckpointError: There is no such model, or its files are missing, altered or of another version.
        ConfigError: There is no such vocoder, it takes other spectra, or the system takes none.

    Example:
        >>> load("guided-small").spec.bit_rate
        4000.0
    """
    folder, system = _found(name)
    read = SYSTEMS[system].load
    if "load" in signature(read).parameters:  # it needs another model to decode, and finds it where this one was found
        read = partial(read, load=load)
    if vocoder is None:
        return read(folder, device)
    if "vocoder" not in signature(read).parameters:
        raise ConfigError(f"{name}: a {system} model makes samples itself and takes no vocoder; leave it out")
    return read(folder, device, vocoder=vocoder)


def folder_of(name: str | os.PathLike[str]) -> Path:
    """Where a model lies: its folder in the box, its own, or a run's newest checkpoint.

    Raises:
        CheckpointError: As :func:`load`.

    Example:
        >>> folder_of("guided-small").name
        'guided-small'
    """
    return _found(name)[0]


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
    """Names of the tokenizers in the box."""
    return list(boxed(*SYSTEMS))


def _found(name: str | os.PathLike[str]) -> tuple[Path, str]:
    """A model's folder and its system."""
    folder = Path(name)
    if not folder.exists():
        folder = boxed(*SYSTEMS).get(str(name), folder)
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
