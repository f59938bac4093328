"""Random crops of recordings as training batches.

A batch is a function of the seed and the step and nothing else. So a run that resumes sees the batches it would
have seen, without any reader's state to save, and N processes share one global batch by taking their slice of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AudioError, ConfigError, ManifestError
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
class CropConfig:
    """How batches are cut.

    Raises:
        ConfigError: A value is out of range.
    """

    batch_size: int = 16  # crops in the global batch, over all processes
    frames: int = 50  # token frames in a crop
    gain_db: tuple[float, float] = (-9.0, 3.0)  # random gain, kept under full scale
    seed: int = 0

    def __post_init__(self) -> None:
        for name, smallest in (("batch_size", 1), ("frames", 1), ("seed", 0)):
            if getattr(self, name) < smallest:
                raise ConfigError(f"crops: {name} is {getattr(self, name)}: it must be at least {smallest}")
        if self.gain_db[0] > self.gain_db[1]:
            raise ConfigError(f"crops: gain_db is {self.gain_db}: the lower bound comes first")


class Crops:
    """Crops drawn so that every second of speech is equally likely; recordings are kept in memory as 16-bit.

    Args:
        utterances: What to draw from.
        config: How.
        sample_rate: Hz of the crops; recordings of another rate are resampled.
        hop: Samples of a token frame.

    Raises:
        ManifestError: No utterance has readable audio.
    """

    def __init__(self, utterances: Sequence[Utterance], config: CropConfig, *, sample_rate: int, hop: int) -> None:
        self.config, self.sample_rate, self.hop = config, sample_rate, hop
        self.problems: list[AudioError] = []
        self._paths: list[Path] = []
        clips: dict[Path, np.ndarray] = {}
        for path in dict.fromkeys(utterance.audio_path for utterance in utterances):
            try:
                samples = Audio.read(path, sample_rate).samples
            except AudioError as error:
                self.problems.append(error)
                continue
            clips[path] = np.clip(samples * 32768.0, -32768, 32767).round().astype(np.int16)
        self._paths = [utterance.audio_path for utterance in utterances if utterance.audio_path in clips]
        if not self._paths:
            first = f"; the first: {self.problems[0]}" if self.problems else ""
            raise ManifestError(f"none of {len(utterances)} recordings can be read{first}")
        self._clips = [clips[path] for path in self._paths]
        self._ends = np.cumsum([clip.size for clip in self._clips], dtype=np.float64)

    @property
    def hours(self) -> float:
        """Speech to draw from; what is listed twice counts twice."""
        return float(self._ends[-1]) / self.sample_rate / 3600

    def batch(self, step: int, rank: int = 0, world: int = 1) -> CropBatch:
        """This rank's slice of the global batch of a step.

        Raises:
            ConfigError: The batch cannot be shared evenly.
        """
        share, left = divmod(self.config.batch_size, world)
        if left:
            raise ConfigError(f"a batch of {self.config.batch_size} cannot be shared by {world} ranks; take a multiple")
        rows = [self._crop(step, row) for row in range(rank * share, (rank + 1) * share)]
        samples, lengths, names = zip(*rows, strict=True)
        frames = torch.tensor([frames_for(length, self.hop) for length in lengths])
        return CropBatch(
            torch.from_numpy(np.stack(samples)), mask_from_lengths(frames, self.config.frames), tuple(names)
        )

    def _crop(self, step: int, row: int) -> tuple[np.ndarray, int, str]:
        random = np.random.default_rng((self.config.seed, step, row))
        at = int(np.searchsorted(self._ends, random.random() * self._ends[-1], side="right"))
        clip, size = self._clips[at], self.config.frames * self.hop
        start = int(random.integers(0, max(clip.size - size, 0) + 1))
        piece = clip[start : start + size].astype(np.float32) / 32768.0
        gain = 10.0 ** (random.uniform(*self.config.gain_db) / 20.0)
        gain = min(gain, 1.0 / max(float(np.abs(piece).max()), 1e-3))
        crop = np.zeros(size, dtype=np.float32)
        crop[: piece.size] = piece * gain
        return crop, piece.size, f"{self._paths[at]}@{start / self.sample_rate:.2f}s"
