"""Where the judge of what is spoken comes from: out of the model's folder, or trained on recordings first."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from vocable.data.manifest import Utterance, read_manifests
from vocable.errors import CheckpointError, ConfigError
from vocable.files import write_json
from vocable.systems.vqalattent.config import ImageSpec
from vocable.systems.vqalattent.data import ImageConfig, Images
from vocable.systems.vqalattent.recipe import fsdd
from vocable.train.run import Run
from vocable.train.schedule import LearningRate
from vocable.train.trainer import TrainConfig, Trainer
from vocable_lab.vqalattent.classifier import Classifier, ClassifierConfig, ClassifierObjective, with_labels

FOLDER = "classifier"  # beside the model it came with
STEPS = 2_000
BATCHES = ImageConfig(batch_size=32, gain_db=(-15.0, 0.0))


def training(steps: int, seed: int = 0) -> TrainConfig:
    """How a classifier is trained."""
    return TrainConfig(
        steps=steps, learning_rate=LearningRate(peak=1e-3), betas=(0.9, 0.99), weight_decay=1e-2, seed=seed
    )


def find_classifier(
    model: Path, recordings: Sequence[Utterance], image: ImageSpec, key: str, out: Path, *, seed: int = 0,
    steps: int = STEPS,
) -> tuple[Classifier, str]:  # fmt: skip
    """A classifier for a model's pictures.

    Args:
        model: Its folder, which, or one of whose parents, may hold a ``classifier``.
        recordings: What is trained on otherwise.
        image: Of the pictures.
        key: What is told apart.
        out: A new one is kept here, in ``classifier/``, and is found there the next time.
        seed: Of the training.
        steps: Of the training.

    Returns:
        The classifier, and a few words on where it is from.

    Raises:
        ConfigError: There is none and nothing to train on, or the one there is takes other pictures.
        CheckpointError: It cannot be read.
    """
    for parent in (model, *model.parents[:3], out):  # a checkpoint lies two folders under its run, that in a study
        if (parent / FOLDER / "model.json").is_file():
            found = Classifier.load(parent / FOLDER)
            if found.config.image != image:
                raise ConfigError(
                    f"{parent / FOLDER}: takes pictures {found.config.image}, the model makes {image}; train another"
                )
            return found, _said(parent / FOLDER)
    if not recordings:
        raise ConfigError(
            "the model has no classifier with it and the manifest no recordings to train one on: add them"
        )
    config = ClassifierConfig(image=image, key=key)
    material = Images(recordings, BATCHES, image, (key,))
    speakers = sorted({one.speaker or "unknown" for one in material.utterances})
    said = f"trained on {len(material.utterances)} recordings of {', '.join(speakers)}"
    torch.manual_seed(seed)
    classifier = Classifier(with_labels(config, material.values))
    folder = out / FOLDER
    Trainer(ClassifierObjective(classifier, material.bounds), material, training(steps, seed), folder, quiet=True).run()
    write_json(folder / "trained.json", {"said": said})
    classifier.save(folder)  # last: what is found here is complete
    return classifier.eval(), said


def _said(folder: Path) -> str:
    """What a classifier's folder says of where it is from."""
    try:
        return str(json.loads((folder / "trained.json").read_text(encoding="utf-8"))["said"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / 'trained.json'}: cannot be used ({error}); it says on what it learnt"
        ) from error


@dataclass(frozen=True, kw_only=True)
class ClassifierRun(Run):
    """The judge of digits, on recordings."""

    model: ClassifierConfig
    losses: None = None
    batches: ImageConfig

    def material(self, manifests: Sequence[str | os.PathLike[str]], split: str | None) -> Images:
        """Return the training data of some manifests; see :meth:`material_of`."""
        return self.material_of(read_manifests(manifests, split))

    def material_of(self, utterances: Sequence[Utterance]) -> Images:
        """Pictures labelled with what is told apart; recordings that do not say it are left away."""
        labelled = [one for one in utterances if one.value(self.model.key) is not None]
        return Images(labelled or utterances, self.batches, self.model.image, (self.model.key,))

    def objective(self, material: Images, start: object = None) -> ClassifierObjective:
        """A fresh classifier of the labels in the data.

        Raises:
            ConfigError: There is something to begin from: a judge begins from nothing.
        """
        if start is not None:
            raise ConfigError("a judge that had seen anything else could not be trusted: leave --init out")
        return ClassifierObjective(Classifier(with_labels(self.model, material.values)), material.bounds)


def classifier() -> ClassifierRun:
    """The judge that comes with ``vqalattent-fsdd``."""
    return ClassifierRun(model=ClassifierConfig(image=fsdd().model.image), batches=BATCHES, train=training(4_000))
