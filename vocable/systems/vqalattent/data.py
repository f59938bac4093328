"""Training batches of images of whole utterances, with their labels.

A batch is a function of the seed and the step and nothing else (``vocable.data.batches``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.data.batches import BatchConfig, TensorBatch
from vocable.data.clips import ClipStore
from vocable.data.manifest import Utterance, select
from vocable.errors import ManifestError
from vocable.schema import config
from vocable.systems.vqalattent.config import ImageSpec
from vocable.systems.vqalattent.image import find_speech, mel_image, subtract_level, to_unit

UNKNOWN = -1
"""Label of an utterance whose manifest line lacks the key."""


@dataclass(frozen=True)
class ImageBatch(TensorBatch):
    """A batch of images of whole utterances.

    Attributes:
        images: Images in [0, 1], shape (B, F, S).
        labels: For each key the index of its value in the list of values, or -1, shape (B, C).
        names: Audio path of each image.
    """

    images: Float[Tensor, "B F S"]
    labels: Int[Tensor, "B C"]
    names: tuple[str, ...]


@config
class ImageConfig(BatchConfig):
    """Settings of image batches.

    Attributes:
        gain_db: Range of the random gain in dB, as of every batch; the scale of the images clips what exceeds it.
        warp: Largest relative change of the vocal tract length.
        shift: Largest shift of either end of the speech, as a share of its length.
        plain_from: Step from which on there is neither gain nor warp; None augments every step.

    """

    kind: ClassVar[str] = "images"

    batch_size: int = 32
    warp: float = 0.0
    shift: float = 0.0
    plain_from: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("warp", 0, 0.5)
        self._check("shift", 0, 0.4)


class Images:
    """Training data: images of utterances, drawn uniformly.

    Args:
        utterances: Utterances to draw from.
        config: Settings of the batches.
        spec: Image spec.
        keys: Manifest keys that label the images, such as ``digit`` or ``speaker``.
        cache: Folder of lengths and decoded recordings; see :mod:`vocable.data.clip_files`.

    Attributes:
        utterances: Utterances that can be used, in order.
        problems: Reasons why the others were left out.
        corpus: What draws depend on; see :class:`vocable.data.clips.ClipStore`.
        labels: Labels of all utterances, shape (M, C).
        values: Values of each key as text, sorted; numbers in numeric order.
        mean_level: Mean decibels that scaling every clip by its own level subtracts.
        bounds: Decibels of the quietest and the loudest value on the scale of these recordings, shape (2,).
        durations: Seconds of speech of each utterance.

    Raises:
        ManifestError: If no utterance can be used, or none has one of the keys.
    """

    def __init__(
        self, utterances: Sequence[Utterance], config: ImageConfig, spec: ImageSpec, keys: Sequence[str] = (), *,
        cache: Path | None = None,
    ) -> None:  # fmt: skip
        self.config, self.spec, self._cache = config, spec, cache
        self._store = ClipStore(
            utterances, spec.sample_rate, lambda _, clip: find_speech(clip.audio().samples, spec), check=config.check,
            cache=cache,
        )  # fmt: skip
        self.utterances, self.problems = select(utterances, self._store.kept), self._store.problems
        self.corpus = self._store.corpus
        self.values = {key: collect_values(self.utterances, key) for key in keys}
        self.labels = label_indices(self.utterances, self.values)
        self.durations = np.array([end - start for start, end in self._store.infos]) / spec.sample_rate
        images = map(self._image, range(len(self._store)))
        extremes, levels = zip(*((torch.stack(image.aminmax()), level) for image, level in images), strict=True)
        low, high = torch.stack(extremes).unbind(1)
        self.bounds = torch.stack([torch.maximum(low.min(), high.max() - spec.range_db), high.max()])
        self.mean_level = float(np.mean(levels))

    @property
    def hours(self) -> float:
        """Length of all speech, in hours."""
        return float(self.durations.sum()) / 3600

    def image(self, index: int) -> Float[Tensor, "F S"]:
        """Return the image of one utterance, without augmentation, in [0, 1]."""
        return to_unit(self._image(index)[0], self.bounds)

    def like(self, utterances: Sequence[Utterance]) -> "Images":
        """Return images of other utterances on this scale and with these labels, without augmentation."""
        images = Images(utterances, replace(self.config, plain_from=0, shift=0.0), self.spec, cache=self._cache)
        images.bounds, images.values = self.bounds, self.values
        images.labels = label_indices(images.utterances, self.values)
        return images

    def batch(self, step: int, rank: int = 0, world: int = 1) -> ImageBatch:
        """Return this rank's slice of the global batch of a step; a ConfigError if it cannot be shared evenly."""
        plain = self.config.plain_from is not None and step >= self.config.plain_from
        rows = [self._draw(random, plain) for random in self.config.draws(step, rank, world)]
        images, indices = zip(*rows, strict=True)
        names = tuple(map(self._store.path, indices))
        return ImageBatch(torch.stack(images), self.labels[list(indices)], names)

    def _draw(self, random: np.random.Generator, plain: bool) -> tuple[Tensor, int]:
        """Draw an utterance and augment its image; return the image in [0, 1] and the index of the utterance."""
        index = int(random.integers(len(self._store)))
        start, end = self._store.infos[index]
        shifts = random.uniform(-self.config.shift, self.config.shift, 2) * (end - start)
        bounds = (start + round(shifts[0]), end + round(shifts[1]))
        gain, warp = random.uniform(*self.config.gain_db), 1.0 + random.uniform(-1, 1) * self.config.warp
        if plain:
            gain, warp = 0.0, 1.0
        return to_unit(self._image(index, bounds, round(warp, 2))[0] + gain, self.bounds), index

    def _image(self, index: int, bounds: tuple[int, int] | None = None, warp: float = 1.0) -> tuple[Tensor, float]:
        """Return an utterance's image in dB, and the level that was subtracted."""
        bounds = bounds or self._store.infos[index]
        return subtract_level(mel_image(self._store.samples(index), self.spec, bounds=bounds, warp=warp), self.spec)


def collect_values(utterances: Sequence[Utterance], key: str) -> tuple[str, ...]:
    """Return every value of a manifest key, sorted; numbers in numeric order and first.

    Raises:
        ManifestError: If no utterance has the key.
    """
    found = {value for utterance in utterances if (value := utterance.value(key)) is not None}
    if not found:
        available = sorted({"speaker", *(key for utterance in utterances for key in utterance.extra)})
        raise ManifestError(f"no utterance has '{key}' as a label; choose one of {', '.join(available)}")
    return tuple(sorted(found, key=lambda value: (len(value) if value.isdecimal() else 1 << 20, value)))


def label_indices(utterances: Sequence[Utterance], values: Mapping[str, Sequence[str]]) -> Int[Tensor, "M C"]:
    """Return the index of each utterance's value of each key in the list of values, or -1 where it is not in it.

    Example:
        >>> seven = Utterance(audio_path="a.wav", extra={"digit": 7})
        >>> label_indices([seven], {"digit": ("1", "7"), "speaker": ("ann",)}).tolist()
        [[1, -1]]
    """
    indices = {key: {value: index for index, value in enumerate(listed)} for key, listed in values.items()}
    rows = [[indices[key].get(one.value(key) or "", UNKNOWN) for key in values] for one in utterances]
    return torch.tensor(rows, dtype=torch.int64).reshape(len(utterances), len(indices))
