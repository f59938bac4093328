"""VQalAttent learns: the tiny recipe for real, its two stages, going on after a kill, and the judge of digits."""

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.digits import write_digits
from tests.models import ready, ready_speaker
from vocable import load, recipes
from vocable.audio import Audio
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import CheckpointError, ConfigError
from vocable.features.image import ImageSpec, picture, speech_bounds
from vocable.recipes.vqalattent import ClassifierRun, VqalattentRun, classifier
from vocable.systems.vqalattent import judge
from vocable.systems.vqalattent.classifier import Classifier, ClassifierConfig, ClassifierObjective, bent
from vocable.systems.vqalattent.objective import VqalattentLosses, VqalattentObjective
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.train import checkpoint
from vocable.train.objective import Turn
from vocable.train.schedule import LearningRate, Weight
from vocable.train.trainer import Trainer

STEPS, FIRST = 8, 4  # of a short run, and the first of them that is the prior's
SPEC = recipes.find("vqalattent-tiny").model.image


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


def fit(run: recipes.Run, manifest: Path, folder: Path, **how: Any) -> list[str]:
    said: list[str] = []
    recipes.fit(run, [manifest], folder, quiet=True, say=said.append, **how)
    return said


def saved(folder: Path, step: int) -> Path:
    return folder / f"checkpoints/step-{step:08d}"


def tensors(folder: Path, step: int, part: str) -> dict[str, Tensor]:
    """Weights and buffers of a part after a step."""
    found = load_file(saved(folder, step) / "training.safetensors")
    return {name: value for name, value in found.items() if name.startswith(f"{part}.model.")}


