"""Classifier of log-mel images, which scores generated utterances: the network, its training, and where it is found.

It is trained on recordings alone. Images are standardized one by one, so that neither loudness nor the scale of a
corpus is a cue. Corpora have few speakers, so training augments every image: pitch and vocal tract, timing, spectral
tilt, noise and missing parts.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vocable.data.manifest import Utterance, open_manifests, select
from vocable.errors import CheckpointError, ConfigError
from vocable.files import is_file, write_json
from vocable.folder import read_model, system_of, write_model
from vocable.schema import Share, Width, config, parse, read_json, to_json
from vocable.systems.vqalattent.config import ImageSpec
from vocable.systems.vqalattent.data import ImageBatch, ImageConfig, Images
from vocable.systems.vqalattent.image import from_unit
from vocable.systems.vqalattent.recipe import fsdd
from vocable.train.objective import Turn
from vocable.train.run import Run
from vocable.train.schedule import LearningRate
from vocable.train.trainer import TrainConfig, Trainer

SYSTEM = "vqalattent-classifier"
"""Name of the system in ``model.json``."""
FOLDER = "classifier"
"""Name of a classifier's folder inside its model's or run's folder."""

_DIGIT = "digit"
_STEPS = 2_000
_BATCHES = ImageConfig(batch_size=32, gain_db=(-15.0, 0.0))
_WARPS = (0.86, 0.93, 1.0, 1.07, 1.14)  # factors on the frequency axis over which a prediction is averaged
_DEPTH_DB = 60.0  # level under an image's loudest value at which it is clamped


@config
class ClassifierConfig:
    """Configuration of a classifier.

    Attributes:
        image: Image spec.
        key: Manifest key that it predicts.
        labels: Values of the key, found in the training data.
        width: Channels of the first of four blocks; each further block has twice as many.
        hidden: Width of the fully connected layer.
        dropout: Dropout rate of the fully connected layer; that of the blocks is a fifth.
    """

    image: ImageSpec = ImageSpec()
    key: str = _DIGIT
    labels: tuple[str, ...] = ()
    width: Width = 24
    hidden: Width = 128
    dropout: Share = 0.5

    def __post_init__(self) -> None:
        if min(self.image.bins, self.image.frames) < 16:
            raise ConfigError(f"{self.image.bins} × {self.image.frames} is too small to be halved four times")


class Classifier(nn.Module):
    """Convolutional blocks, then fully connected layers.

    Args:
        config: Sizes and labels.

    Source:
        VQalAttent, arXiv:2411.14642, section IV ("conv layers then fully connected layers"; sizes only in a figure):
        four blocks of convolution, batch norm, ReLU and pooling as in its authors' later code, narrower.

    Example:
        >>> classifier = Classifier(ClassifierConfig(labels=("yes", "no"), width=4)).eval()
        >>> classifier(torch.zeros(3, 64, 88)).shape
        torch.Size([3, 2])
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        channels = 1
        for width in (config.width * times for times in (1, 2, 4, 8)):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                       nn.MaxPool2d(2), nn.Dropout(0.2 * config.dropout)]  # fmt: skip
            channels = width
        self.blocks = nn.Sequential(*layers)
        cells = (config.image.bins // 16) * (config.image.frames // 16)
        self.head = nn.Sequential(
            nn.Linear(channels * cells, config.hidden), nn.ReLU(), nn.Dropout(config.dropout),
            nn.Linear(config.hidden, max(1, len(config.labels))),
        )  # fmt: skip

    def forward(self, decibels: Float[Tensor, "B F S"]) -> Float[Tensor, "B V"]:
        """Compute the logits of the labels from images in dB."""
        return self.head(self.features(decibels))

    def features(self, decibels: Float[Tensor, "B F S"]) -> Float[Tensor, "B D"]:
        """Return the input of the fully connected layers for images in dB."""
        top = decibels.amax((1, 2), keepdim=True)
        clamped = torch.maximum(decibels, top - _DEPTH_DB)
        std = clamped.std((1, 2), keepdim=True) + 1e-3
        return self.blocks(((clamped - clamped.mean((1, 2), keepdim=True)) / std)[:, None]).flatten(1)

    @torch.inference_mode()
    def predict(self, decibels: Float[Tensor, "B F S"]) -> list[str]:
        """Return the most likely label of each image in dB, averaged over warps; each is the same as alone."""
        self.eval()
        rows = (torch.cat([_warp_frequency(image[None], warp) for warp in _WARPS]) for image in decibels)
        return [self.config.labels[int(self(row).softmax(1).mean(0).argmax())] for row in rows]

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write a folder that :meth:`load` reads."""
        write_model(folder, SYSTEM, to_json(self.config), self, half=half)

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """Load a folder that :meth:`save` wrote.

        Raises:
            CheckpointError: If a file is missing, altered or of another version, or the folder holds no classifier.
        """
        system = system_of(folder)
        if system is None:
            raise CheckpointError(f"{folder / 'model.json'}: cannot be used; is this a classifier's folder?")
        if system != SYSTEM:
            raise CheckpointError(f"{folder}: holds a {system}, no classifier of images")

        def build(values: dict[str, Any]) -> Classifier:
            return cls(parse(ClassifierConfig, values, "the classifier's configuration"))

        return read_model(folder, build).network.eval()


