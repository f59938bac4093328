"""Tokenizers with random weights, and short runs on made-up digits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.digits import write_digits
from tests.models import ready_speaker
from tests.runs import fit
from vocable import load, recipes
from vocable.systems.vqalattent.objective import VqalattentLosses
from vocable.systems.vqalattent.recipe import VqalattentRun
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.train.schedule import LearningRate

IDS, SIZE = 88, 32  # of an utterance of the tiny model, and its codebook
SPEC = recipes.find("vqalattent-tiny").model.image
DIGITS = tuple("0123456789")
ASKED = {"digit": 3, "speaker": "bob"}
STEPS, FIRST = 8, 4  # of a short run, and the first of them that is the prior's


@pytest.fixture(scope="module")
def speaker() -> VqalattentTokenizer:
    """Knows digits and two voices, and was trained with neither hidden."""
    return ready_speaker()


@pytest.fixture(scope="module")
def open_minded() -> VqalattentTokenizer:
    """Whose training hid some labels."""
    return ready_speaker(prior={"label_dropout": 0.2})


def ids_of(speaker: VqalattentTokenizer, rows: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Any ids with any labels."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(SIZE, (rows, IDS), generator=generator)
    return ids, torch.stack([torch.randint(count, (rows,), generator=generator) for count in (10, 2)], dim=1)


def short(**changes: Any) -> VqalattentRun:
    """The tiny recipe with bent pictures, saved and logged at every step."""
    run = recipes.find("vqalattent-tiny")
    return replace(
        run,
        model=replace(run.model, vqvae=replace(run.model.vqvae, **changes)),
        losses=VqalattentLosses(vqvae_share=FIRST / STEPS, prior_rate=LearningRate(peak=2e-3, warmup=3)),
        batches=replace(run.batches, batch_size=4, gain_db=(-6.0, 0.0), warp=0.1, shift=0.05),
        train=replace(run.train, steps=STEPS, log_every=1, save_every=1, keep=STEPS),
    )


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred and twenty made-up digits by three speakers."""
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def whole(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run without a break."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    fit(short(), manifest, folder)
    return folder


@pytest.fixture(scope="session")
def trained(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> VqalattentTokenizer:
    """The tiny recipe, trained to its end."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    fit(recipes.find("vqalattent-tiny"), manifest, folder)
    return load(folder)
