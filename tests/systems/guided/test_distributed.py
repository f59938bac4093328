"""A run with teachers and adversary under ``torchrun``: two processes train what one trains with the same batch.

So do two micro-batches of one process, and blocks that are computed again.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.features.test_hubert import saved
from tests.runs import log
from tests.torchrun import torchrun
from vocable import recipes
from vocable.features.ecapa import EcapaTdnn
from vocable.systems.guided import recipe as guided
from vocable.systems.guided.config import AdversaryConfig, DiscriminatorConfig
from vocable.systems.guided.recipe import GuidedRun
from vocable.testing import speechlike
from vocable.train.schedule import LearningRate, Weight

pytestmark = pytest.mark.slow  # trains

STEPS = 3  # with more, AdamW amplifies rounding errors
VARY = {f"{part}_{what}" for part in ("semantic", "acoustic") for what in ("variety", "of_a_constant")}


def full_run(folder: Path, **train: Any) -> GuidedRun:
    """Return a run with both teachers, all kinds of discriminators and the balance.

    The codebooks have few entries, so that no tie between two of them is decided by rounding.
    """
    run = guided.tiny_taught()
    run = replace(
        run,
        model=replace(run.model, codebook_size=4, num_codebooks=2),
        losses=replace(
            run.losses, semantic=Weight(value=0.5), acoustic=Weight(value=0.5), adversarial=Weight(value=1.0),
            feature=Weight(value=1.0), balance=1.0, quantize_from=1, level_dropout=0.0,
        ),
        batches=replace(run.batches, frames=24),
        adversary=AdversaryConfig(
            discriminators=DiscriminatorConfig(
                periods=(3,), period_width=1, scales=1, scale_width=16, windows=(256,), filters=2
            ),
            learning_rate=LearningRate(peak=5e-4, warmup=2),
        ),
        train=replace(run.train, steps=STEPS, log_every=1, save_every=STEPS, **train),
    )  # fmt: skip
    return run.with_teachers(
        {"semantic": str(folder / "hubert"), "acoustic": str(folder / "ecapa")}, str(folder / "kept")
    )


def fit(folder: Path, out: str, **train: Any) -> None:
    torch.set_num_threads(1)
    recipes.fit(full_run(folder, **train), [folder / "manifest.jsonl"], folder / out, quiet=True, say=lambda line: None)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with teachers, clips longer than a crop, and runs on one and on two processes."""
    folder = tmp_path_factory.mktemp("two")
    torch.manual_seed(0)
    saved(folder / "hubert")
    (folder / "ecapa").mkdir()
    save_file(EcapaTdnn(width=16, outputs=24).state_dict(), folder / "ecapa" / "embedding_model.safetensors")
    with (folder / "manifest.jsonl").open("w") as lines:
        for clip in range(3):
            speechlike(9_000 + 1_500 * clip, seed=clip).write(folder / f"{clip}.wav")
            lines.write(json.dumps({"audio_path": f"{clip}.wav", "split": "train"}) + "\n")
    fit(folder, "one")
    fit(folder, "accumulated", accumulate=2)
    fit(folder, "recomputed", activation_checkpointing=True)
    torchrun("-m", __name__, str(folder), beside=Path(__file__).parents[2])  # the end of this file
    return folder


def tensors(folder: Path) -> dict[str, Any]:
    return load_file(folder / f"checkpoints/step-{STEPS:08d}/training.safetensors")


@pytest.mark.parametrize("divided", ["two-float32", "accumulated"])
def test_two_processes_log_what_one_logs(place: Path, divided: str) -> None:
    """Losses, weights that the balance finds, gradient norms and rates, of both parts.

    The teacher has no target for the last frame of a clip, so that the processes have unequal numbers of targets.
    Variety is computed on each process's part alone, and its mean over processes is logged.
    """
    one, two = log(place / "one"), log(place / divided)
    assert len(one) == STEPS
    assert {"discriminator/real", "discriminator/learning_rate", "generator/feature", "generator/acoustic"} < set(
        one[-1]
    )
    for alone, both in zip(one, two, strict=True):
        assert alone.keys() == both.keys()
        for name in alone.keys() - VARY:
            assert both[name] == pytest.approx(alone[name], rel=2e-3, abs=1e-5), (alone["step"], name)


@pytest.mark.parametrize("divided", ["two-float32", "accumulated"])
def test_two_processes_save_what_one_saves(place: Path, divided: str) -> None:
    one, two = tensors(place / "one"), tensors(place / divided)
    assert one.keys() == two.keys()
    for key in one:
        if ".codebooks." in key or ".balance." in key:
            assert torch.allclose(two[key].float(), one[key].float(), rtol=2e-3, atol=1e-5), key


def test_blocks_that_are_computed_again_have_the_same_gradients(place: Path) -> None:
    one, again = tensors(place / "one"), tensors(place / "recomputed")
    assert all(torch.equal(one[key], again[key]) for key in one | again)


def test_in_bfloat16_all_is_finite_and_checkpoints_are_float32(place: Path) -> None:
    lines = log(place / "two-bfloat16")
    assert len(lines) == STEPS
    assert all(value is not None for line in lines for value in line.values()), "a NaN is logged as null"
    kept = tensors(place / "two-bfloat16")
    assert {value.dtype for key, value in kept.items() if "model." in key and value.is_floating_point()} <= {
        torch.float32, torch.float64,
    }  # fmt: skip
    assert any(".codebooks." in key for key in kept)
    first, alone = lines[0], log(place / "one")[0]
    assert first["generator/log_mel"] == pytest.approx(alone["generator/log_mel"], rel=0.05)


if __name__ == "__main__":
    for way in ("float32", "bfloat16"):
        fit(Path(sys.argv[1]), f"two-{way}", precision=way)
