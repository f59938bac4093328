"""Studies of VQ-CTAP: what variants are, and a table of what was measured."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.lab.ctap import write_corpus
from vocable import recipes
from vocable.cli.main import app
from vocable.errors import ConfigError
from vocable.quantizers.fsq import equal_levels
from vocable.systems.ctap.networks import CtapModel
from vocable.train.run import Run
from vocable_lab.ctap.study import OBJECTIVES, STUDIES
from vocable_lab.study import study


def tiny(steps: int = 8) -> Run:
    run = recipes.find("ctap-tiny")
    return replace(run, train=replace(run.train, steps=steps, save_every=steps))


@pytest.mark.parametrize("recipe", ["ctap-tiny", "ctap-small", "ctap-paper"])
def test_rates_are_nine_and_windows_last_alike(recipe: str) -> None:
    run = recipes.find(recipe)
    variants = STUDIES["rates"](run)  # type: ignore[arg-type]
    size, seconds = run.model.transcoder.codebook.size, run.model.transcoder.window * run.model.transcoder.reduction
    assert len({variant.name for variant in variants}) == 9
    sizes = {one.run.model.transcoder.codebook.size for one in variants}
    assert sizes == {size // 2, size, 2 * size}
    assert {one.run.model.transcoder.reduction for one in variants} == {4, 8, 12}
    for one in variants:
        part = one.run.model.transcoder
        assert part.window * part.reduction == pytest.approx(seconds, abs=part.reduction / 2)
        assert one.run.losses.second_stage_start(one.run.train.steps) == one.run.train.steps  # the transcoder alone
        assert one.run.train.steps == run.losses.second_stage_start(run.train.steps)
    rates = [one.run.model.spec.bit_rate for one in variants]
    assert max(rates) > 3 * min(rates)


@pytest.mark.parametrize("name", STUDIES)
def test_variants_differ_in_the_transcoder_alone(name: str) -> None:
    for variant in STUDIES[name](tiny()):  # type: ignore[arg-type]
        changed, plain = asdict(variant.run), asdict(tiny())
        assert {key for key in plain if changed[key] != plain[key]} <= {"model", "losses", "train"}
        assert {key for key in plain["model"] if changed["model"][key] != plain["model"][key]} <= {"transcoder"}


def test_the_published_objective_has_the_paper_s_weights_and_none_of_the_recipe_s_changes() -> None:
    run = recipes.find("ctap-small")
    run = replace(run, train=replace(run.train, steps=1_000))
    variants = {variant.name: variant for variant in OBJECTIVES["objectives"](run)}  # type: ignore[arg-type]
    assert {one.group for one in variants.values()} == {
        "recipe", "paper", "no-instance-norm", "spectrum-to-encoder", "no-perturbation"
    }  # fmt: skip
    assert len(variants) == 15
    paper, ours = variants["paper-seed0"].run, variants["recipe-seed0"].run
    published = recipes.find("ctap-paper").losses
    for name in ("commitment", "contrastive", "kl", "consistency"):
        assert getattr(paper.losses, name).value == getattr(published, name).value
    assert (paper.losses.vtlp_range, paper.losses.encoder_gradient, paper.losses.phoneme_branch.value) == (0, 1, 0)
    assert (paper.model.transcoder.instance_norm, ours.model.transcoder.instance_norm) == (False, True)
    for one in (paper, ours):
        assert one.train.steps == 520
        for name in ("contrastive", "kl", "consistency"):
            weight = getattr(one.losses, name)
            assert weight.start + weight.ramp <= 0.81 * 520


@pytest.mark.slow
def test_objectives_are_told_apart_by_conversions(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    manifest = write_corpus(tmp_path, speakers=6, clips=2, splits=("train", "train", "dev"))
    only = ["recipe-seed0", "paper-seed0"]
    table = study("objectives", tiny(), [manifest], tmp_path / "out", only=only, fakes=3, quiet=True,
                  say=lambda line: None)  # fmt: skip
    for title in ("target closer than source", "PER after conversion", "PER from codes", "mel error"):
        assert title in table
    assert "paper − recipe" in table


@pytest.mark.parametrize("recipe", ["ctap-tiny", "ctap-small", "ctap-paper"])
def test_finite_scalars_have_as_many_entries(recipe: str) -> None:
    ema, gradient, fsq = (one.run.model for one in STUDIES["quantizers"](recipes.find(recipe)))  # type: ignore[arg-type]
    assert ema.spec == gradient.spec == fsq.spec
    with torch.device("meta"):
        assert CtapModel(fsq).transcoder.quantizer.codebook_size == ema.transcoder.codebook.size


def test_every_power_of_two_can_be_made() -> None:
    for bits in range(1, 15):
        assert int(torch.tensor(equal_levels(2**bits)).prod()) == 2**bits
    with pytest.raises(ConfigError, match="codebook of 1000 entries: take a power of two"):
        equal_levels(1000)


@pytest.mark.slow
def test_quantizers_end_in_one_table_judged_on_dev(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, speakers=6, clips=2, splits=("train", "train", "dev"))
    said: list[str] = []
    table = study("quantizers", tiny(), [corpus], tmp_path / "study", quiet=True, say=said.append)
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]
    assert rows[2:] == ["ema", "gradient", "fsq"]
    for title in ("tokens/s", "bit/s", "mel error", "PER from codes", "codebook usage"):
        assert title in table
    values = json.loads((tmp_path / "study/study.json").read_text())
    assert values["fsq"]["per"]["n"] == 4  # dev, not train
    assert values["ema"]["bit_rate"]["mean"] == values["fsq"]["bit_rate"]["mean"] == 31.25 * 5
    assert values["ema"]["bit_rate_3s"]["mean"] > values["ema"]["bit_rate_10s"]["mean"] > 31.25 * 5  # with the voice
    assert study("quantizers", tiny(), [corpus], tmp_path / "study", quiet=True, say=said.append) == table
    assert said.count("fsq: training") == 2


def test_a_study_of_the_other_system_is_refused(tmp_path: Path) -> None:
    arguments = ["study", "rates", "--recipe", "vqalattent-tiny", "--data", "none.jsonl", "--out", str(tmp_path / "a")]
    assert "the study 'rates' is of VQ-CTAP and of the guided codec: take one of its recipes" in str(
        CliRunner().invoke(app, arguments).exception
    )
