"""A model's folder: ``model.json`` says what it is, ``model.safetensors`` holds its weights, and a digest joins them.

```text
model.json          {"system", "format", "digest", "config"}
model.safetensors   the state dict, as float32 or float16
```

Nothing in it can run code, and weights that are not those of the digest are refused.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vocable.errors import CheckpointError, ConfigError
from vocable.files import make_folder, write_json, write_whole

FORMAT = 1
_Network = TypeVar("_Network", bound=nn.Module)


def write_model(
    folder: str | os.PathLike[str], system: str, config: Mapping[str, Any], network: nn.Module, *, half: bool = False
) -> None:
    """Write a model's folder.

    Args:
        folder: Created if missing.
        system: Which reader it is for.
        config: What :func:`read_model` builds the network from; JSON values.
        network: Whose state dict is written.
        half: Store float16; what is read from it is then another model, with another digest.

    Raises:
        OutputError: The folder cannot be written.
    """
    target = Path(folder)
    make_folder(target)
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    if half:
        tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    write_whole(target / "model.safetensors", lambda path: save_file(tensors, path))
    card = {"system": system, "format": FORMAT, "digest": digest_of(config, tensors), "config": dict(config)}
    write_json(target / "model.json", card)


def read_model(
    folder: str | os.PathLike[str], build: Callable[[dict[str, Any]], _Network], device: str = "cpu"
) -> _Network:
    """The network of a model's folder, with its weights as float32.

    Args:
        folder: As :func:`write_model` left it.
        build: Makes the network from the folder's ``config``.
        device: Where it goes.

    Raises:
        CheckpointError: A file is missing, altered or of another version.
    """
    source = Path(folder)
    try:
        card = json.loads((source / "model.json").read_text(encoding="utf-8"))
        version, digest, values = card["format"], card["digest"], card["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{source / 'model.json'}: cannot be used ({error}); copy the model again") from error
    if version != FORMAT:
        raise CheckpointError(f"{source}: model format {version}, this vocable reads {FORMAT}; install another one")
    try:
        tensors = load_file(source / "model.safetensors")
        weights = {  # copied: where a tensor begins in the file is not aligned, and a kernel's last bit depends on that
            name: value.to(torch.float32 if value.is_floating_point() else value.dtype, copy=True)
            for name, value in tensors.items()
        }
        with torch.device("meta"):  # which takes no memory, whatever size a hostile config asks for
            network = build(values)
        network.load_state_dict(weights, assign=True)
    except (OSError, SafetensorError, RuntimeError, ConfigError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{source}: the weights cannot be used ({reason}); copy the model again") from error
    if digest_of(values, tensors) != digest:
        raise CheckpointError(f"{source}: the weights are altered (their digest differs); copy the model again")
    return network.to(device)


def boxed(*systems: str) -> dict[str, Path]:
    """The folders of the models in the box that are for one of these readers, by name.

    Example:
        >>> "guided-small" in boxed("guided"), boxed("nobody")
        (True, {})
    """
    box = Path(str(files("vocable"))) / "models"
    cards = sorted(box.glob("*/model.json"))
    return {card.parent.name: card.parent for card in cards if system_of(card.parent) in systems}


def system_of(folder: Path) -> str | None:
    """Which reader a model's folder is for; None where it does not say."""
    try:
        return str(json.loads((folder / "model.json").read_text(encoding="utf-8"))["system"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def digest_of(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """One name for a configuration and its weights, whatever precision they are stored in.

    Example:
        >>> single, half = {"weight": torch.ones(1)}, {"weight": torch.ones(1).half()}
        >>> digest_of({"width": 1}, single) == digest_of({"width": 1}, half)
        True
    """
    seen = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name].detach().cpu()
        value = value.float() if value.is_floating_point() else value
        seen.update(f"{name} {tuple(value.shape)}".encode())
        seen.update(value.contiguous().numpy().tobytes())
    return f"sha256:{seen.hexdigest()}"
