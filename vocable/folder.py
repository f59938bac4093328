"""Model folders: ``model.json`` describes a network, ``model.safetensors`` holds its weights, and a digest joins them.

```text
model.json          {"system", "format": 2, "digest", "aliases", "config"}
model.safetensors   the state dict, as float32 or float16
```

Nothing in a folder can run code, and weights whose digest differs are refused. Folders of format 1, which vocable 0.1
wrote, are read through a :class:`Migration`; the digest they had stays valid as an alias of the new one.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import torch
from pydantic import Field, JsonValue
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vocable.errors import CheckpointError, VocableError
from vocable.files import check_regular, exists, reason_of, write_folder, write_json, write_whole
from vocable.schema import config, read_json

FORMAT = 2
_ADVICE = "copy the model again"
_Network = TypeVar("_Network", bound=nn.Module)


@config
class ModelFile:
    """Contents of ``model.json``.

    Attributes:
        system: Name of the system that reads the folder.
        format: Version of the layout.
        digest: Digest of configuration and weights, see :func:`digest_of`.
        config: Configuration of the network, as its system wrote it.
        aliases: Digests that the same weights had under earlier formats. Tokens that carry one are accepted.
    """

    system: Annotated[str, Field(max_length=100)]
    format: int
    digest: str
    config: dict[str, JsonValue]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Migration:
    """Rules that turn a model folder of format 1 into one of format 2.

    Attributes:
        config: Function from the configuration as vocable 0.1 wrote it to that of today.
        tensors: Pairs of a regular expression and its replacement, applied in order to the names of the state dict.
    """

    config: Callable[[dict[str, Any]], dict[str, Any]]
    tensors: Sequence[tuple[str, str]] = ()

    def rename(self, name: str) -> str:
        r"""Return today's name of a tensor.

        Example:
            >>> Migration(config=dict, tensors=[(r"^enter\.", "in_proj.")]).rename("enter.weight")
            'in_proj.weight'
        """
        for pattern, replacement in self.tensors:
            name = re.sub(pattern, replacement, name)
        return name


@dataclass(frozen=True)
class StoredModel(Generic[_Network]):
    """A network that was read from a folder, as float32, and digests of its weights under earlier formats."""

    network: _Network
    aliases: tuple[str, ...]


def write_model(
    folder: str | os.PathLike[str], system: str, config: Mapping[str, Any], network: nn.Module, *,
    half: bool = False, aliases: Sequence[str] = (), beside: Callable[[Path, str], None] | None = None,
) -> None:  # fmt: skip
    """Write a model folder.

    Args:
        folder: Path of the folder; created if missing.
        system: Name of the system that reads it.
        config: JSON values from which :func:`read_model` builds the network.
        network: Network whose state dict is written.
        half: Whether to store float16. Where that changes a weight, the folder holds another model with another digest.
        aliases: Earlier digests of these very weights; left out where ``half`` changes a weight.
        beside: Function that writes files beside the weights, given the folder and the digest.

    Raises:
        OutputError: If the folder cannot be written.
    """
    target = Path(folder)
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    digest = exact = digest_of(config, tensors)
    if half:
        tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
        digest = digest_of(config, tensors)
    kept = list(aliases) if digest == exact else []
    described = {"system": system, "format": FORMAT, "digest": digest, "aliases": kept, "config": dict(config)}

    def put(place: Path) -> None:
        write_whole(place / "model.safetensors", lambda path: save_file(tensors, path))
        write_json(place / "model.json", described)
        if beside is not None:
            beside(place, digest)

    if exists(target):  # a folder that may hold other files, too
        put(target)
    else:
        write_folder(target, put)


def read_model(
    folder: str | os.PathLike[str], build: Callable[[dict[str, Any]], _Network], device: str = "cpu",
    migration: Migration | None = None,
) -> StoredModel[_Network]:  # fmt: skip
    """Read a model folder.

    Args:
        folder: Path of a folder that :func:`write_model` wrote.
        build: Function from the folder's configuration to the network.
        device: Torch device of the network.
        migration: Rules for a folder of format 1; None where nothing has changed since.

    Raises:
        CheckpointError: If a file is missing, altered or of another version.
    """
    source = Path(folder)
    described = read_json(source / "model.json", ModelFile, advice=_ADVICE)
    if described.format not in (1, FORMAT):
        raise CheckpointError(
            f"{source}: model format {described.format}, this vocable reads 1 and {FORMAT}; install another one"
        )
    stored = read_tensors(source / "model.safetensors", advice=_ADVICE)
    if digest_of(described.config, stored) != described.digest:
        raise CheckpointError(f"{source}: the weights are altered (their digest differs); {_ADVICE}")
    if broken := next((name for name, value in stored.items() if not _is_finite(value)), None):
        raise CheckpointError(f"{source}: the weights {broken[:60]!r} hold numbers that are not finite; {_ADVICE}")
    settings, aliases = described.config, described.aliases
    weights = {  # copied: where a tensor begins in the file is not aligned, and a kernel's last bit depends on that
        name: value.to(torch.float32 if value.is_floating_point() else value.dtype, copy=True)
        for name, value in stored.items()
    }
    try:
        if described.format == 1 and migration is not None:
            settings, aliases = migration.config(dict(settings)), (described.digest,)
            weights = {migration.rename(name): value for name, value in weights.items()}
        with torch.device("meta"):  # which takes no memory, whatever size a hostile configuration asks for
            network = build(dict(settings))
        _check_types(network, weights)
        network.load_state_dict(weights, assign=True)
    except Exception as error:  # a configuration of a stranger goes through the constructors of all layers
        raise CheckpointError(f"{source}: the weights cannot be used ({reason_of(error)}); {_ADVICE}") from error
    return StoredModel(network.to(device), aliases)


def read_tensors(path: Path, error: Callable[[str], VocableError] = CheckpointError, *,
                 advice: str = "copy it again") -> dict[str, Tensor]:  # fmt: skip
    """Read all tensors of a safetensors file, each from memory of its own or of the file.

    Args:
        path: Path of the file.
        error: Class of the error to raise.
        advice: What the reader of the message can do; closes it.

    Raises:
        VocableError: (of the class ``error``) If the file is missing, no plain file, or no safetensors file.
    """
    with open_tensors(path, error, advice=advice) as stored:
        return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 it is no dictionary


@contextmanager
def open_tensors(path: Path, error: Callable[[str], VocableError] = CheckpointError, *,
                 advice: str = "copy it again") -> Iterator[Any]:  # fmt: skip
    """Open a safetensors file to read some of it: the object that ``safe_open`` returns. See :func:`read_tensors`.

    Whatever fails while it is open is an error of the file.
    """
    try:
        check_regular(path)
        with safe_open(path, "pt") as stored:
            yield stored
    except (VocableError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as problem:  # of a header of a stranger: SafetensorError, OSError, KeyError, RuntimeError, …
        raise error(f"{path}: cannot be read as tensors ({reason_of(problem)}); {advice}") from problem


def bundled(*systems: str) -> dict[str, Path]:
    """Return the folders of the bundled models of some systems, by name.

    Example:
        >>> "guided-small" in bundled("guided"), bundled("nobody")
        (True, {})
    """
    root = Path(str(files("vocable"))) / "models"
    cards = sorted(root.glob("*/model.json"))
    return {card.parent.name: card.parent for card in cards if system_of(card.parent) in systems}


def system_of(folder: Path) -> str | None:
    """Return the name of the system that a model folder belongs to, or None if it names none."""
    try:
        return read_json(folder / "model.json", ModelFile).system
    except CheckpointError:
        return None


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())


def _check_types(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raise a TypeError if weights are integers where the network has floats, or the other way round."""
    for name, value in network.state_dict().items():
        if name in weights and (value.is_floating_point(), value.is_complex()) != (
            weights[name].is_floating_point(), weights[name].is_complex()
        ):  # fmt: skip
            raise TypeError(f"{name} is {weights[name].dtype} in place of {value.dtype}")


def digest_of(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return one name for a configuration and its weights, whatever precision they are stored in.

    Example:
        >>> single, half = {"weight": torch.ones(1)}, {"weight": torch.ones(1).half()}
        >>> digest_of({"width": 1}, single) == digest_of({"width": 1}, half)
        True
    """
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name].detach().cpu()
        value = value.float() if value.is_floating_point() else value
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return f"sha256:{digest.hexdigest()}"