def log(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def whole(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run without a break."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    fit(short(), manifest, folder)
    return folder


# ---- the tiny recipe as it is ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def speaker(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> VqalattentTokenizer:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    fit(recipes.find("vqalattent-tiny"), manifest, folder)
    return load(folder)


def standardised(pictures: Tensor) -> Tensor:
    flat = pictures.flatten(1)
    return (flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True)


def nearest_label(pictures: Tensor, speaker: VqalattentTokenizer, manifest: Path) -> list[str]:
    """The digit of the training recording whose picture is nearest to each."""
    known = read_manifest(manifest, "train")
    seen = standardised(torch.stack([speaker.image(Audio.read(one.audio_path)) for one in known]))
    return [str(known[place].value("digit")) for place in torch.cdist(standardised(pictures), seen).argmin(1).tolist()]


def test_what_is_asked_for_is_what_is_spoken(speaker: VqalattentTokenizer, manifest: Path) -> None:
    """A hundred utterances, ten of each digit, told by the nearest recording: chance is 0.1."""
    asked = [str(row % 10) for row in range(100)]
    drawn = speaker.pictures(speaker.sample([{"digit": which} for which in asked], seed=0))
    told = nearest_label(drawn, speaker, manifest)
    assert np.mean([one == two for one, two in zip(asked, told, strict=True)]) > 0.5


def test_what_is_spoken_is_not_always_the_same(speaker: VqalattentTokenizer) -> None:
    tokens = speaker.sample([{"digit": 7}] * 10, seed=0)
    assert len({tuple(row) for row in tokens.ids[:, 0].tolist()}) > 5


def test_recordings_it_has_not_seen_come_back_as_the_same_digit(speaker: VqalattentTokenizer, manifest: Path) -> None:
    test = read_manifest(manifest, "test")
    made = speaker.pictures(speaker.encode_batch([Audio.read(one.audio_path) for one in test]))
    told = nearest_label(made, speaker, manifest)
    assert np.mean([one.value("digit") == label for one, label in zip(test, told, strict=True)]) > 0.9


def test_the_codebook_is_in_use(speaker: VqalattentTokenizer, manifest: Path) -> None:
    (book,) = speaker.model.vqvae.quantizer.books
    assert float(book.stats()["used"]) > 0.25
    test = [Audio.read(one.audio_path) for one in read_manifest(manifest, "test")]
    assert len(speaker.encode_batch(test).ids.unique()) > 0.25 * book.size


def test_the_prior_expects_recordings_more_than_chance_does(speaker: VqalattentTokenizer, manifest: Path) -> None:
    """In nats an id: less than the logarithm of the codebook's size, and least with the right digit."""
    test = read_manifest(manifest, "test")[:10]
    tokens = speaker.encode_batch([Audio.read(one.audio_path) for one in test])
    right = speaker.score(tokens, [{"digit": one.value("digit")} for one in test]).mean()
    wrong = speaker.score(tokens, [{"digit": (int(str(one.value("digit"))) + 5) % 10} for one in test]).mean()
    assert float(right) > float(wrong)
    assert float(right) > -0.8 * math.log(32)


def test_an_utterance_lasts_as_long_as_those_it_learnt_from(speaker: VqalattentTokenizer, manifest: Path) -> None:
    material = recipes.find("vqalattent-tiny").material(read_manifest(manifest, "train"))
    lasting = [float(material.durations[(material.labels[:, 0] == which).numpy()].mean()) for which in range(10)]
    tokens = speaker.sample([{"digit": which} for which in range(10)])
    assert tokens.voice[:, 1].tolist() == pytest.approx(lasting, rel=1e-4)
    assert float(speaker.model.typical) == pytest.approx(material.durations.mean(), rel=1e-5)
    assert torch.equal(speaker.model.bounds, material.bounds)


# ---- two stages ------------------------------------------------------------------------------------------------------


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
        assert terms == {f"vqvae/{name}" for name in ("picture", "commitment", term, "total", "gradient_norm")}
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


# ---- going on --------------------------------------------------------------------------------------------------------


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


# ---- beginning from a trained VQ-VAE ---------------------------------------------------------------------------------


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
    speaker: VqalattentTokenizer, quiet: list[Utterance]
) -> None:
    """Other recordings have another scale; a picture's ids are those of the model that is to use them."""
    run = recipes.find("vqalattent-tiny")
    run = replace(run, batches=replace(run.batches, warp=0.1, gain_db=(-6.0, 6.0)))
    material = run.material(quiet)
    own = material.bounds.clone()
    objective = run.objective(material, speaker)
    used = VqalattentTokenizer(objective.model)
    assert float((own - used.model.bounds).abs().min()) > 10
    batch = material.batch(0)
    said = used.encode_batch([Audio.read(name) for name in batch.names])
    assert float((objective.model.vqvae.encode(batch.images) == said.ids[:, 0]).float().mean()) > 0.95


def test_a_new_prior_has_the_labels_and_durations_of_its_own_data(
    speaker: VqalattentTokenizer, quiet: list[Utterance]
) -> None:
    run = recipes.find("vqalattent-tiny")
    run = replace(run, model=replace(run.model, prior=replace(run.model.prior, conditions=("speaker", "gender"))))
    material = run.material(quiet)
    model = run.objective(material, speaker).model
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


# ---- the judge of digits ---------------------------------------------------------------------------------------------

SMALL = ClassifierConfig(image=SPEC, width=12, hidden=32, dropout=0.1)


@pytest.fixture(scope="module")
def judged(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small classifier, trained on recordings."""
    folder = tmp_path_factory.mktemp("judge")
    run = ClassifierRun(model=SMALL, batches=judge.BATCHES, train=judge.training(120))
    fit(run, manifest, folder / "run")
    return saved(folder / "run", 120)


def pictures(manifest: Path, split: str) -> tuple[Tensor, list[str]]:
    """In decibels, with the digits they show."""
    known = read_manifest(manifest, split)
    clips = [Audio.read(one.audio_path).samples for one in known]
    shown = torch.stack([picture(clip, SPEC, bounds=speech_bounds(clip, SPEC)) for clip in clips])
    return shown, [str(one.value("digit")) for one in known]


def test_a_classifier_tells_digits_it_has_not_heard(judged: Path, manifest: Path) -> None:
    shown, digits = pictures(manifest, "test")
    told = Classifier.load(judged).told(shown)
    assert np.mean([one == two for one, two in zip(told, digits, strict=True)]) > 0.8


def test_neither_level_nor_company_is_a_clue(judged: Path, manifest: Path) -> None:
    shown, _ = pictures(manifest, "test")
    told = Classifier.load(judged)
    assert told.told(shown - 17.0) == told.told(shown)
    assert [told.told(one[None])[0] for one in shown[:8]] == told.told(shown)[:8]


def test_a_saved_classifier_is_itself(judged: Path, manifest: Path, tmp_path: Path) -> None:
    shown, _ = pictures(manifest, "test")
    one = Classifier.load(judged)
    one.save(tmp_path)
    two = Classifier.load(tmp_path)
    assert two.config == one.config == replace(SMALL, labels=tuple("0123456789"))
    with torch.inference_mode():
        assert torch.equal(one(shown), two(shown))


def test_a_folder_that_holds_no_classifier_is_refused(judged: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a vqalattent, no classifier of pictures"):
        Classifier.load(saved(whole, STEPS))
    with pytest.raises(CheckpointError, match=r"model.json: cannot be used"):
        Classifier.load(tmp_path)
    with pytest.raises(CheckpointError, match="names no system this vocable knows"):
        load(judged)
    folder = shutil.copytree(judged, tmp_path / "broken")
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | {"config": card["config"] | {"colour": "red"}}))
    with pytest.raises(CheckpointError, match="the classifier's configuration cannot be used"):
        Classifier.load(folder)


def test_bent_pictures_keep_their_shape_and_differ(manifest: Path) -> None:
    shown, _ = pictures(manifest, "test")
    torch.manual_seed(0)
    one = bent(shown)
    two = bent(shown)
    torch.manual_seed(0)
    assert torch.equal(bent(shown), one)
    for made in (one, two):
        assert made.shape == shown.shape
        assert torch.isfinite(made).all()
    assert not any(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_classifier_learns_from_labelled_pictures_alone(manifest: Path) -> None:
    """What is not labelled is left away."""
    known = read_manifest(manifest, "train")[:12]
    mixed = [one.model_copy(update={"extra": {}}) if row % 2 else one for row, one in enumerate(known)]
    run = ClassifierRun(model=replace(SMALL, key="digit"), batches=judge.BATCHES, train=judge.training(1))
    material = run.material(mixed)
    objective = run.objective(material)
    assert isinstance(objective, ClassifierObjective)
    assert len(material.utterances) == 6
    batch = material.batch(0)
    assert int(batch.labels.min()) == 0
    (turn,) = objective.turns(batch, 0)
    assert list(turn.losses) == ["cross_entropy"]
    assert torch.isfinite(turn.total)


def test_the_recipe_of_the_judge_sees_what_the_boxs_model_makes() -> None:
    assert classifier().model.image == recipes.find("vqalattent-fsdd").model.image


def test_a_picture_too_small_to_be_halved_four_times_is_refused() -> None:
    with pytest.raises(ConfigError, match="15 × 88 is too small to be halved four times"):
        ClassifierConfig(image=ImageSpec(bins=15))


def test_a_classifier_is_trained_once_and_found_again(
    manifest: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = read_manifest(manifest, "train")
    model, out = saved(whole, STEPS), tmp_path / "report"
    one, said = judge.find_classifier(model, known, SPEC, "digit", out, steps=2)
    assert said == "trained on 90 recordings of ann, bob, cat"
    assert one.config.labels == tuple("0123456789")
    assert not one.training
    monkeypatch.setattr(Trainer, "run", lambda self: pytest.fail("it was trained again"))
    two, said_again = judge.find_classifier(model, [], SPEC, "digit", out, steps=2)
    assert said_again == said
    assert not two.training
    assert same(one.state_dict(), two.state_dict())


def test_a_classifier_whose_training_was_stopped_is_not_taken(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = read_manifest(manifest, "train")[:8]

    def stopped(self: Trainer) -> None:
        self.step = 1
        self.save()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", stopped)
        with pytest.raises(KeyboardInterrupt):
            judge.find_classifier(tmp_path, known, SPEC, "digit", tmp_path / "out", steps=2)
    one, _ = judge.find_classifier(tmp_path, known, SPEC, "digit", tmp_path / "out", steps=2)
    two, _ = judge.find_classifier(tmp_path, known, SPEC, "digit", tmp_path / "other", steps=2)
    assert same(one.state_dict(), two.state_dict())


def test_a_classifier_is_seeded(manifest: Path, tmp_path: Path) -> None:
    known = read_manifest(manifest, "train")[:8]
    made = [
        judge.find_classifier(tmp_path / "none", known, SPEC, "digit", tmp_path / name, seed=seed, steps=1)[0]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert same(made[0].state_dict(), made[1].state_dict())
    assert not same(made[0].state_dict(), made[2].state_dict())


@pytest.mark.parametrize("place", ["model", "run/checkpoints/step-00000008"])
def test_a_classifier_that_comes_with_a_model_is_taken(judged: Path, tmp_path: Path, place: str) -> None:
    """Beside the model, or beside the run whose checkpoint it is."""
    model = tmp_path / place
    model.mkdir(parents=True)
    folder = (model if place == "model" else tmp_path / "run") / judge.FOLDER
    shutil.copytree(judged, folder)
    with pytest.raises(CheckpointError, match=r"trained.json: cannot be used .* it says on what it learnt"):
        judge.find_classifier(model, [], SPEC, "digit", tmp_path / "out")
    (folder / "trained.json").write_text('{"said": "trained on a hundred speakers"}')
    found, said = judge.find_classifier(model, [], SPEC, "digit", tmp_path / "out")
    assert said == "trained on a hundred speakers"
    assert same(found.state_dict(), Classifier.load(judged).state_dict())
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match=r"classifier: takes pictures ImageSpec\(.*train another"):
        judge.find_classifier(model, [], replace(SPEC, frames=48), "digit", tmp_path / "out")


def test_without_classifier_and_recordings_there_is_no_judge(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no classifier with it and the manifest no recordings to train one on"):
        judge.find_classifier(tmp_path, [], SPEC, "digit", tmp_path / "out")


def test_a_tokenizer_is_no_part_of_a_judge(tmp_path: Path) -> None:
    ready_speaker().save(tmp_path / judge.FOLDER)
    with pytest.raises(CheckpointError, match="holds a vqalattent, no classifier"):
        judge.find_classifier(tmp_path, [], SPEC, "digit", tmp_path / "out")
