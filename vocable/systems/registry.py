"""Registry of systems and recipes, and the function that loads a tokenizer by name or folder.

Another package registers a system by an entry point of the group ``vocable.systems`` that names its
:class:`~vocable.systems.base.System`, and recipes of its own by the group ``vocable.recipes``.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

from vocable.arguments import check_arguments
from vocable.device import check_device
from vocable.errors import CheckpointError, ConfigError
from vocable.files import exists, folder_exists, is_file
from vocable.folder import ModelFile, bundled
from vocable.plugins import load_entry_point
from vocable.schema import read_json
from vocable.systems.base import BaseTokenizer, BeamWidth, System
from vocable.systems.ctap.recipe import SYSTEM as CTAP
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.systems.guided.recipe import SYSTEM as GUIDED
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.systems.supervised.recipe import SYSTEM as SUPERVISED
from vocable.systems.supervised.tokenizer import SupervisedTokenizer
from vocable.systems.taste.recipe import SYSTEM as TASTE
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.systems.vqalattent.recipe import SYSTEM as VQALATTENT
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.tokens import Provenance, Tokens
from vocable.train import checkpoint
from vocable.train.run import Run
from vocable.vocoders.recipe import RECIPES as VOCODERS
from vocable.write_rules import protect

_BUILT_IN = (GUIDED, VQALATTENT, CTAP, TASTE, SUPERVISED)
_Path = str | os.PathLike[str]
_MAX_SHOWN = 100  # characters of a name in a message
_Tokenizer = TypeVar("_Tokenizer", bound=BaseTokenizer[Any])


@cache
def systems() -> dict[str, System]:
    """Return every system by name: the built-in ones, and those that other packages register.

    Raises:
        ConfigError: If a registered record cannot be imported, is no :class:`~vocable.systems.base.System`, or its name
            is taken.

    Example:
        >>> systems()["ctap"].title
        'VQ-CTAP'
    """
    found = {system.name: system for system in _BUILT_IN}
    for point in entry_points(group="vocable.systems"):
        record = load_entry_point(point)
        if not isinstance(record, System) or record.name in found:
            package = point.dist.name if point.dist else "unknown"
            raise ConfigError(
                f"entry point '{point.name}' ({point.value}) of package '{package}' is no System with a new name; "
                "correct or uninstall the package"
            )
        found[record.name] = record
    return found


@cache
def recipes() -> dict[str, Callable[[], Run]]:
    """Return every training recipe by name: those of systems and vocoders, and those that other packages register."""
    found = {name: recipe for system in systems().values() for name, recipe in system.recipes.items()}
    found |= VOCODERS
    return found | {point.name: load_entry_point(point) for point in entry_points(group="vocable.recipes")}


def find_recipe(name: str) -> Run:
    """Return the run that a recipe describes.

    Raises:
        ConfigError: If there is no such recipe.

    Example:
        >>> find_recipe("guided-small").model.num_codebooks
        8
    """
    if name not in recipes():
        raise ConfigError(f"there is no recipe '{name}'; choose one of {', '.join(recipes())}")
    return replace(recipes()[name](), recipe=name)


def models_for(use: str) -> str:
    """Return an example of each system with a use (see :class:`~vocable.systems.base.System`), for messages.

    Example:
        >>> models_for("generate")
        'vqalattent-fsdd'
    """
    return " or ".join(system.example for system in systems().values() if use in system.uses)


@overload
def load(
    name: Literal["guided-small"], device: str = "cpu", vocoder: None = None, beam: int = 1
) -> GuidedTokenizer: ...
@overload
def load(name: Literal["ctap-small"], device: str = "cpu", vocoder: str | None = None) -> CtapTokenizer: ...
@overload
def load(name: Literal["supervised-small"], device: str = "cpu", vocoder: str | None = None) -> SupervisedTokenizer: ...
@overload
def load(name: Literal["taste-small"], device: str = "cpu", vocoder: None = None, beam: int = 1) -> TasteTokenizer: ...
@overload
def load(name: Literal["vqalattent-fsdd"], device: str = "cpu", vocoder: str | None = None) -> VqalattentTokenizer: ...
@overload
def load(name: _Path, device: str = "cpu", vocoder: str | None = None, beam: int = 1) -> BaseTokenizer[Any]: ...
@check_arguments
def load(name: _Path, device: str = "cpu", vocoder: str | None = None, beam: BeamWidth = 1) -> BaseTokenizer[Any]:
    """Load a tokenizer: a bundled model by name, or a model's or run's folder.

    Args:
        name: Name of a bundled model (:func:`released`), or path of a model's folder or of a run's folder, whose newest
            checkpoint is taken.
        device: Torch device of the networks: ``cpu``, ``cuda``.
        vocoder: Name or folder of a vocoder, for systems that decode to spectra; see
            :func:`vocable.vocoders.find_vocoder`. The best bundled one by default.
        beam: Number of paths of the search for ids, for models with residual levels; see
            :attr:`~vocable.systems.base.BaseTokenizer.beam`. With 8, encoding takes 2.3 times as long.

    Raises:
        CheckpointError: If there is no such model, or its files are missing, altered or of another version.
        ConfigError: If there is no such device or vocoder, it takes other spectra, the system takes none, or ``beam``
            is more than 1 and the model has no residual levels.

    Example:
        >>> load("guided-small").spec.bit_rate
        4000.0
    """
    check_device(device)
    folder, system = _find(name)
    tokenizer = system.tokenizer.load(folder, device, vocoder=vocoder, find=load)
    tokenizer.name = _name_hint(name)
    tokenizer.beam = beam
    return tokenizer


def load_for(tokens: Tokens, device: str = "cpu") -> BaseTokenizer[Any]:
    """Load the bundled tokenizer that made some tokens. The digest decides; the name that they carry is tried first.

    Raises:
        CheckpointError: If no bundled model has this digest.

    Example:
        >>> from vocable.testing import speechlike
        >>> load_for(load("guided-small").encode(speechlike(640))).name
        'guided-small'
    """
    hint = tokens.provenance.model
    for name in sorted(released(), key=lambda name: name != hint):
        if tokens.tokenizer in _digests(name):
            return load(name, device)
    called = f", which calls itself '{hint}'," if hint else ""
    raise CheckpointError(
        f"these tokens were made by tokenizer {tokens.tokenizer[:23]}{called} and no bundled model has this digest; "
        "name the model that made them, or its folder (at the command line: --model)"
    )


@cache
def _digests(name: str) -> frozenset[str]:
    tokenizer = load(name)
    return frozenset((tokenizer.digest, *tokenizer.aliases))


def _name_hint(name: _Path) -> str | None:
    """Return the name of a bundled model or of a folder, None where a token file cannot hold it."""
    try:
        return Provenance(model=str(name) if name in released() else Path(name).resolve().name).model
    except (ConfigError, OSError):
        return None


def load_as(name: _Path, kind: type[_Tokenizer], device: str = "cpu", *, beam: BeamWidth = 1) -> _Tokenizer:
    """Load a tokenizer of one class; a model of another system raises a ConfigError. See :func:`load`."""
    tokenizer = load(name, device, beam=beam)
    if not isinstance(tokenizer, kind):
        raise ConfigError(f"{name}: is a {type(tokenizer).__name__}, expected a {kind.__name__}; take another model")
    return tokenizer


def folder_of(name: _Path) -> Path:
    """Return the folder of a model: a bundled one, its own, or a run's newest checkpoint; see :func:`load`.

    Example:
        >>> folder_of("guided-small").name
        'guided-small'
    """
    return _find(name)[0]


def system_of(name: _Path) -> System:
    """Return the system that a model belongs to; see :func:`load`.

    Example:
        >>> system_of("guided-small").name
        'guided'
    """
    return _find(name)[1]


def released() -> list[str]:
    """Return the names of the bundled tokenizers."""
    return list(bundled(*systems()))


def _find(name: _Path) -> tuple[Path, System]:
    folder = Path(name)
    if not exists(folder):
        folder = bundled(*systems()).get(str(name), folder)
    if not folder_exists(folder):
        if str(name) in recipes():
            raise CheckpointError(
                f"{name}: is a recipe, and no trained model of that name is here; train it: vocable train {name} "
                f"--data MANIFEST --out RUN, then give RUN; or take one of: {', '.join(released())}"
            )
        shown = str(name) if len(str(name)) <= _MAX_SHOWN else f"{str(name)[:_MAX_SHOWN]}…"
        raise CheckpointError(f"{shown}: no such model; give a folder, or one of: {', '.join(released())}")
    newest = checkpoint.steps(folder / "checkpoints")
    if newest:
        folder = newest[-1]
        _verify(folder, newest[:-1])
    elif is_file(folder / "run.json") and not exists(folder / "model.json"):
        raise CheckpointError(
            f"{folder}: this run has no checkpoint yet; wait for its first one, or go on: vocable train --out {folder} "
            "--resume"
        )
    described = read_json(folder / "model.json", ModelFile, advice="is this a model's or a run's folder?")
    protect(folder.iterdir())
    if described.system not in systems():
        raise CheckpointError(
            f"{folder / 'model.json'}: system '{described.system}' is not registered; install its package, or take a "
            f"model of one of: {', '.join(systems())}"
        )
    return folder, systems()[described.system]


def _verify(newest: Path, earlier: Sequence[Path]) -> None:
    """Check a run's newest checkpoint; the error names the one before, whose tokens are another tokenizer's."""
    try:
        checkpoint.verify(newest)
    except CheckpointError as error:
        advice = f"; or use the one before: {earlier[-1]}" if earlier else ""
        raise CheckpointError(f"{error}{advice}") from error
