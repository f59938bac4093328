"""Spectra on the scale of the speech that a model learns from."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.vocoders.base import MelSpec

QUIETEST = -3.0
"""Standard deviations under the mean: what is quieter is as good as silent."""

_FLOOR_DB = -60.0  # of mel power, where a scale is measured
_LEAST_SPREAD_DB = 1.0  # where all are alike


class SpectraModel(nn.Module):
    """A model that hears and makes mel spectra, standardised over its corpus.

    Args:
        mel: Which spectra.

    Attributes:
        middle: (F,) mean decibels of each mel filter over the speech learnt from; ``spread`` their deviation.

    Example:
        >>> model = SpectraModel(MelSpec(sample_rate=8_000, n_fft=256, hop=64, bins=32))
        >>> frames = model.frames(torch.zeros(1, 640))
        >>> frames.shape, model.decibels(frames).amax()
        (torch.Size([1, 10, 32]), tensor(-80.))
    """

    middle: Float[Tensor, " F"]
    spread: Float[Tensor, ""]

    def __init__(self, mel: MelSpec) -> None:
        super().__init__()
        self.mel = mel
        self.register_buffer("middle", torch.full((mel.bins,), -20.0))
        self.register_buffer("spread", torch.tensor(20.0))

    def measure(self, clips: Iterable[Float[Tensor, "1 T"]]) -> None:
        """Take the scale from some clips, T a multiple of the hop."""
        decibels = torch.cat([self.mel.mel(clip)[0] for clip in clips], dim=1).clamp(min=_FLOOR_DB)
        self.middle.copy_(decibels.mean(1))
        self.spread.copy_((decibels - decibels.mean(1, keepdim=True)).std().clamp(min=_LEAST_SPREAD_DB))

    def frames(self, samples: Float[Tensor, "B T"]) -> Float[Tensor, "B S F"]:
        """Spectra as the networks take them: standardised, cut off below."""
        return self.scaled(self.mel.mel(samples)).transpose(1, 2)

    def scaled(self, decibels: Float[Tensor, "B F S"]) -> Float[Tensor, "B F S"]:
        """Decibels to the networks' scale."""
        return ((decibels - self.middle[:, None]) / self.spread).clamp(min=QUIETEST)

    def decibels(self, frames: Float[Tensor, "B S F"]) -> Float[Tensor, "B F S"]:
        """The inverse of :meth:`scaled`."""
        return frames.clamp(min=QUIETEST).transpose(1, 2) * self.spread + self.middle[:, None]


def middle_of(frames: Float[Tensor, "B S F"], wanted: int) -> Float[Tensor, "B S_voice F"]:
    """So many spectra from the middle of some speech; shorter speech is repeated.

    Example:
        >>> middle_of(torch.arange(3.0)[None, :, None], 4).flatten().tolist()
        [0.0, 1.0, 2.0, 0.0]
    """
    size = frames.shape[1]
    if size >= wanted:
        start = (size - wanted) // 2
        return frames[:, start : start + wanted]
    return frames[:, torch.arange(wanted, device=frames.device) % size]