class ClassifierObjective:
    """Objective that trains a :class:`Classifier` on augmented images.

    Args:
        classifier: Classifier with the labels of the data.
        bounds: Decibels that 0 and 1 of the images stand for.
    """

    def __init__(self, classifier: Classifier, bounds: Float[Tensor, "2"]) -> None:
        self.classifier, self.bounds = classifier, bounds

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the network to train: ``classifier``."""
        return {"classifier": self.classifier}

    def turns(self, batch: ImageBatch, step: int) -> Iterator[Turn]:
        """Yield the cross-entropy of one step, with labels smoothed by 0.1."""
        bounds, labels = self.bounds.to(batch.images.device), batch.labels[:, 0]
        logits = self.classifier(augment(from_unit(batch.images, bounds))).float()
        losses = {"cross_entropy": F.cross_entropy(logits, labels, label_smoothing=0.1)}
        top1 = (logits.detach().argmax(1) == labels).float().mean()
        yield Turn(name="classifier", losses=losses, weights={"cross_entropy": 1.0}, stats={"top1": top1})

    def export(self, folder: Path) -> None:
        """Write the classifier in its present state."""
        self.classifier.save(folder)


@dataclass(frozen=True, kw_only=True)
class ClassifierRun(Run):
    """Training run of a classifier on recordings."""

    makes_tokenizer = False

    model: ClassifierConfig
    losses: None = None
    batches: ImageConfig

    def material(self, manifests: Sequence[str | os.PathLike[str]], split: str | None) -> Images:
        """Return the training data of some manifests; see :meth:`material_of`."""
        return self.material_of(open_manifests(manifests, split))

    def material_of(self, utterances: Sequence[Utterance]) -> Images:
        """Return images labeled with the predicted key. Recordings that lack it are left out, unless all do."""
        labeled = [index for index, one in enumerate(utterances) if one.value(self.model.key) is not None]
        utterances = select(utterances, labeled) if labeled else utterances
        return Images(utterances, self.batches, self.model.image, (self.model.key,), cache=self.audio_cache)

    def validation_material(self, utterances: Sequence[Utterance], material: Images) -> Images:
        """Return images on the scale, and with the labels, of the training data, without augmentation."""
        return material.like(utterances)

    def objective(self, material: Images, start: object = None) -> ClassifierObjective:
        """Return a classifier of the labels in the data, to train.

        Raises:
            ConfigError: If a model to begin from is given: it may have seen generated speech.
        """
        if start is not None:
            raise ConfigError("a classifier is trained from random weights, on recordings alone; leave --init out")
        return ClassifierObjective(_new_classifier(self.model, material), material.bounds)


@dataclass(frozen=True)
class _Source:
    """Contents of ``trained.json``; other keys are ignored.

    Attributes:
        said: Description of the training data, under the key that bundled models have.
    """

    said: str


def classifier() -> ClassifierRun:
    """Return the recipe of the classifier that is bundled with ``vqalattent-fsdd``."""
    return ClassifierRun(
        model=ClassifierConfig(image=fsdd().model.image), batches=_BATCHES, train=_train_config(4_000, 0)
    )


def find_classifier(
    model: Path, recordings: Sequence[Utterance], image: ImageSpec, key: str, out: Path, *, seed: int = 0,
    steps: int = _STEPS,
) -> tuple[Classifier, str]:  # fmt: skip
    """Return the classifier of a model's images: the one in its folder, or a new one.

    Args:
        model: Folder of the model. It or one of its parents may hold a folder ``classifier``, or ``classifier-KEY``
            for another key than ``digit``.
        recordings: Recordings to train a new classifier on.
        image: Image spec of the model.
        key: Manifest key to predict.
        out: Folder in which a new classifier is kept, and found the next time.
        seed: Seed of the training.
        steps: Steps of the training.

    Returns:
        The classifier, and a description of its training data.

    Raises:
        ConfigError: If there is no classifier and no recording to train one on, or it takes other images.
        CheckpointError: If it cannot be read.
    """
    name = FOLDER if key == _DIGIT else f"{FOLDER}-{key}"
    for parent in (model, *model.parents[:3], out):  # a checkpoint lies two folders under its run, a run in its study
        if is_file(parent / name / "model.json"):
            found = Classifier.load(parent / name)
            if found.config.image != image:
                raise ConfigError(
                    f"{parent / name}: takes images {found.config.image}, the model makes {image}; train another"
                )
            source = read_json(parent / name / "trained.json", _Source, advice="train the classifier again")
            return found, source.said
    if not recordings:
        raise ConfigError("the model has no classifier and the manifest no recordings to train one on; add recordings")
    material = Images(recordings, _BATCHES, image, (key,))
    speakers = sorted({one.speaker or "unknown" for one in material.utterances})
    description = f"trained on {len(material.utterances)} recordings of {', '.join(speakers)}"
    torch.manual_seed(seed)
    network = _new_classifier(ClassifierConfig(image=image, key=key), material)
    folder = out / name
    objective = ClassifierObjective(network, material.bounds)
    Trainer(objective, material, _train_config(steps, seed), folder, quiet=True).run()
    write_json(folder / "trained.json", {"said": description})
    network.save(folder)  # last: a classifier that is found here is complete
    return network.eval(), description


def augment(decibels: Float[Tensor, "B F S"]) -> Float[Tensor, "B F S"]:
    """Augment images as other voices, rooms and microphones might change them.

    Args:
        decibels: Images in dB. Random numbers come from torch's generator.
    """
    batch, bins, frames = decibels.shape
    device = decibels.device

    def uniform(low: float, high: float) -> Float[Tensor, "B 1 1"]:
        return low + (high - low) * torch.rand(batch, 1, 1, device=device)

    height = torch.linspace(0, 1, bins, device=device)[None, :, None]
    time = torch.linspace(0, 1, frames, device=device)[None, None]
    rows = (height * uniform(0.8, 1.25)).clamp(max=1.3) + uniform(-0.025, 0.025)
    start, end = uniform(-0.08, 0.08), uniform(-0.08, 0.08)
    columns = start + (1 - start + end) * time.pow(uniform(-0.35, 0.35).exp())
    images = _sample_grid(decibels, columns.expand(batch, bins, frames), rows.expand(batch, bins, frames))
    slope = 2 * height - 1
    images = images + uniform(-8.0, 8.0) * slope + uniform(-5.0, 5.0) * (2 * slope.square() - 1)
    floor = images.amax((1, 2), keepdim=True) - uniform(35.0, 80.0)
    images = torch.maximum(images, floor + 6 * torch.randn(batch, bins, frames, device=device))
    low, left = uniform(-0.08, 1.0) * bins, uniform(-0.06, 1.0) * frames
    row, column = (torch.arange(size, device=device) for size in (bins, frames))
    masked_rows = (row[None, :, None] >= low) & (row[None, :, None] < low + uniform(0.0, 0.16) * bins)
    masked_columns = (column[None, None] >= left) & (column[None, None] < left + uniform(0.0, 0.16) * frames)
    return torch.where(masked_columns, floor, torch.where(masked_rows, images.mean((1, 2), keepdim=True), images))


def _warp_frequency(decibels: Float[Tensor, "B F S"], warp: float) -> Float[Tensor, "B F S"]:
    """Scale the frequency axis of images; rows from above the image repeat its top."""
    height, time = (torch.linspace(0, 1, size, device=decibels.device) for size in decibels.shape[1:])
    rows = (height * warp).clamp(max=1.0)[None, :, None].expand_as(decibels)
    return _sample_grid(decibels, time.expand_as(decibels), rows)


def _sample_grid(
    images: Float[Tensor, "B F S"], columns: Float[Tensor, "B F S"], rows: Float[Tensor, "B F S"]
) -> Float[Tensor, "B F S"]:
    """Sample images bilinearly at coordinates from 0 to 1 along both axes."""
    grid = torch.stack([columns, rows], -1) * 2 - 1
    return F.grid_sample(images[:, None], grid, align_corners=True, padding_mode="border")[:, 0]


def _new_classifier(config: ClassifierConfig, material: Images) -> Classifier:
    return Classifier(replace(config, labels=tuple(material.values[config.key])))


def _train_config(steps: int, seed: int) -> TrainConfig:
    return TrainConfig(
        steps=steps, learning_rate=LearningRate(peak=1e-3), betas=(0.9, 0.99), weight_decay=1e-2, seed=seed
    )
