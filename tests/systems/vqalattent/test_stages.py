"""Two stages: the VQ-VAE and then the prior, each with its own losses, rates and networks."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.runs import finite, fit, log, saved, tensors
from tests.states import same
from tests.systems.vqalattent.conftest import FIRST, STEPS, short
from vocable import load
from vocable.data.manifest import read_manifest
from vocable.errors import CheckpointError, ConfigError
from vocable.systems.vqalattent.objective import VqalattentLosses, VqalattentObjective
from vocable.systems.vqalattent.recipe import VqalattentRun
from vocable.train.objective import Turn
from vocable.train.schedule import Weight


def turns(run: VqalattentRun, manifest: Path) -> Iterator[tuple[int, Turn]]:
    material = run.material_of(read_manifest(manifest, "train"))
    torch.manual_seed(0)
    objective = run.objective(material)
    assert isinstance(objective, VqalattentObjective)
    for part in objective.parts().values():
        part.train()
    for step in range(run.train.steps):
        (turn,) = objective.turns(material.batch(step), step)
        yield step, turn


def test_turns_are_the_vqvaes_and_then_the_priors(manifest: Path) -> None:
    run = short()
    losses = replace(run.losses, commitment=Weight(value=0.5, start=1, ramp=2), picture=Weight(value=3.0))
    for step, turn in turns(replace(run, losses=losses), manifest):
        assert turn.name == ("vqvae" if step < FIRST else "prior")
        assert turn.losses.keys() == turn.weights.keys()
        if turn.name == "vqvae":
            assert turn.weights == {"picture": 3.0, "commitment": [0.0, 0.0, 0.25, 0.5][step]}
            assert set(turn.stats) == {"used", "perplexity", "entropy", "dead", "restarts"}
        else:
            assert turn.weights == {"next_id": 1.0}
            assert float(turn.losses["next_id"].detach()) == pytest.approx(math.log(32), rel=0.05)


def test_either_stage_follows_its_own_schedule(whole: Path) -> None:
    """From its own first step to its own last, and the log says so."""
    run = short()
    rates = [run.train.learning_rate.at(step, FIRST) for step in range(FIRST)]
    rates += [run.losses.prior_rate.at(step, STEPS - FIRST) for step in range(STEPS - FIRST)]
    assert [line["learning_rate"] for line in log(whole)] == pytest.approx(rates)
    assert rates[FIRST] == 2e-3 / 3
    for line in log(whole):
        stage = "vqvae" if line["step"] <= FIRST else "prior"
        assert {name.split("/")[0] for name in line if "/" in name} == {stage}


def test_in_its_stage_only_the_prior_moves(whole: Path) -> None:
    vqvae, prior = ([tensors(whole, step, part) for step in range(1, STEPS + 1)] for part in ("vqvae", "prior"))
    assert not same(vqvae[FIRST - 2], vqvae[FIRST - 1])
    assert all(same(after, vqvae[FIRST - 1]) for after in vqvae[FIRST:])
    assert all(same(before, prior[0]) for before in prior[:FIRST])
    assert not any(same(before, after) for before, after in zip(prior[FIRST - 1 :], prior[FIRST:], strict=False))


def test_the_codebook_goes_on_learning_after_a_checkpoint(whole: Path) -> None:
    for step in range(1, FIRST + 1):
        assert int(tensors(whole, step, "vqvae")["vqvae.model.quantizer.codebooks.0.updates"]) == step


@pytest.mark.parametrize("training", [True, False])
def test_an_export_leaves_the_mode_as_it_was(manifest: Path, tmp_path: Path, training: bool) -> None:
    objective = short().objective(short().material_of(read_manifest(manifest, "train")))
    objective.model.train(training)
    objective.export(tmp_path)
    assert {part.training for part in objective.model.modules()} == {training}
    assert load(tmp_path).labels == {"digit": tuple("0123456789")}


def test_a_prior_can_speak_from_its_first_step_on(whole: Path) -> None:
    with pytest.raises(CheckpointError, match="prior is not trained"):
        load(saved(whole, FIRST)).sample([{"digit": 1}])
    assert len(load(saved(whole, FIRST + 1)).sample([{"digit": 1}])) == 1


def test_pictures_are_plain_from_the_priors_first_step_on(manifest: Path) -> None:
    material = short().material_of(read_manifest(manifest, "train"))
    assert material.config.plain_from == FIRST
    assert material.values == {"digit": tuple("0123456789")}


@pytest.mark.parametrize(("share", "first"), [(0.0, 0), (0.3, 3), (1.0, 10)])
def test_the_stages_share_the_steps(share: float, first: int) -> None:
    assert VqalattentLosses(vqvae_share=share).prior_from(10) == first


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(
        ConfigError, match=rf"vqvae_share is {share}: Input should be (less|greater) than or equal to [01]"
    ):
        VqalattentLosses(vqvae_share=share)


@pytest.mark.parametrize(("codebook", "term"), [("gradient", "codebook"), ("stochastic", "uniformity")])
def test_other_codebooks_learn(manifest: Path, tmp_path: Path, codebook: str, term: str) -> None:
    run = short(codebook=codebook, temperature=0.5)
    losses = replace(run.losses, uniformity=Weight(value=0.01))
    fit(replace(run, losses=losses, train=replace(run.train, steps=4)), manifest, tmp_path / "run")
    first, second, *_ = lines = log(tmp_path / "run")
    weight = {"codebook": 1.0, "uniformity": 0.01}[term]
    for line in (first, second):
        terms = {name for name in line if name.startswith("vqvae/") and not name.endswith("weight")}
        assert terms == {
            f"vqvae/{name}" for name in ("picture", "commitment", term, "total", "gradient_norm", "learning_rate")
        }
        assert line[f"vqvae/{term}/weight"] == weight
    assert finite(lines)
    entries = [tensors(tmp_path / "run", step, "vqvae")["vqvae.model.quantizer.codebooks.0.entries"] for step in (1, 2)]
    assert not torch.equal(*entries)
    assert len(load(tmp_path / "run").sample([{"digit": 1}])) == 1


def test_in_bfloat16_the_prior_learns_the_ids_that_are_used(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = short()
    material = run.material_of(read_manifest(manifest, "train"))
    objective = run.objective(material)
    seen: list[Tensor] = []

    def loss(ids: Tensor, labels: Tensor) -> Tensor:
        seen.append(ids)
        return torch.zeros((), requires_grad=True)

    monkeypatch.setattr(objective.model.prior, "loss", loss)
    batch = material.batch(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        list(objective.turns(batch, 0))
        list(objective.turns(batch, FIRST))
    assert torch.equal(seen[0], objective.model.vqvae.encode(batch.images))


def test_what_a_recording_lacks_is_not_what_a_batch_fails_on(manifest: Path) -> None:
    known = read_manifest(manifest, "train")
    mixed = [*known[:10], *(one.model_copy(update={"extra": {}}) for one in known[10:20])]
    run = short()
    material = run.material_of(mixed)
    objective = run.objective(material)
    assert int(material.labels.min()) == -1
    for step in (0, FIRST, FIRST + 1):
        (turn,) = objective.turns(material.batch(step), step)
        assert torch.isfinite(turn.total)


def test_stochastic_selection_anneals_to_what_use_takes(manifest: Path) -> None:
    """At the source's weights no entry is lost, and the error of training is that of use."""
    tiny = short(codebook="stochastic", codebook_size=16)
    tiny = replace(tiny, losses=replace(tiny.losses, vqvae_share=1.0), train=replace(tiny.train, steps=200))
    material = tiny.material_of(read_manifest(manifest, "train"))
    torch.manual_seed(0)
    objective = tiny.objective(material)
    quantizer = objective.model.vqvae.quantizer
    optimizer = torch.optim.Adam(objective.model.vqvae.parameters(), lr=3e-3)
    errors = []
    for step in range(200):
        (turn,) = objective.turns(material.batch(step), step)
        if step == 0:
            assert (quantizer.temperature, quantizer.noise, quantizer.hard) == (0.9, 1.0, True)
            assert turn.weights["commitment"] == 1e-3
        optimizer.zero_grad()
        turn.total.backward()
        optimizer.step()
        errors.append(float(turn.losses["picture"].detach()))
    assert quantizer.temperature == pytest.approx(0.5)
    assert quantizer.noise == 0.0
    objective.model.eval()
    images = torch.cat([material.batch(step).images for step in range(180, 200)])
    with torch.no_grad():
        ids = objective.model.vqvae.encode(images)
        in_use = float((objective.model.vqvae.decode(ids) - images).square().mean())
    assert len(ids.unique()) > 8
    assert in_use < 1.3 * float(np.mean(errors[-20:]))
