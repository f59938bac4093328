"""Studies: variants differ in what is asked and in nothing else, and end in one table."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.digits import write_digits
from vocable import recipes
from vocable.cli.main import app
from vocable.data.manifest import read_manifest
from vocable.errors import ConfigError
from vocable_lab.study import study
from vocable_lab.vqalattent.classifier import find_classifier
from vocable_lab.vqalattent.study import STUDIES

pytestmark = pytest.mark.slow  # trains


def tiny(steps: int = 12) -> recipes.Run:
    run = recipes.find("vqalattent-tiny")
    return replace(run, train=replace(run.train, steps=steps, save_every=steps))


@pytest.mark.parametrize("name", STUDIES)
def test_variants_differ_in_what_is_asked_alone(name: str) -> None:
    variants = STUDIES[name](tiny())  # type: ignore[arg-type]
    assert len({variant.name for variant in variants}) == len(variants)
    for variant in variants:
        changed, plain = asdict(variant.run), asdict(tiny())
        differ = {key for key in plain if changed[key] != plain[key]}
        assert differ <= ({"train"} if name == "length" else {"model"})
        assert changed["model"]["image"] == plain["model"]["image"]


def test_conditions_share_the_vqvae_and_sizes_do_not() -> None:
    assert [variant.shares_first for variant in STUDIES["conditions"](tiny())] == [False, True, True, True]  # type: ignore[arg-type]
    assert not any(variant.shares_first for variant in STUDIES["sizes"](tiny()))  # type: ignore[arg-type]


def test_a_study_ends_in_one_table_and_goes_on_where_it_stood(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    corpus = write_digits(tmp_path / "digits", takes=2, digits=2)
    find_classifier(tmp_path, read_manifest(corpus, "train"), tiny().model.image, "digit", tmp_path / "study", steps=30)
    said: list[str] = []
    table = study("conditions", tiny(), [corpus], tmp_path / "study", fakes=3, quiet=True, say=said.append)
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert rows == ["none, nothing asked", "shared-id", "own-id", "prefix"]
    assert said.count("own-id: training") == 1
    first = (tmp_path / "study/none/checkpoints/step-00000012/training.json").stat().st_mtime_ns
    assert study("conditions", tiny(), [corpus], tmp_path / "study", fakes=3, quiet=True, say=said.append) == table
    assert (tmp_path / "study/none/checkpoints/step-00000012/training.json").stat().st_mtime_ns == first
    values = json.loads((tmp_path / "study/study.json").read_text())
    assert values["own-id"]["conditional_accuracy"]["n"] == 6
    assert (tmp_path / "study/study.md").read_text() == table


def test_some_variants_alone_are_trained_and_what_they_share(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    corpus = write_digits(tmp_path / "digits", takes=2, digits=2)
    find_classifier(tmp_path, read_manifest(corpus, "train"), tiny().model.image, "digit", tmp_path / "study", steps=30)
    table = study(
        "conditions", tiny(), [corpus], tmp_path / "study", only=["prefix"], fakes=3, quiet=True, say=lambda line: None
    )
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["none, nothing asked", "prefix"]
    with pytest.raises(ConfigError, match="the study has no variant 'suffix'; it has none, shared-id, own-id, prefix"):
        study("conditions", tiny(), [corpus], tmp_path / "other", only=["own-id", "suffix"])
    assert not (tmp_path / "other").exists()


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no study 'colours'; there are length, codebooks, conditions, sizes"):
        study("colours", tiny(), [], tmp_path)
    arguments = ["study", "sizes", "--recipe", "guided-tiny", "--data", "none.jsonl", "--out", str(tmp_path / "out")]
    assert "is of VQalAttent" in str(CliRunner().invoke(app, arguments).exception)
