"""Going on after a kill, and beginning from another model."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.models import ready, ready_speaker
from tests.runs import check_going_on, fit, log, saved
from tests.states import same
from tests.systems.vqalattent.conftest import FIRST, SPEC, STEPS, short
from vocable import load, recipes
from vocable.audio import Audio
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import CheckpointError, ConfigError
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.train import checkpoint

pytestmark = pytest.mark.slow  # trains


@pytest.mark.parametrize("kept", [2, FIRST, 6])
def test_a_run_that_goes_on_is_the_run_that_never_stopped(
    manifest: Path, whole: Path, tmp_path: Path, kept: int
) -> None:
    """Stopped before, at and behind the border of the stages: every byte of weights, moments and model is the same."""
    check_going_on(short(), manifest, whole, tmp_path / "stopped", kept)


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
    material = run.material_of(quiet)
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
    material = run.material_of(quiet)
    model = run.objective(material, trained).model
    assert model.config.labels == {"speaker": ("ann",), "gender": ("female",)}
    assert model.label_durations[:, 0].tolist() == pytest.approx([material.durations.mean()] * 2)


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
        (short(width=8), r"has VqvaeConfig\(.*take another"),
        (short(order="row_major"), r"has VqvaeConfig\(.*time_major.*this recipe .*row_major"),
    ):
        with pytest.raises(ConfigError, match=message):
            fit(changed, manifest, tmp_path / "run", start=start)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["vqalattent-fsdd", "vqalattent-fsdd-unconditional"])
def test_the_bundled_model_is_a_beginning_of_its_recipes(manifest: Path, name: str) -> None:
    """Its recipe has since changed a setting of another kind of codebook."""
    run, start = recipes.find(name), load("vqalattent-fsdd")
    objective = run.objective(run.material_of(read_manifest(manifest, "train")[:3]), start)
    assert same(objective.model.vqvae.state_dict(), start.model.vqvae.state_dict())


@pytest.mark.parametrize("recipe", ["vqalattent-tiny", "guided-tiny", "vqalattent-classifier"])
def test_a_model_of_another_system_is_no_beginning(manifest: Path, tmp_path: Path, untyped: None, recipe: str) -> None:
    start, message = {
        "vqalattent-tiny": (
            ready("spectral"),
            "the model to begin from is a GuidedTokenizer, no VQalAttent; take another",
        ),
        "guided-tiny": (ready_speaker(), "is a VqalattentTokenizer, no guided codec; take another"),
        "vqalattent-classifier": (ready_speaker(), "leave --init out"),
    }[recipe]
    with pytest.raises(ConfigError, match=message):
        fit(recipes.find(recipe), manifest, tmp_path / "run", start=start)
    assert not (tmp_path / "run").exists()


def test_a_guided_codec_begins_with_the_weights_of_another(manifest: Path) -> None:
    run = recipes.find("guided-tiny")
    start = ready("spectral")
    objective = run.objective(run.material_of(read_manifest(manifest, "train")[:3]), start)
    assert same(objective.model.state_dict(), start.model.state_dict())
    assert objective.model is not start.model
