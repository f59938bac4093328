"""Small trainings of TASTE."""

from dataclasses import replace
from pathlib import Path

import vocable
from vocable import recipes
from vocable.systems.taste.recipe import TasteRun


def run_of(name: str) -> TasteRun:
    run = recipes.find(name)
    assert isinstance(run, TasteRun)
    return replace(run, find=vocable.load)


def tiny(place: Path, steps: int) -> TasteRun:
    """The tiny recipe with units of the codec in this folder."""
    run = run_of("taste-tiny").with_teachers({"units": str(place / "codec")}, str(place / "cache"))
    train = replace(run.train, steps=steps, save_every=steps, log_every=1)
    losses = replace(run.losses, speech_from=2, quantized_from=max(3, steps // 2))
    return replace(run, train=train, losses=losses, batches=replace(run.batches, batch_size=3), size=64)
