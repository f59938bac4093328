"""Checkpoints: a folder a step, safetensors and JSON, whole or absent.

```text
RUN/checkpoints/step-00001000/
├── …                       what the objective exports: a model folder, ready to use
├── training.safetensors    weights, buffers and optimizer moments of every part
└── training.json           format, step, and the SHA-256 of every other file; written last
```
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vocable.errors import CheckpointError, OutputError
from vocable.files import make_folder, sha256, write_json, write_whole

FORMAT = 1
_SEAL = "training.json"


def save(folder: Path, step: int, parts: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer],
         export: Any, *, keep: int = 3) -> Path:  # fmt: skip
    """Write the checkpoint of a step and drop all but the newest ``keep``.

    Everything goes to a hidden folder that is renamed when complete, so a kill leaves the older ones as they were.

    Raises:
        OutputError: The folder cannot be written.
    """
    target = folder / _name(step)
    hidden = folder / f".{target.name}.part"
    for left in folder.glob(".step-*"):  # by a kill
        shutil.rmtree(left, ignore_errors=True)
    make_folder(hidden)
    try:
        export(hidden)
        tensors = {f"{name}.model.{key}": value.detach().cpu().contiguous()
                   for name, part in parts.items() for key, value in part.state_dict().items()}  # fmt: skip
        for name, optimizer in optimizers.items():
            tensors |= {f"{name}.optimizer.{key}": value for key, value in _optimizer_tensors(optimizer).items()}
        write_whole(hidden / "training.safetensors", lambda path: save_file(tensors, path))
        digests = {file.name: sha256(file) for file in sorted(hidden.iterdir())}
        write_json(hidden / _SEAL, {"format": FORMAT, "step": step, "files": digests})
        if target.exists():
            _drop(target)
        hidden.rename(target)
        for old in steps(folder)[:-keep]:
            _drop(old)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{target}: cannot be written ({reason}); check the rights and the free space") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return target


def restore(checkpoint: Path, parts: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]) -> int:
    """Load a checkpoint into parts and optimizers; returns the number of steps it has seen.

    Raises:
        CheckpointError: A file is missing, altered or of another version, or the parts have other tensors.
    """
    step = verify(checkpoint)
    try:
        tensors = load_file(checkpoint / "training.safetensors")
        if unknown := {key.split(".", 1)[0] for key in tensors} - set(parts):
            raise KeyError(f"it has no {' and no '.join(sorted(unknown))}")
        for name, part in parts.items():
            part.load_state_dict(_under(tensors, f"{name}.model."))
        for name, optimizer in optimizers.items():
            _load_optimizer(optimizer, _under(tensors, f"{name}.optimizer."))
    except (SafetensorError, RuntimeError, KeyError) as error:
        first = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{checkpoint}: does not fit this recipe ({first}); resume with the recipe it was made by"
        ) from error
    return step


def verify(checkpoint: Path) -> int:
    """Check a checkpoint's version and every file's digest; returns its step.

    Raises:
        CheckpointError: A file is missing, altered or of another version.
    """
    try:
        seal = json.loads((checkpoint / _SEAL).read_text(encoding="utf-8"))
        version, step, files = seal["format"], int(seal["step"]), dict(seal["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{checkpoint / _SEAL}: cannot be used ({error}); resume from another checkpoint"
        ) from error
    if version != FORMAT:
        raise CheckpointError(
            f"{checkpoint}: checkpoint format {version}, this vocable reads {FORMAT}; install another one"
        )
    if checkpoint.name != _name(step):
        raise CheckpointError(
            f"{checkpoint / _SEAL}: says step {step}, its folder another; resume from another checkpoint"
        )
    for name, digest in files.items():
        file = checkpoint / Path(name).name
        if not file.is_file():
            raise CheckpointError(f"{file}: the file is missing; resume from another checkpoint")
        if sha256(file) != digest:
            raise CheckpointError(f"{file}: the file is altered (its SHA-256 differs); resume from another checkpoint")
    return step


def steps(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{_SEAL}"))


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _drop(checkpoint: Path) -> None:
    """Hide a checkpoint before deleting its files, so that a kill in between leaves no half of one."""
    hidden = checkpoint.with_name(f".{checkpoint.name}.gone")
    checkpoint.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value).cpu() for index, entry in state.items() for key, value in entry.items()
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
