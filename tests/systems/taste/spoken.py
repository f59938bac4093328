"""Listeners that say how loud a clip is, and utterances of noise with texts."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.systems.taste.data import TasteBatchConfig, TasteData
from vocable.text.subword_tokenizers import BytePairTokenizer

RATE = 8_000
PIECES = BytePairTokenizer.train(["good day", "a good one two three", "good good day day", "twenty-one"], 40)


class Units:
    """Says 25 ids a second: how loud, in 64 steps."""

    name, digest, sample_rate, frame_rate, width = "units", "units", RATE, 25.0, 64

    def __init__(self) -> None:
        self.heard: list[int] = []

    def extract(self, clip: Audio) -> Tensor:
        self.heard.append(clip.sample_rate)
        return (self._level(clip, 320) * 63).long()

    def _level(self, clip: Audio, hop: int) -> Tensor:
        samples = torch.from_numpy(np.pad(clip.samples, (0, -clip.samples.size % hop)))
        return samples.reshape(-1, hop).abs().mean(1).clamp(max=1)


class Frames(Units):
    """Says 50 pairs of layers a second: three numbers each, the shallow ones negative."""

    name, digest, sample_rate, frame_rate, width = "frames", "frames", 16_000, 50.0, 6

    def extract(self, clip: Audio) -> Tensor:
        self.heard.append(clip.sample_rate)
        level = self._level(clip, 320)[:, None]
        return torch.cat([level.repeat(1, 3), -level.repeat(1, 3)], dim=1)


class Voice(Units):
    name, digest, sample_rate, frame_rate, width = "voice", "voice", 16_000, None, 2  # type: ignore[assignment]

    def extract(self, clip: Audio) -> Tensor:
        self.heard.append(clip.sample_rate)
        return torch.tensor([clip.duration, 1.0])


def record(path: Path, seconds: float, seed: int = 0) -> Path:
    samples = np.random.default_rng(seed).uniform(-0.9, 0.9, round(seconds * RATE)).astype(np.float32)
    Audio(samples, RATE).write(path)
    return path


def spoken(
    lines: list[Utterance], folder: Path, config: TasteBatchConfig | None = None, **extractors: Any
) -> TasteData:
    parts = {"units": Units(), "frames": Frames(), **extractors}
    return TasteData(
        lines, config or TasteBatchConfig(batch_size=8), subword_tokenizer=PIECES, cache=folder / "cache", **parts
    )
