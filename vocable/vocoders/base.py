"""Mel spectra that vocoders take, and the protocol of a vocoder."""

from typing import Annotated, Protocol, runtime_checkable

from jaxtyping import Float
from numpy import ndarray
from pydantic import Field
from torch import Tensor

from vocable.errors import ConfigError
from vocable.features.spectrogram import mel_filters, spectra
from vocable.schema import Width, config
from vocable.token_file import VoiceLevels

SILENT_DB = -100.0
"""Mel power in dB at which spectra are clamped below."""

_Size = Annotated[int, Field(ge=1, le=1 << 20)]


@config
class MelSpec:
    """Mel power spectra in dB on a grid of hops (see :func:`vocable.features.spectrogram.spectra`).

    Attributes:
        sample_rate: Hz.
        n_fft: Window and transform in samples, a multiple of the hop.
        hop: Samples from one spectrum to the next; ``n_fft - hop`` is even.
        bins: Mel filters F.
    """

    sample_rate: _Size
    n_fft: _Size
    hop: _Size
    bins: _Size

    def __post_init__(self) -> None:
        if self.n_fft % self.hop or (self.n_fft - self.hop) % 2:
            raise ConfigError(f"n_fft {self.n_fft} must be a multiple of hop {self.hop}, and their difference even")

    def mel(self, samples: Float[Tensor, "B T"]) -> Float[Tensor, "B F S"]:
        """Compute the mel spectra of samples, in dB.

        Args:
            samples: Waveforms in [-1, 1]; T is a multiple of the hop.

        Example:
            >>> import torch
            >>> MelSpec(sample_rate=8_000, n_fft=384, hop=96, bins=64).mel(torch.zeros(1, 960)).shape
            torch.Size([1, 64, 10])
        """
        power = spectra(samples, self.n_fft, self.hop).abs().square()
        filters = mel_filters(self.sample_rate, self.n_fft, self.bins, device=samples.device)
        return 10.0 * (power @ filters).clamp(min=10 ** (SILENT_DB / 10)).log10().transpose(1, 2)


@config
class VoiceConfig:
    """Configuration of the encoder of a voice's spectra; see :class:`~vocable.nn.voice.VoiceEncoder`.

    Attributes:
        width: Dimension of the learned voice embedding.
        channels: Channels of each convolution.
        frames: Number of spectra that a voice is computed from.
        levels: Number of levels of each dimension of the voice vector, evenly spaced from -4 to 4, such as 16; null
            keeps float32 numbers. Training does not depend on it.
    """

    width: Width = 64
    channels: Annotated[tuple[Width, ...], Field(min_length=1)] = (32, 32, 64, 64, 128, 128)
    frames: Width = 300
    levels: VoiceLevels = None


@runtime_checkable
class Vocoder(Protocol):
    """A vocoder, which renders mel spectra as samples."""

    @property
    def name(self) -> str:
        """Name in reports."""
        ...

    @property
    def spec(self) -> MelSpec:
        """Spec of the spectra that it takes."""
        ...

    def render(self, mel: Float[Tensor, "F S"]) -> Float[ndarray, " T"]:
        """Render the mel spectra of one clip, in dB, as T = S · hop samples. Equal spectra give equal samples."""
        ...
