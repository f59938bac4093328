"""The judge of digits: what it hears, and where it comes from."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.models import ready_speaker
from tests.runs import fit, saved
from tests.states import same
from tests.systems.vqalattent.conftest import (
    SPEC,
    STEPS,
    manifest,  # noqa: F401
    whole,  # noqa: F401
)
from vocable import load, recipes
from vocable.audio import Audio
from vocable.data.manifest import read_manifest
from vocable.errors import CheckpointError, ConfigError
from vocable.folder import digest_of
from vocable.systems.vqalattent.config import ImageSpec
from vocable.systems.vqalattent.image import find_speech, mel_image
from vocable.train.trainer import Trainer
from vocable_lab.vqalattent import classifier as classifiers
from vocable_lab.vqalattent.classifier import (
    Classifier,
    ClassifierConfig,
    ClassifierObjective,
    ClassifierRun,
    augment,
    classifier,
)

pytestmark = pytest.mark.slow  # trains

SMALL = ClassifierConfig(image=SPEC, width=12, hidden=32, dropout=0.1)


@pytest.fixture(scope="module")
def judged(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small classifier, trained on recordings."""
    folder = tmp_path_factory.mktemp("judge")
    run = ClassifierRun(model=SMALL, batches=classifiers._BATCHES, train=classifiers._train_config(120, 0))
    fit(run, manifest, folder / "run")
    return saved(folder / "run", 120)


def pictures(manifest: Path, split: str) -> tuple[Tensor, list[str]]:
    """In decibels, with the digits they show."""
    known = read_manifest(manifest, split)
    clips = [Audio.read(one.audio_path).samples for one in known]
    shown = torch.stack([mel_image(clip, SPEC, bounds=find_speech(clip, SPEC)) for clip in clips])
    return shown, [str(one.value("digit")) for one in known]


def test_a_classifier_tells_digits_it_has_not_heard(judged: Path, manifest: Path) -> None:
    shown, digits = pictures(manifest, "test")
    told = Classifier.load(judged).predict(shown)
    assert np.mean([one == two for one, two in zip(told, digits, strict=True)]) > 0.8


def test_neither_level_nor_company_is_a_clue(judged: Path, manifest: Path) -> None:
    shown, _ = pictures(manifest, "test")
    told = Classifier.load(judged)
    assert told.predict(shown - 17.0) == told.predict(shown)
    assert [told.predict(one[None])[0] for one in shown[:8]] == told.predict(shown)[:8]


def test_a_saved_classifier_is_itself(judged: Path, manifest: Path, tmp_path: Path) -> None:
    shown, _ = pictures(manifest, "test")
    one = Classifier.load(judged)
    one.save(tmp_path)
    two = Classifier.load(tmp_path)
    assert two.config == one.config == replace(SMALL, labels=tuple("0123456789"))
    with torch.inference_mode():
        assert torch.equal(one(shown), two(shown))


def test_a_folder_that_holds_no_classifier_is_refused(judged: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a vqalattent, no classifier of images"):
        Classifier.load(saved(whole, STEPS))
    with pytest.raises(CheckpointError, match=r"model.json: cannot be used"):
        Classifier.load(tmp_path)
    with pytest.raises(CheckpointError, match="system 'vqalattent-classifier' is not registered"):
        load(judged)
    folder = shutil.copytree(judged, tmp_path / "broken")
    card = json.loads((folder / "model.json").read_text())
    config = card["config"] | {"colour": "red"}
    digest = digest_of(config, load_file(folder / "model.safetensors"))  # as a stranger would sign it
    (folder / "model.json").write_text(json.dumps(card | {"config": config, "digest": digest}))
    with pytest.raises(CheckpointError, match="the classifier's configuration: colour"):
        Classifier.load(folder)


def test_bent_pictures_keep_their_shape_and_differ(manifest: Path) -> None:
    shown, _ = pictures(manifest, "test")
    torch.manual_seed(0)
    one = augment(shown)
    two = augment(shown)
    torch.manual_seed(0)
    assert torch.equal(augment(shown), one)
    for made in (one, two):
        assert made.shape == shown.shape
        assert torch.isfinite(made).all()
    assert not any(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_classifier_learns_from_labelled_pictures_alone(manifest: Path) -> None:
    """What is not labelled is left away."""
    known = read_manifest(manifest, "train")[:12]
    mixed = [one.model_copy(update={"extra": {}}) if row % 2 else one for row, one in enumerate(known)]
    run = ClassifierRun(
        model=replace(SMALL, key="digit"), batches=classifiers._BATCHES, train=classifiers._train_config(1, 0)
    )
    material = run.material_of(mixed)
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
    one, said = classifiers.find_classifier(model, known, SPEC, "digit", out, steps=2)
    assert said == "trained on 90 recordings of ann, bob, cat"
    assert one.config.labels == tuple("0123456789")
    assert not one.training
    monkeypatch.setattr(Trainer, "run", lambda self: pytest.fail("it was trained again"))
    two, said_again = classifiers.find_classifier(model, [], SPEC, "digit", out, steps=2)
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
            classifiers.find_classifier(tmp_path, known, SPEC, "digit", tmp_path / "out", steps=2)
    one, _ = classifiers.find_classifier(tmp_path, known, SPEC, "digit", tmp_path / "out", steps=2)
    two, _ = classifiers.find_classifier(tmp_path, known, SPEC, "digit", tmp_path / "other", steps=2)
    assert same(one.state_dict(), two.state_dict())


def test_a_classifier_is_seeded(manifest: Path, tmp_path: Path) -> None:
    known = read_manifest(manifest, "train")[:8]
    made = [
        classifiers.find_classifier(tmp_path / "none", known, SPEC, "digit", tmp_path / name, seed=seed, steps=1)[0]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert same(made[0].state_dict(), made[1].state_dict())
    assert not same(made[0].state_dict(), made[2].state_dict())


@pytest.mark.parametrize("place", ["model", "run/checkpoints/step-00000008"])
def test_a_classifier_that_comes_with_a_model_is_taken(judged: Path, tmp_path: Path, place: str) -> None:
    """Beside the model, or beside the run whose checkpoint it is."""
    model = tmp_path / place
    model.mkdir(parents=True)
    folder = (model if place == "model" else tmp_path / "run") / classifiers.FOLDER
    shutil.copytree(judged, folder)
    with pytest.raises(CheckpointError, match=r"trained.json: cannot be read .*train the classifier again"):
        classifiers.find_classifier(model, [], SPEC, "digit", tmp_path / "out")
    (folder / "trained.json").write_text('{"said": "trained on a hundred speakers"}')
    found, said = classifiers.find_classifier(model, [], SPEC, "digit", tmp_path / "out")
    assert said == "trained on a hundred speakers"
    assert same(found.state_dict(), Classifier.load(judged).state_dict())
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match=r"classifier: takes images ImageSpec\(.*train another"):
        classifiers.find_classifier(model, [], replace(SPEC, frames=48), "digit", tmp_path / "out")


def test_without_classifier_and_recordings_there_is_no_judge(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no classifier and the manifest no recordings to train one on"):
        classifiers.find_classifier(tmp_path, [], SPEC, "digit", tmp_path / "out")


def test_a_tokenizer_is_no_part_of_a_judge(tmp_path: Path) -> None:
    ready_speaker().save(tmp_path / classifiers.FOLDER)
    with pytest.raises(CheckpointError, match="holds a vqalattent, no classifier"):
        classifiers.find_classifier(tmp_path, [], SPEC, "digit", tmp_path / "out")
