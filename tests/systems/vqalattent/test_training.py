"""VQalAttent learns: the tiny recipe for real, its two stages, and going on after a kill or from another model."""

import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models import ready, ready_speaker
from tests.runs import log, saved, tensors
from tests.systems.vqalattent.conftest import FIRST, SPEC, STEPS, fit, same, short
from vocable import load, recipes
from vocable.audio import Audio
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import CheckpointError, ConfigError
from vocable.recipes.vqalattent import VqalattentRun
from vocable.systems.vqalattent.objective import VqalattentLosses, VqalattentObjective
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.train import checkpoint
from vocable.train.objective import Turn
from vocable.train.schedule import Weight


@pytest.fixture(scope="module")
def trained(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> VqalattentTokenizer:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    fit(recipes.find("vqalattent-tiny"), manifest, folder)
    return load(folder)


def standardised(pictures: Tensor) -> Tensor:
    flat = pictures.flatten(1)
    return (flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True)


def nearest_label(pictures: Tensor, trained: VqalattentTokenizer, manifest: Path) -> list[str]:
    """The digit of the training recording whose picture is nearest to each."""
    known = read_manifest(manifest, "train")
    seen = standardised(torch.stack([trained.image(Audio.read(one.audio_path)) for one in known]))
    return [str(known[place].value("digit")) for place in torch.cdist(standardised(pictures), seen).argmin(1).tolist()]


def test_what_is_asked_for_is_what_is_spoken(trained: VqalattentTokenizer, manifest: Path) -> None:
    """A hundred utterances, ten of each digit, told by the nearest recording: chance is 0.1."""
    asked = [str(row % 10) for row in range(100)]
    drawn = trained.pictures(trained.sample([{"digit": which} for which in asked], seed=0))
    told = nearest_label(drawn, trained, manifest)
    assert np.mean([one == two for one, two in zip(asked, told, strict=True)]) > 0.5


def test_what_is_spoken_is_not_always_the_same(trained: VqalattentTokenizer) -> None:
    tokens = trained.sample([{"digit": 7}] * 10, seed=0)
    assert len({tuple(row) for row in tokens.ids[:, 0].tolist()}) > 5


def test_recordings_it_has_not_seen_come_back_as_the_same_digit(trained: VqalattentTokenizer, manifest: Path) -> None:
    test = read_manifest(manifest, "test")
    made = trained.pictures(trained.encode_batch([Audio.read(one.audio_path) for one in test]))
    told = nearest_label(made, trained, manifest)
    assert np.mean([one.value("digit") == label for one, label in zip(test, told, strict=True)]) > 0.9


def test_the_codebook_is_in_use(trained: VqalattentTokenizer, manifest: Path) -> None:
    (book,) = trained.model.vqvae.quantizer.books
    assert float(book.stats()["used"]) > 0.25
    test = [Audio.read(one.audio_path) for one in read_manifest(manifest, "test")]
    assert len(trained.encode_batch(test).ids.unique()) > 0.25 * book.size


def test_the_prior_expects_recordings_more_than_chance_does(trained: VqalattentTokenizer, manifest: Path) -> None:
    """In nats an id: less than the logarithm of the codebook's size, and least with the right digit."""
    test = read_manifest(manifest, "test")[:10]
    tokens = trained.encode_batch([Audio.read(one.audio_path) for one in test])
    right = trained.score(tokens, [{"digit": one.value("digit")} for one in test]).mean()
    wrong = trained.score(tokens, [{"digit": (int(str(one.value("digit"))) + 5) % 10} for one in test]).mean()
    assert float(right) > float(wrong)
    assert float(right) > -0.8 * math.log(32)


def test_an_utterance_lasts_as_long_as_those_it_learnt_from(trained: VqalattentTokenizer, manifest: Path) -> None:
    material = recipes.find("vqalattent-tiny").material(read_manifest(manifest, "train"))
    lasting = [float(material.durations[(material.labels[:, 0] == which).numpy()].mean()) for which in range(10)]
    tokens = trained.sample([{"digit": which} for which in range(10)])
    assert tokens.voice[:, 1].tolist() == pytest.approx(lasting, rel=1e-4)
    assert float(trained.model.typical) == pytest.approx(material.durations.mean(), rel=1e-5)
    assert torch.equal(trained.model.bounds, material.bounds)


def turns(run: VqalattentRun, manifest: Path) -> Iterator[tuple[int, Turn]]:
    material = run.material(read_manifest(manifest, "train"))
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
    objective = short().objective(short().material(read_manifest(manifest, "train")))
    objective.model.train(training)
    objective.export(tmp_path)
    assert {part.training for part in objective.model.modules()} == {training}
    assert load(tmp_path).labels == {"digit": tuple("0123456789")}


def test_a_prior_can_speak_from_its_first_step_on(whole: Path) -> None:
    with pytest.raises(CheckpointError, match="prior is not trained"):
        load(saved(whole, FIRST)).sample([{"digit": 1}])
    assert len(load(saved(whole, FIRST + 1)).sample([{"digit": 1}])) == 1


def test_pictures_are_plain_from_the_priors_first_step_on(manifest: Path) -> None:
    material = short().material(read_manifest(manifest, "train"))
    assert material.config.plain_from == FIRST
    assert material.values == {"digit": tuple("0123456789")}


@pytest.mark.parametrize(("share", "first"), [(0.0, 0), (0.3, 3), (1.0, 10)])
def test_the_stages_share_the_steps(share: float, first: int) -> None:
    assert VqalattentLosses(vqvae_share=share).prior_from(10) == first


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ConfigError, match=rf"vqvae_share is {share}: a share in \[0, 1\] is wanted"):
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
    assert all(math.isfinite(value) for line in lines for value in line.values() if isinstance(value, float))
    entries = [tensors(tmp_path / "run", step, "vqvae")["vqvae.model.quantizer.codebooks.0.entries"] for step in (1, 2)]
    assert not torch.equal(*entries)
    assert len(load(tmp_path / "run").sample([{"digit": 1}])) == 1


