"""Folders of format 1: the bundled model keeps its digest as an alias, and every rule of the migration has a use."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from vocable.folder import bundled
from vocable.systems.registry import load_as
from vocable.systems.vqalattent.config import PriorConfig
from vocable.systems.vqalattent.model import MIGRATION
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer

FOLDER = bundled("vqalattent")["vqalattent-fsdd"]
BEFORE = json.loads((FOLDER / "model.json").read_text())


@pytest.fixture(scope="module")
def tokenizer() -> VqalattentTokenizer:
    return load_as("vqalattent-fsdd", VqalattentTokenizer)


@pytest.mark.slow
def test_the_digest_of_before_is_an_alias_that_saving_keeps(tokenizer: VqalattentTokenizer, tmp_path: Path) -> None:
    assert BEFORE["format"] == 1
    assert tokenizer.aliases == (BEFORE["digest"],)
    assert tokenizer.digest != BEFORE["digest"]
    tokenizer.save(tmp_path)
    again = VqalattentTokenizer.load(tmp_path)
    assert (again.digest, again.aliases) == (tokenizer.digest, tokenizer.aliases)
    labels = [{"digit": 3, "speaker": "fsdd-jackson"}]
    assert torch.equal(again.sample(labels, seed=1).ids, tokenizer.sample(labels, seed=1).ids)


def test_every_tensor_gets_its_name_of_today(tokenizer: VqalattentTokenizer) -> None:
    with safe_open(FOLDER / "model.safetensors", framework="pt") as file:
        names = list(file.keys())
    assert {MIGRATION.rename(name) for name in names} == set(tokenizer.model.state_dict())
    for pattern, _ in MIGRATION.tensors:
        renamed = [name for name in names if re.search(pattern, name)]
        assert renamed, f"no tensor matches {pattern}"


@pytest.mark.parametrize(("before", "now"), [("own", "separate"), ("shared", "shared")])
def test_the_configuration_of_before_becomes_that_of_today(
    tokenizer: VqalattentTokenizer, before: str, now: str
) -> None:
    values = MIGRATION.config({**BEFORE["config"], "prior": {**BEFORE["config"]["prior"], "label_ids": before}})
    assert values["prior"]["label_ids"] == now
    assert (tokenizer.config.vqvae.latent_dim, tokenizer.config.vqvae.codebook_init) == (64, "kmeans")
    assert tokenizer.config.prior == PriorConfig(
        width=128, positions="grid", conditions=("digit", "speaker"), label_dropout=0.2, guidance=1.0
    )
