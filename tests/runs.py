"""What a run left behind: its checkpoints and its log."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor


def saved(folder: Path, step: int) -> Path:
    """The checkpoint of a step."""
    return folder / f"checkpoints/step-{step:08d}"


def tensors(folder: Path, step: int, part: str) -> dict[str, Tensor]:
    """Weights and buffers of a part after a step."""
    found = load_file(saved(folder, step) / "training.safetensors")
    return {name: value for name, value in found.items() if name.startswith(f"{part}.model.")}


def log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a log, without the time they took."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]
