"""A corpus that changes under a run stops it in one line, with everything saved, and a resumed run sees the change."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.runs import fit, log, tensors, three_clips
from vocable import recipes
from vocable.data.crops import CropBatch, Crops
from vocable.errors import CheckpointError, TrainingError
from vocable.train import checkpoint

STEPS = 6


def tiny(workers: int = 0) -> recipes.Run:
    run = recipes.find("vocoder-tiny")
    train = replace(run.train, steps=STEPS, save_every=4, log_every=1, workers=workers)
    return replace(run, batches=replace(run.batches, batch_size=12), train=train)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return three_clips(tmp_path, 4_000, 8_000)


def cut(path: Path) -> None:
    os.truncate(path, 5_000)


def write_again(path: Path) -> None:
    soundfile.write(path, np.zeros(4_000), 8_000)


def harm_at(step: int, harm: Callable[[Path], None], path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change a recording before the batch of a step is drawn, as another program may."""
    batch = Crops.batch

    def draw(self: Crops, at: int, rank: int = 0, world: int = 1) -> CropBatch:
        if at == step:
            harm(path)
        return batch(self, at, rank, world)

    monkeypatch.setattr(Crops, "batch", draw)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (Path.unlink, "0.wav: no such file"),
        (cut, "0.wav: has 5000 bytes, and had 8044 before; restore the file"),
        (write_again, "0.wav: was written again while it was in use; restore the file"),
    ],
)
def test_a_recording_that_changes_under_a_run_stops_it_and_nothing_is_lost(
    harm: Callable[[Path], None], reason: str, workers: int, manifest: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fit(tiny(), manifest, tmp_path / "whole")
    shutil.copytree(manifest.parent, tmp_path / "copy", ignore=shutil.ignore_patterns("whole"))
    with monkeypatch.context() as patched:
        harm_at(3, harm, tmp_path / "0.wav", patched)
        with pytest.raises(TrainingError) as raised:
            fit(tiny(workers), manifest, tmp_path / "run")
    message = str(raised.value)
    steps = int(message.split(":")[0].removeprefix("step "))
    assert message == (
        f"step {steps}: its batch cannot be loaded: {tmp_path}/{reason}. All {steps} steps before it are saved; when "
        "it is mended, go on with --resume"
    )
    assert steps <= 3
    assert checkpoint.steps(tmp_path / "run/checkpoints")[-1].name == f"step-{steps:08d}"
    shutil.copy2(tmp_path / "copy/0.wav", tmp_path / "0.wav")
    fit(tiny(workers), manifest, tmp_path / "run", resume=True)
    assert log(tmp_path / "run") == log(tmp_path / "whole")
    one, two = (tensors(tmp_path / name, STEPS, "vocoder") for name in ("run", "whole"))
    assert one.keys() == two.keys()
    assert all((one[name] == two[name]).all() for name in one)


@pytest.mark.slow
def test_a_resumed_run_refuses_other_recordings_unless_it_may_change(manifest: Path, tmp_path: Path) -> None:
    run = tiny()
    fit(replace(run, train=replace(run.train, steps=4)), manifest, tmp_path / "run")
    corpus = json.loads((tmp_path / "run/run.json").read_text())["corpus"]
    assert (corpus["clips"], len(corpus["sha256"])) == (3, 64)
    os.utime(tmp_path / "1.wav", (1, 1))  # a copy of the corpus has other times
    fit(replace(run, train=replace(run.train, steps=5)), manifest, tmp_path / "run", resume=True)
    (tmp_path / "2.wav").unlink()
    with pytest.raises(CheckpointError) as raised:
        fit(run, manifest, tmp_path / "run", resume=True)
    assert str(raised.value) == (
        f"{tmp_path}/run/run.json: recordings have changed: the run began with 3 clips of 0.0007 h and would go on "
        f"with 2 clips of 0.0004 h; the first that is left out now: {manifest}, line 3: {tmp_path}/2.wav: no such "
        "file; restore them, or pass --allow-changes"
    )
    said = fit(run, manifest, tmp_path / "run", resume=True, allow_changes=True)
    assert "changed on request: the run began with 3 clips of 0.0007 h and would go on with 2 clips of 0.0004 h" in said
