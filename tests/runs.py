"""Short runs, and what they left behind: checkpoints and logs."""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from vocable import recipes
from vocable.testing import speechlike
from vocable.train import checkpoint

COSTS = ("seconds", "audio_hours_per_day", "tokens_per_second", "peak_memory_gb")


def three_clips(folder: Path, shortest: int, sample_rate: int = 16_000) -> Path:
    """A manifest of three clips, each 3,000 samples longer than the one before."""
    with (folder / "manifest.jsonl").open("w") as lines:
        for clip in range(3):
            speechlike(shortest + 3_000 * clip, sample_rate, seed=clip).write(folder / f"{clip}.wav")
            lines.write(json.dumps({"audio_path": f"{clip}.wav", "split": "train"}) + "\n")
    return folder / "manifest.jsonl"


def fit(run: recipes.Run, manifest: Path, folder: Path, **how: Any) -> list[str]:
    """Train without a bar; the lines that were said."""
    said: list[str] = []
    recipes.fit(run, [manifest], folder, quiet=True, say=said.append, **how)
    return said


def saved(folder: Path, step: int) -> Path:
    """The checkpoint of a step."""
    return folder / f"checkpoints/step-{step:08d}"


def tensors(folder: Path, step: int, part: str) -> dict[str, Tensor]:
    """Weights and buffers of a part after a step."""
    found = load_file(saved(folder, step) / "training.safetensors")
    return {name: value for name, value in found.items() if name.startswith(f"{part}.model.")}


def log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a log, without the time and the memory they took."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in COSTS} for line in lines]


def finite(lines: list[dict[str, Any]]) -> bool:
    """Whether a log has lines and every number in them is one: NaN and infinity are logged as null."""
    values = [
        one for line in lines for value in line.values() for one in (value if isinstance(value, list) else [value])
    ]
    return bool(values) and None not in values


def check_going_on(run: recipes.Run, manifest: Path, whole: Path, folder: Path, kept: int) -> None:
    """A run that stopped after so many steps and goes on is, byte for byte, the one that never stopped."""
    shutil.copytree(whole, folder)
    for later in checkpoint.steps(folder / "checkpoints")[kept:]:
        shutil.rmtree(later)
    assert fit(run, manifest, folder, resume=True)[-1] == f"resumed at step {kept}"
    last = run.train.steps
    for name in ("training.safetensors", "model.safetensors", "model.json"):
        assert (saved(folder, last) / name).read_bytes() == (saved(whole, last) / name).read_bytes()
    assert log(folder) == log(whole)
