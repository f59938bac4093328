"""Checkpoints: one folder a step, of safetensors and JSON files, complete or absent.

```text
RUN/checkpoints/step-00001000/
├── …                       files that the objective exports: a model folder, ready to use
├── training.safetensors    weights, buffers and optimizer moments of every part
└── training.json           format, step, and the SHA-256 of every other file; written last
```
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vocable.errors import CheckpointError, OutputError
from vocable.files import check_regular, make_folder, sha256, write_json, write_whole
from vocable.schema import config, read_json

FORMAT = 1
_SEAL = "training.json"
_ADVICE = "resume from another checkpoint"


@config
class CheckpointFile:
    """Contents of ``training.json``: version of the layout, number of finished steps, SHA-256 of each file by name."""

    format: int
    step: Annotated[int, Field(ge=0)]
    files: dict[str, str]


def save(folder: Path, step: int, parts: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer],
         export: Any, *, keep: int = 3) -> Path:  # fmt: skip
    """Write the checkpoint of a step, and delete all but the newest ``keep``.

    The files go to a hidden folder that is renamed when complete, so that a kill leaves older checkpoints intact.

    Args:
        folder: Folder of the run's checkpoints.
        step: Number of finished steps.
        parts: Networks by name.
        optimizers: Optimizer of each network, by the same names.
        export: Function that writes a model folder to a path.
        keep: Number of checkpoints to keep.

    Raises:
        OutputError: If the folder cannot be written.
    """
    target = folder / _name(step)
    hidden = folder / f".{target.name}.part"
    for leftover in folder.glob(".step-*"):  # of a killed process
        shutil.rmtree(leftover, ignore_errors=True)
    make_folder(hidden)
    try:
        export(hidden)
        tensors = {f"{name}.model.{key}": value.detach().cpu().contiguous()
                   for name, part in parts.items() for key, value in part.state_dict().items()}  # fmt: skip
        for name, optimizer in optimizers.items():
            for index, entry in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}.optimizer.{index}.{key}": torch.as_tensor(value).cpu()
                            for key, value in entry.items()}  # fmt: skip
        write_whole(hidden / "training.safetensors", lambda path: save_file(tensors, path))
        digests = {file.name: sha256(file) for file in sorted(hidden.iterdir())}
        write_json(hidden / _SEAL, {"format": FORMAT, "step": step, "files": digests})
        if target.exists():
            _delete(target)
        hidden.rename(target)
        for old in steps(folder)[:-keep]:
            _delete(old)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{target}: cannot be written ({reason}); check the rights and the free space") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return target


def restore(checkpoint: Path, parts: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]) -> int:
    """Load a checkpoint into parts and optimizers, and return its number of finished steps.

    Raises:
        CheckpointError: If a file is missing, altered or of another version, or the parts have other tensors.
    """
    step = verify(checkpoint)
    try:
        check_regular(checkpoint / "training.safetensors")
        tensors = load_file(checkpoint / "training.safetensors")
        if unknown := {key.split(".", 1)[0] for key in tensors} - set(parts):
            raise KeyError(f"it has no {' and no '.join(sorted(unknown))}")
        for name, part in parts.items():
            part.load_state_dict(_strip_prefix(tensors, f"{name}.model."))
        for name, optimizer in optimizers.items():
            _load_optimizer(optimizer, _strip_prefix(tensors, f"{name}.optimizer."))
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{checkpoint}: does not fit this recipe ({reason}); resume with the recipe of the run"
        ) from error
    return step


def verify(checkpoint: Path) -> int:
    """Check a checkpoint's version and the digest of every file, and return its number of finished steps.

    Raises:
        CheckpointError: If a file is missing, altered or of another version.
    """
    seal = read_json(checkpoint / _SEAL, CheckpointFile, advice=_ADVICE)
    if seal.format != FORMAT:
        raise CheckpointError(
            f"{checkpoint}: checkpoint format {seal.format}, this vocable reads {FORMAT}; install another version"
        )
    if checkpoint.name != _name(seal.step):
        raise CheckpointError(f"{checkpoint / _SEAL}: step {seal.step} is not the step of its folder; {_ADVICE}")
    for name, digest in seal.files.items():
        file = checkpoint / Path(name).name
        if not file.is_file():
            raise CheckpointError(f"{file}: the file is missing; {_ADVICE}")
        if sha256(file) != digest:
            raise CheckpointError(f"{file}: the file is altered (its SHA-256 differs); {_ADVICE}")
    return seal.step


def steps(folder: Path) -> list[Path]:
    """Return the complete checkpoints of a folder, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{_SEAL}"))


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _delete(checkpoint: Path) -> None:
    """Hide a checkpoint, then delete its files, so that a kill in between leaves no incomplete one."""
    hidden = checkpoint.with_name(f".{checkpoint.name}.gone")
    checkpoint.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _strip_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
