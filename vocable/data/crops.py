"""Random crops of recordings as training batches, a function of the seed and the step (``vocable.data.batches``)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vocable.data.batches import BatchConfig, ClipStore
from vocable.data.manifest import Utterance
from vocable.shapes import frames_for, mask_from_lengths


@dataclass(frozen=True)
class CropBatch:
    """Crops of equal length, zero behind the end of clips that are shorter.

    Attributes:
        samples: In [-1, 1]; T = N · hop.
        mask: True on frames that hold any of the clip.
        names: Where each crop is from: ``file@seconds``.
    """

    samples: Float[Tensor, "B T"]
    mask: Bool[Tensor, "B N"]
    names: tuple[str, ...]

    def to(self, device: torch.device) -> "CropBatch":
        """The same batch on a device."""
        return replace(self, samples=self.samples.to(device), mask=self.mask.to(device))


@dataclass(frozen=True, kw_only=True)
class CropConfig(BatchConfig):
    """How batches are cut.

    Attributes:
        gain_db: As of every batch, but what would exceed full scale is kept under it.
        frames: Token frames in a crop.

    Raises:
        ConfigError: A value is out of range.
    """

    kind: ClassVar[str] = "crops"

    gain_db: tuple[float, float] = (-9.0, 3.0)
    frames: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("frames", 1)


class Crops:
    """Crops drawn so that every second of speech is equally likely.

    Args:
        utterances: What to draw from.
        config: How.
        sample_rate: Hz of the crops; recordings of another rate are resampled.
        hop: Samples of a token frame.

    Attributes:
        problems: Why recordings were left out.

    Raises:
        ManifestError: No utterance has readable audio.
    """

    def __init__(self, utterances: Sequence[Utterance], config: CropConfig, *, sample_rate: int, hop: int) -> None:
        self.config, self.sample_rate, self.hop = config, sample_rate, hop
        self._store = ClipStore(utterances, sample_rate, lambda _, samples: samples.size)
        self.problems = self._store.problems
        self._ends = np.cumsum(self._store.seen, dtype=np.float64)

    @property
    def hours(self) -> float:
        """Speech to draw from; what is listed twice counts twice."""
        return float(self._ends[-1]) / self.sample_rate / 3600

    def batch(self, step: int, rank: int = 0, world: int = 1) -> CropBatch:
        """This rank's slice of the global batch of a step.

        Raises:
            ConfigError: The batch cannot be shared evenly.
        """
        rows = [self._crop(random) for random in self.config.draws(step, rank, world)]
        samples, lengths, names = zip(*rows, strict=True)
        frames = torch.tensor([frames_for(length, self.hop) for length in lengths])
        return CropBatch(
            torch.from_numpy(np.stack(samples)), mask_from_lengths(frames, self.config.frames), tuple(names)
        )

    def _crop(self, random: np.random.Generator) -> tuple[np.ndarray, int, str]:
        at = int(np.searchsorted(self._ends, random.random() * self._ends[-1], side="right"))
        size = self.config.frames * self.hop
        start = int(random.integers(0, max(self._store.seen[at] - size, 0) + 1))
        piece = self._store.samples(at, start, start + size)
        gain = 10.0 ** (random.uniform(*self.config.gain_db) / 20.0)
        gain = min(gain, 1.0 / max(float(np.abs(piece).max()), 1e-3))
        crop = np.zeros(size, dtype=np.float32)
        crop[: piece.size] = piece * gain
        return crop, piece.size, f"{self._store.utterances[at].audio_path}@{start / self.sample_rate:.2f}s"
