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
from safetensors.torch import save_file
from torch import Tensor, nn

from vocable.errors import CheckpointError
from vocable.files import exists, reason_of, remove_folder, sha256, write_folder, write_json, write_whole
from vocable.folder import read_tensors
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

    def put(hidden: Path) -> None:
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

    for leftover in folder.glob(".step-*"):  # of a killed process
        shutil.rmtree(leftover, ignore_errors=True)
    write_folder(target, put)
    for old in steps(folder)[:-keep]:
        remove_folder(old)
    return target


def restore(checkpoint: Path, parts: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]) -> int:
    """Load a checkpoint into parts and optimizers, and return its number of finished steps.

    Raises:
        CheckpointError: If a file is missing, altered or of another version, or the parts have other tensors.
    """
    step = verify(checkpoint)
    tensors = read_tensors(checkpoint / "training.safetensors", advice=_ADVICE)
    try:
        if unknown := {key.split(".", 1)[0] for key in tensors} - set(parts):
            raise KeyError(f"it has no {' and no '.join(sorted(unknown))}")
        for name, part in parts.items():
            part.load_state_dict(_strip_prefix(tensors, f"{name}.model."))
        for name, optimizer in optimizers.items():
            _load_optimizer(optimizer, _strip_prefix(tensors, f"{name}.optimizer."))
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{checkpoint}: does not fit this recipe ({reason_of(error)}); resume with the recipe of the run"
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
    if missing := sorted({"training.safetensors"} - seal.files.keys()):
        raise CheckpointError(f"{checkpoint / _SEAL}: names no {missing[0]}; {_ADVICE}")
    for name, digest in seal.files.items():
        file = checkpoint / Path(name).name
        if not exists(file):
            raise CheckpointError(f"{file}: the file is missing; {_ADVICE}")
        try:
            altered = sha256(file) != digest
        except OSError as error:
            raise CheckpointError(f"{file}: cannot be read ({reason_of(error)}); {_ADVICE}") from error
        if altered:
            raise CheckpointError(f"{file}: the file is altered (its SHA-256 differs); {_ADVICE}")
    return seal.step


def steps(folder: Path) -> list[Path]:
    """Return the complete checkpoints of a folder, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{_SEAL}"))


def put_aside(folder: Path, after: int) -> None:
    """Rename the checkpoints of later steps, which are damaged, so that none of them counts as the newest."""
    for path in steps(folder):
        if path.name > _name(after):
            path.rename(path.with_name(f"damaged-{path.name}"))


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _strip_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    shapes = [value.shape for group in optimizer.param_groups for value in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        expected = torch.Size([]) if name == "step" else shapes[int(index)]
        if value.shape != expected:  # torch would find out at the next step
            raise ValueError(f"state {key} has shape {tuple(value.shape)}, not {tuple(expected)}")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
