"""A corpus of made-up speech, batches of it, and short runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.phones import write_phones
from vocable.data.manifest import read_manifest
from vocable.systems.ctap.config import CtapLosses
from vocable.systems.ctap.data import AlignedBatch, AlignedWindows
from vocable.systems.ctap.objective import CtapObjective
from vocable.systems.ctap.recipe import CtapRun, tiny
from vocable.train.objective import Turn

STEPS, FIRST = 12, 8  # of a short run, and the first of them that is the connector's
PARTS = ("speech_encoder", "phoneme_encoder", "voice_encoder", "speech_decoder", "phoneme_decoder")


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of made-up speech by three speakers, most of it aligned."""
    return write_phones(tmp_path_factory.mktemp("phones"))


@pytest.fixture(scope="session")
def material(manifest: Path) -> AlignedWindows:
    return tiny().material_of(read_manifest(manifest, "train"))


@pytest.fixture(scope="session")
def batch(material: AlignedWindows) -> AlignedBatch:
    """Eight windows, some of them unlabelled."""
    found = material.batch(0)
    assert 0 < int(found.has_phonemes.sum()) < len(found.has_phonemes)
    return found


def short(**losses: Any) -> CtapRun:
    """The tiny recipe with dropout, saved and logged at every step."""
    run = tiny()
    sizes = replace(run.model.transcoder, dropout=0.1)
    return replace(
        run,
        model=replace(run.model, transcoder=sizes),
        losses=replace(run.losses, transcoder_share=FIRST / STEPS, num_masks=1, codebook_start=2, **losses),
        batches=replace(run.batches, batch_size=4),
        train=replace(run.train, steps=STEPS, log_every=1, save_every=1, keep=STEPS),
    )


def learner(material: AlignedWindows, losses: CtapLosses | None = None, **sizes: Any) -> CtapObjective:
    """Fresh networks and what they are to learn; every term from the first step on."""
    run = tiny()
    run = replace(run, model=replace(run.model, transcoder=replace(run.model.transcoder, **sizes)))
    torch.manual_seed(0)
    return replace(run, losses=losses or at_once()).objective(material)


def at_once(**changes: Any) -> CtapLosses:
    """The tiny recipe's losses, none of which waits."""
    losses = tiny().losses
    found = {
        name: replace(getattr(losses, name), start=0, ramp=0) for name in ("contrastive", "kl", "consistency")
    }  # fmt: skip
    return replace(losses, codebook_start=0, **(found | changes))


def turn(objective: CtapObjective, batch: AlignedBatch, step: int = 0, seed: int = 0) -> Turn:
    """The only turn of a step before the second stage."""
    torch.manual_seed(seed)
    [found] = objective.turns(batch, step)
    return found


def taught(module: nn.Module) -> bool:
    """Whether any gradient has come this far."""
    return any(value.grad is not None and bool(value.grad.any()) for value in module.parameters())
