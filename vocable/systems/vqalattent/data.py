"""Utterances as pictures of fixed size with what is known of them, as training batches.

A batch is a function of the seed and the step and nothing else (``vocable.data.batches``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.data.batches import Batch, BatchConfig, ClipStore
from vocable.data.manifest import Utterance
from vocable.errors import ManifestError
from vocable.systems.vqalattent.image import ImageSpec, levelled, picture, speech_bounds, to_unit

UNKNOWN = -1  # label of an utterance of which a key is not known


@dataclass(frozen=True)
class ImageBatch(Batch):
    """Pictures of whole utterances.

    Attributes:
        images: (B, F, S) in [0, 1].
        labels: (B, C) for each key its value's place in the list of values, or -1.
        names: Where each is from.
    """

    images: Float[Tensor, "B F S"]
    labels: Int[Tensor, "B C"]
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ImageConfig(BatchConfig):
    """How batches of pictures are made.

    Attributes:
        gain_db: As of every batch; the scale cuts off what it pushes out.
        warp: Vocal tracts longer or shorter by up to this share.
        shift: Either end of the speech moved by up to this share of its length.
        plain_from: Step from which on there is neither gain nor warp.

    Raises:
        ConfigError: A value is out of range.
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
    """Pictures drawn with equal chance.

    Args:
        utterances: What to draw from.
        config: How.
        spec: Of the pictures.
        keys: Of the manifest, that label the pictures: ``digit``, ``speaker`` or any other.

    Attributes:
        utterances: Those that can be used, in order.
        problems: Why the others were left out.
        labels: (M, C) of all utterances.
        values: For each key its values as text, in order; numbers in the order of numbers.
        loudness: Mean decibels of what is taken off a picture to level it.
        bounds: Decibels of the quietest and the loudest value on the scale of these recordings.
        durations: Seconds of speech of each utterance.

    Raises:
        ManifestError: No utterance can be used, or none has one of the keys.
    """

    def __init__(
        self, utterances: Sequence[Utterance], config: ImageConfig, spec: ImageSpec, keys: Sequence[str] = ()
    ) -> None:
        self.config, self.spec = config, spec
        self._store = ClipStore(utterances, spec.sample_rate, lambda _, samples: speech_bounds(samples, spec))
        self.utterances, self.problems = self._store.utterances, self._store.problems
        self.values = {key: known_values(self.utterances, key) for key in keys}
        self.labels = labels_of(self.utterances, self.values)
        self.durations = np.array([behind - first for first, behind in self._store.seen]) / spec.sample_rate
        self.bounds = self._scale()
        whole = [picture(self._store.samples(index), spec, bounds=speech)
                 for index, speech in enumerate(self._store.seen)]  # fmt: skip
        self.loudness = float(np.mean([levelled(one, spec)[1] for one in whole]))

    @property
    def hours(self) -> float:
        """Speech to draw from."""
        return float(self.durations.sum()) / 3600

    def image(self, index: int) -> Float[Tensor, "F S"]:
        """The picture of one utterance as it is, in [0, 1]."""
        return to_unit(self._picture(index), self.bounds)

    def batch(self, step: int, rank: int = 0, world: int = 1) -> ImageBatch:
        """This rank's slice of the global batch of a step.

        Raises:
            ConfigError: The batch cannot be shared evenly.
        """
        plain = self.config.plain_from is not None and step >= self.config.plain_from
        rows = [self._drawn(random, plain) for random in self.config.draws(step, rank, world)]
        images, indices = zip(*rows, strict=True)
        names = tuple(str(self.utterances[index].audio_path) for index in indices)
        return ImageBatch(torch.stack(images), self.labels[list(indices)], names)

    def _drawn(self, random: np.random.Generator, plain: bool) -> tuple[Tensor, int]:
        index = int(random.integers(len(self._store)))
        first, behind = self._store.seen[index]
        moved = random.uniform(-self.config.shift, self.config.shift, 2) * (behind - first)
        gain, warp = random.uniform(*self.config.gain_db), 1.0 + random.uniform(-1, 1) * self.config.warp
        if plain:
            gain, warp = 0.0, 1.0
        bounds = (first + round(moved[0]), behind + round(moved[1]))
        return to_unit(self._picture(index, bounds, round(warp, 2)) + gain, self.bounds), index

    def _picture(self, index: int, bounds: tuple[int, int] | None = None, warp: float = 1.0) -> Tensor:
        samples, speech = self._store.samples(index), self._store.seen[index]
        return levelled(picture(samples, self.spec, bounds=bounds or speech, warp=warp), self.spec)[0]

    def _scale(self) -> Float[Tensor, "2"]:
        extremes = [torch.stack(self._picture(index).aminmax()) for index in range(len(self._store))]
        low, high = torch.stack(extremes).unbind(1)
        return torch.stack([torch.maximum(low.min(), high.max() - self.spec.range_db), high.max()])


def known_values(utterances: Sequence[Utterance], key: str) -> tuple[str, ...]:
    """Every value of a key, numbers in the order of numbers.

    Raises:
        ManifestError: No utterance has the key.
    """
    found = {value for utterance in utterances if (value := utterance.value(key)) is not None}
    if not found:
        there = sorted({"speaker", *(key for utterance in utterances for key in utterance.extra)})
        raise ManifestError(f"no utterance has '{key}' to learn from; there are {', '.join(there)}")
    return tuple(sorted(found, key=lambda value: (len(value) if value.isdecimal() else 1 << 20, value)))


def labels_of(utterances: Sequence[Utterance], values: Mapping[str, Sequence[str]]) -> Int[Tensor, "M C"]:
    """Places of the utterances' values in the lists of known ones; -1 where a value is not known.

    Example:
        >>> said = Utterance(audio_path="a.wav", extra={"digit": 7})
        >>> labels_of([said], {"digit": ("1", "7"), "speaker": ("ann",)}).tolist()
        [[1, -1]]
    """
    places = {key: {value: place for place, value in enumerate(known)} for key, known in values.items()}
    rows = [[places[key].get(one.value(key) or "", UNKNOWN) for key in values] for one in utterances]
    return torch.tensor(rows, dtype=torch.int64).reshape(len(utterances), len(places))
