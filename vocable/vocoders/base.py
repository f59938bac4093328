"""What a vocoder takes, and what it owes."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from vocable.checks import check_whole
from vocable.errors import ConfigError
from vocable.features.spectrogram import mel_filters, spectra

SILENT_DB = -100.0  # mel power under which there is nothing to hear


@dataclass(frozen=True, kw_only=True)
class MelSpec:
    """Mel power spectra on a grid of hops (see :func:`vocable.features.spectrogram.spectra`), in dB.

    Attributes:
        sample_rate: Hz.
        n_fft: Window and transform in samples, a multiple of the hop.
        hop: Samples from one spectrum to the next.
        bins: Mel filters F.

    Raises:
        ConfigError: The window is no multiple of the hop, or what it reaches beyond is odd.
    """

    sample_rate: int
    n_fft: int
    hop: int
    bins: int

    def __post_init__(self) -> None:
        check_whole(self, 1 << 20, "sample_rate", "n_fft", "hop", "bins")
        if self.n_fft % self.hop or (self.n_fft - self.hop) % 2:
            raise ConfigError(f"n_fft {self.n_fft} must be a multiple of hop {self.hop}, and their difference even")

    def mel(self, samples: Float[Tensor, "B T"]) -> Float[Tensor, "B F S"]:
        """Spectra of samples, T a multiple of the hop.

        Example:
            >>> import torch
            >>> MelSpec(sample_rate=8_000, n_fft=384, hop=96, bins=64).mel(torch.zeros(1, 960)).shape
            torch.Size([1, 64, 10])
        """
        power = spectra(samples, self.n_fft, self.hop).abs().square()
        filters = mel_filters(self.sample_rate, self.n_fft, self.bins, device=samples.device)
        return 10.0 * (power @ filters).clamp(min=10 ** (SILENT_DB / 10)).log10().transpose(1, 2)


@runtime_checkable
class Vocoder(Protocol):
    """Mel spectra to samples."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def spec(self) -> MelSpec:
        """Of the spectra it takes."""
        ...

    def render(self, mel: Float[Tensor, "F S"]) -> Float[ndarray, " T"]:
        """Samples of one clip: T = S · hop, the same every time."""
        ...