def test_in_bfloat16_the_prior_learns_the_ids_that_are_used(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = short()
    material = run.material(read_manifest(manifest, "train"))
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
    material = run.material(mixed)
    objective = run.objective(material)
    assert int(material.labels.min()) == -1
    for step in (0, FIRST, FIRST + 1):
        (turn,) = objective.turns(material.batch(step), step)
        assert torch.isfinite(turn.total)


@pytest.mark.parametrize("kept", [2, FIRST, 6])
def test_a_run_that_goes_on_is_the_run_that_never_stopped(
    manifest: Path, whole: Path, tmp_path: Path, kept: int
) -> None:
    """Stopped before, at and behind the border of the stages: every byte of weights, moments and model is the same."""
    folder = shutil.copytree(whole, tmp_path / "stopped")
    for later in checkpoint.steps(folder / "checkpoints")[kept:]:
        shutil.rmtree(later)
    assert fit(short(), manifest, folder, resume=True)[-1] == f"resumed at step {kept}"
    for name in ("training.safetensors", "model.safetensors", "model.json"):
        assert (saved(folder, STEPS) / name).read_bytes() == (saved(whole, STEPS) / name).read_bytes()
    assert log(folder) == log(whole)


def test_equal_seeds_equal_runs(manifest: Path, whole: Path, tmp_path: Path) -> None:
    fit(short(), manifest, tmp_path / "again")
    assert load(tmp_path / "again").digest == load(whole).digest
    fit(recipes.override(short(), seed=1), manifest, tmp_path / "other")
    assert load(tmp_path / "other").digest != load(whole).digest


def test_a_vqvae_to_begin_from_stays_as_it_is_and_only_the_prior_learns(
    manifest: Path, whole: Path, tmp_path: Path
) -> None:
    start = load(whole)
    run = recipes.override(short(), steps=3, seed=7)
    fit(run, manifest, tmp_path / "run", start=start)
    made = load(tmp_path / "run")
    assert same(made.model.vqvae.state_dict(), start.model.vqvae.state_dict())
    assert not same(made.model.prior.state_dict(), start.model.prior.state_dict())
    assert torch.equal(made.model.bounds, start.model.bounds)
    assert len(made.sample([{"digit": 1}])) == 1
    assert [line["learning_rate"] for line in log(tmp_path / "run")] == pytest.approx(
        [run.losses.prior_rate.at(step, 3) for step in range(3)]
    )
    assert all("prior/next_id" in line and "vqvae/picture" not in line for line in log(tmp_path / "run"))


@pytest.fixture(scope="module")
def quiet(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    """Some of the recordings, 20 dB quieter."""
    folder, known = tmp_path_factory.mktemp("quiet"), read_manifest(manifest, "train")[:6]
    for one in known:
        clip = Audio.read(one.audio_path)
        Audio(clip.samples * 0.1, clip.sample_rate).write(folder / one.audio_path.name)
    return [one.model_copy(update={"audio_path": folder / one.audio_path.name}) for one in known]


def test_a_new_prior_learns_the_ids_that_the_old_scale_gives(
    trained: VqalattentTokenizer, quiet: list[Utterance]
) -> None:
    """Other recordings have another scale; a picture's ids are those of the model that is to use them."""
    run = recipes.find("vqalattent-tiny")
    run = replace(run, batches=replace(run.batches, warp=0.1, gain_db=(-6.0, 6.0)))
    material = run.material(quiet)
    own = material.bounds.clone()
    objective = run.objective(material, trained)
    used = VqalattentTokenizer(objective.model)
    assert float((own - used.model.bounds).abs().min()) > 10
    batch = material.batch(0)
    said = used.encode_batch([Audio.read(name) for name in batch.names])
    assert float((objective.model.vqvae.encode(batch.images) == said.ids[:, 0]).float().mean()) > 0.95


def test_a_new_prior_has_the_labels_and_durations_of_its_own_data(
    trained: VqalattentTokenizer, quiet: list[Utterance]
) -> None:
    run = recipes.find("vqalattent-tiny")
    run = replace(run, model=replace(run.model, prior=replace(run.model.prior, conditions=("speaker", "gender"))))
    material = run.material(quiet)
    model = run.objective(material, trained).model
    assert model.config.labels == {"speaker": ("ann",), "gender": ("female",)}
    assert model.seconds[:, 0].tolist() == pytest.approx([material.durations.mean()] * 2)


def test_a_run_from_a_vqvae_goes_on_as_if_never_stopped(manifest: Path, whole: Path, tmp_path: Path) -> None:
    start = load(whole)
    fit(short(), manifest, tmp_path / "whole", start=start)
    folder = shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    for later in checkpoint.steps(folder / "checkpoints")[3:]:
        shutil.rmtree(later)
    with pytest.raises(CheckpointError, match=r"the run began from sha256:.*; pass the same --init"):
        fit(short(), manifest, folder, resume=True)
    fit(short(), manifest, folder, start=start, resume=True)
    for name in ("training.safetensors", "model.safetensors"):
        assert (saved(folder, STEPS) / name).read_bytes() == (saved(tmp_path / "whole", STEPS) / name).read_bytes()


def test_a_model_that_does_not_fit_is_no_beginning(manifest: Path, whole: Path, tmp_path: Path) -> None:
    start = load(whole)
    run = short()
    for changed, message in (
        (replace(run, model=replace(run.model, image=replace(SPEC, trim_db=20.0))), r"has ImageSpec\(.*trim_db=15.0"),
        (short(width=8), r"has VqvaeConfig\(.*their pictures or ids are not the same"),
        (short(order="row_major"), r"has VqvaeConfig\(.*time_major.*this recipe .*row_major"),
    ):
        with pytest.raises(ConfigError, match=message):
            fit(changed, manifest, tmp_path / "run", start=start)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", ["vqalattent-tiny", "guided-tiny", "vqalattent-classifier"])
def test_a_model_of_another_system_is_no_beginning(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # whose check of the type comes first in tests
    start, message = {
        "vqalattent-tiny": (ready("spectral"), "the model to begin from is no VQalAttent; take another"),
        "guided-tiny": (ready_speaker(), "no guided codec of this recipe's sizes; take another"),
        "vqalattent-classifier": (ready_speaker(), "leave --init out"),
    }[recipe]
    with pytest.raises(ConfigError, match=message):
        fit(recipes.find(recipe), manifest, tmp_path / "run", start=start)
    assert not (tmp_path / "run").exists()


def test_a_guided_codec_begins_with_the_weights_of_another(manifest: Path) -> None:
    run = recipes.find("guided-tiny")
    start = ready("spectral")
    objective = run.objective(run.material(read_manifest(manifest, "train")[:3]), start)
    assert same(objective.model.state_dict(), start.model.state_dict())
    assert objective.model is not start.model
