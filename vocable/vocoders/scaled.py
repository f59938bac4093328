"""Mel spectra standardized over the speech of a training corpus."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.vocoders.base import MelSpec

MIN_LEVEL = -3.0
"""Standard deviations around the mean at which standardized spectra are clamped below, as silence."""

_FLOOR_DB = -60.0  # of mel power, where mean and standard deviation are measured
_MIN_STD_DB = 1.0  # bounds the scale where all spectra are alike


class SpectraModel(nn.Module):
    """A model with mel spectra as input and output, standardized over its training corpus.

    Args:
        mel: Spec of the spectra.

    Attributes:
        middle: Mean of each mel filter over the training speech in dB, shape (F,).
        spread: Standard deviation of all filters around their means, in dB.

    Example:
        >>> model = SpectraModel(MelSpec(sample_rate=8_000, n_fft=256, hop=64, bins=32))
        >>> frames = model.frames(torch.zeros(1, 640))
        >>> frames.shape, model.to_decibels(frames).amax()
        (torch.Size([1, 10, 32]), tensor(-80.))
    """

    middle: Float[Tensor, " F"]
    spread: Float[Tensor, ""]

    def __init__(self, mel: MelSpec) -> None:
        super().__init__()
        self.mel = mel
        self.register_buffer("middle", torch.full((mel.bins,), -20.0))
        self.register_buffer("spread", torch.tensor(20.0))

    def fit_scale(self, clips: Iterable[Float[Tensor, "1 T"]]) -> None:
        """Set mean and standard deviation to those of some clips, whose lengths T are multiples of the hop."""
        decibels = torch.cat([self.mel.mel(clip)[0] for clip in clips], dim=1)
        decibels.clamp_(min=_FLOOR_DB)  # in place, as hundreds of clips take hundreds of megabytes
        self.middle.copy_(decibels.mean(1))
        decibels -= decibels.mean(1, keepdim=True)
        self.spread.copy_(decibels.std().clamp(min=_MIN_STD_DB))

    def frames(self, samples: Float[Tensor, "B T"]) -> Float[Tensor, "B S F"]:
        """Return the standardized spectra of samples; T is a multiple of the hop."""
        return self.standardize(self.mel.mel(samples)).transpose(1, 2)

    def standardize(self, decibels: Float[Tensor, "B F S"]) -> Float[Tensor, "B F S"]:
        """Standardize spectra in dB and clamp them below."""
        return ((decibels - self.middle[:, None]) / self.spread).clamp(min=MIN_LEVEL)

    def to_decibels(self, frames: Float[Tensor, "B S F"]) -> Float[Tensor, "B F S"]:
        """Return standardized spectra in dB: the inverse of :meth:`standardize`."""
        return frames.clamp(min=MIN_LEVEL).transpose(1, 2) * self.spread + self.middle[:, None]


def crop_middle(frames: Float[Tensor, "B S F"], size: int) -> Float[Tensor, "B S_voice F"]:
    """Return a number of frames from the middle; fewer frames are repeated.

    Example:
        >>> crop_middle(torch.arange(3.0)[None, :, None], 4).flatten().tolist()
        [0.0, 1.0, 2.0, 0.0]
    """
    length = frames.shape[1]
    if length >= size:
        start = (length - size) // 2
        return frames[:, start : start + size]
    return frames[:, torch.arange(size, device=frames.device) % length]
