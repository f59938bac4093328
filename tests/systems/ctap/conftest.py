"""A corpus of made-up speech, batches of it, and short runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor

from tests.phones import write_phones
from vocable import recipes
from vocable.data.aligned import Aligned, AlignedBatch
from vocable.data.manifest import read_manifest
from vocable.recipes.ctap import CtapRun, tiny
from vocable.systems.ctap.objective import CtapLosses, CtapObjective

STEPS, FIRST = 12, 8  # of a short run, and the first of them that is the connector's


@pytest.fixture
def untyped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a value of the wrong type come as far as it does for a user."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of made-up speech by three speakers, most of it aligned."""
    return write_phones(tmp_path_factory.mktemp("phones"))


@pytest.fixture(scope="session")
def material(manifest: Path) -> Aligned:
    return tiny().material(read_manifest(manifest, "train"))


@pytest.fixture(scope="session")
def batch(material: Aligned) -> AlignedBatch:
    """Eight windows, some of them unlabelled."""
    found = material.batch(0)
    assert 0 < int(found.labelled.sum()) < len(found.labelled)
    return found


def short(**losses: Any) -> CtapRun:
    """The tiny recipe with dropout, saved and logged at every step."""
    run = tiny()
    sizes = replace(run.model.transcoder, dropout=0.1)
    return replace(
        run,
        model=replace(run.model, transcoder=sizes),
        losses=replace(run.losses, transcoder_share=FIRST / STEPS, masks=1, quantize_from=2, **losses),
        batches=replace(run.batches, batch_size=4),
        train=replace(run.train, steps=STEPS, log_every=1, save_every=1, keep=STEPS),
    )


def learner(material: Aligned, losses: CtapLosses | None = None, **sizes: Any) -> CtapObjective:
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
    return replace(losses, quantize_from=0, **(found | changes))


def fit(run: recipes.Run, manifest: Path, folder: Path, **how: Any) -> list[str]:
    said: list[str] = []
    recipes.fit(run, [manifest], folder, quiet=True, say=said.append, **how)
    return said


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
