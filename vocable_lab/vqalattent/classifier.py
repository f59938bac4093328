"""Which digit a picture shows: the paper's judge of what was made, trained on recordings and never on anything made.

It sees pictures in dB as the front end makes them, standardised one by one, so that neither loudness nor the
scale of a corpus is a clue. Few speakers are at hand, so training bends every picture: pitch and vocal tract, timing,
tilt, noise, and what is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vocable.errors import CheckpointError, ConfigError
from vocable.folder import read_model, system_of, write_model
from vocable.systems.vqalattent.config import ImageSpec
from vocable.systems.vqalattent.data import ImageBatch
from vocable.systems.vqalattent.image import from_unit
from vocable.train.objective import Turn

SYSTEM = "vqalattent-classifier"
_TRACTS = (0.86, 0.93, 1.0, 1.07, 1.14)  # scales of the frequency axis over which an answer is averaged
_DEPTH_DB = 60.0  # under a picture's loudest value: what is quieter is as good as silent


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """Sizes, and what is told apart."""

    image: ImageSpec = field(default_factory=ImageSpec)
    key: str = "digit"  # of the manifest
    labels: tuple[str, ...] = ()  # found in the data
    width: int = 24  # channels of the first of four blocks, doubled thrice
    hidden: int = 128
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if min(self.image.bins, self.image.frames) < 16 or min(self.width, self.hidden) < 1:
            raise ConfigError(f"{self.image.bins} × {self.image.frames} is too small to be halved four times")


class Classifier(nn.Module):
    """Convolutions, then fully connected layers.

    Args:
        config: Sizes and labels.

    Source:
        VQalAttent, arXiv:2411.14642, section IV ("conv layers then fully connected layers"; sizes only in a figure):
        four blocks of convolution, batch norm, ReLU and pooling as in its authors' later code, narrower.

    Example:
        >>> judge = Classifier(ClassifierConfig(labels=("yes", "no"), width=4)).eval()
        >>> judge(torch.zeros(3, 64, 88)).shape
        torch.Size([3, 2])
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        before = 1
        for width in (config.width * times for times in (1, 2, 4, 8)):
            layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                       nn.MaxPool2d(2), nn.Dropout(0.2 * config.dropout)]  # fmt: skip
            before = width
        self.blocks = nn.Sequential(*layers)
        cells = (config.image.bins // 16) * (config.image.frames // 16)
        self.head = nn.Sequential(
            nn.Linear(before * cells, config.hidden), nn.ReLU(), nn.Dropout(config.dropout),
            nn.Linear(config.hidden, max(1, len(config.labels))),
        )  # fmt: skip

    def forward(self, decibels: Float[Tensor, "B F S"]) -> Float[Tensor, "B V"]:
        """Logits of the labels."""
        return self.head(self.features(decibels))

    def features(self, decibels: Float[Tensor, "B F S"]) -> Float[Tensor, "B D"]:
        """What the fully connected layers are given."""
        top = decibels.amax((1, 2), keepdim=True)
        heard = torch.maximum(decibels, top - _DEPTH_DB)
        spread = heard.std((1, 2), keepdim=True) + 1e-3
        return self.blocks(((heard - heard.mean((1, 2), keepdim=True)) / spread)[:, None]).flatten(1)

    @torch.inference_mode()
    def told(self, decibels: Float[Tensor, "B F S"]) -> list[str]:
        """The likeliest label of each picture, over vocal tracts of several lengths; each is the same as alone."""
        self.eval()
        heard = [self(torch.cat([_scaled(one[None], by) for by in _TRACTS])).softmax(1).mean(0) for one in decibels]
        return [self.config.labels[int(chances.argmax())] for chances in heard]

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write a folder that :meth:`load` reads."""
        write_model(folder, SYSTEM, _to_json(self.config), self, half=half)

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """Read what :meth:`save` wrote.

        Raises:
            CheckpointError: A file is missing, altered or of another version, or it is no classifier.
        """
        system = system_of(folder)
        if system is None:
            raise CheckpointError(f"{folder / 'model.json'}: cannot be used; is this a classifier's folder?")
        if system != SYSTEM:
            raise CheckpointError(f"{folder}: holds a {system}, no classifier of pictures")
        return read_model(folder, lambda values: cls(_from_json(values))).network.eval()


class ClassifierObjective:
    """Trains a :class:`Classifier` on bent pictures.

    Args:
        classifier: With the labels of the data.
        bounds: Decibels that 0 and 1 of the batches' pictures stand for.
    """

    def __init__(self, classifier: Classifier, bounds: Float[Tensor, "2"]) -> None:
        self.classifier, self.bounds = classifier, bounds

    def parts(self) -> Mapping[str, nn.Module]:
        """``classifier``."""
        return {"classifier": self.classifier}

    def turns(self, batch: ImageBatch, step: int) -> Iterator[Turn]:
        """One turn of cross-entropy, labels smoothed by 0.1."""
        bounds, labels = self.bounds.to(batch.images.device), batch.labels[:, 0]
        logits = self.classifier(bent(from_unit(batch.images, bounds))).float()
        losses = {"cross_entropy": F.cross_entropy(logits, labels, label_smoothing=0.1)}
        right = (logits.detach().argmax(1) == labels).float().mean()
        yield Turn(name="classifier", losses=losses, weights={"cross_entropy": 1.0}, stats={"top1": right})

    def export(self, folder: Path) -> None:
        """Write the classifier as it stands."""
        self.classifier.save(folder)


def bent(decibels: Float[Tensor, "B F S"]) -> Float[Tensor, "B F S"]:
    """Pictures as other voices, rooms and microphones might have made them, drawn from torch's random state."""
    batch, bins, frames = decibels.shape
    device = decibels.device

    def drawn(low: float, high: float) -> Float[Tensor, "B 1 1"]:
        return low + (high - low) * torch.rand(batch, 1, 1, device=device)

    up = torch.linspace(0, 1, bins, device=device)[None, :, None]
    along = torch.linspace(0, 1, frames, device=device)[None, None]
    rows = (up * drawn(0.8, 1.25)).clamp(max=1.3) + drawn(-0.025, 0.025)
    start, end = drawn(-0.08, 0.08), drawn(-0.08, 0.08)
    columns = start + (1 - start + end) * along.pow(drawn(-0.35, 0.35).exp())
    places = torch.stack([columns.expand(batch, bins, frames), rows.expand(batch, bins, frames)], -1) * 2 - 1
    seen = F.grid_sample(decibels[:, None], places, align_corners=True, padding_mode="border")[:, 0]
    slope = 2 * up - 1
    seen = seen + drawn(-8.0, 8.0) * slope + drawn(-5.0, 5.0) * (2 * slope.square() - 1)
    floor = seen.amax((1, 2), keepdim=True) - drawn(35.0, 80.0)
    seen = torch.maximum(seen, floor + 6 * torch.randn(batch, bins, frames, device=device))
    low, left = drawn(-0.08, 1.0) * bins, drawn(-0.06, 1.0) * frames
    row, column = (torch.arange(size, device=device) for size in (bins, frames))
    deaf = (row[None, :, None] >= low) & (row[None, :, None] < low + drawn(0.0, 0.16) * bins)
    late = (column[None, None] >= left) & (column[None, None] < left + drawn(0.0, 0.16) * frames)
    return torch.where(late, floor, torch.where(deaf, seen.mean((1, 2), keepdim=True), seen))


def _scaled(decibels: Float[Tensor, "B F S"], by: float) -> Float[Tensor, "B F S"]:
    """Pictures whose rows come from so many times as high up; what lies above the picture repeats its top."""
    up, along = (torch.linspace(0, 1, size, device=decibels.device) for size in decibels.shape[1:])
    rows = (up * by).clamp(max=1.0)[None, :, None].expand_as(decibels)
    places = torch.stack([along.expand_as(decibels), rows], -1) * 2 - 1
    return F.grid_sample(decibels[:, None], places, align_corners=True, padding_mode="border")[:, 0]


def with_labels(config: ClassifierConfig, values: Mapping[str, Sequence[str]]) -> ClassifierConfig:
    """The config for the labels that were found in the data."""
    return replace(config, labels=tuple(values[config.key]))


def _to_json(config: ClassifierConfig) -> dict[str, Any]:
    return {**asdict(config), "labels": list(config.labels)}


def _from_json(values: dict[str, Any]) -> ClassifierConfig:
    try:
        image, labels = ImageSpec(**values["image"]), tuple(map(str, values["labels"]))
        return ClassifierConfig(**{**values, "image": image, "labels": labels})
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"the classifier's configuration cannot be used ({error})") from error
