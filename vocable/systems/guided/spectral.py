"""The fast backbone: short-time spectra in, 1-D ConvNeXt blocks at the token rate, short-time spectra out.

Nothing here looks further than its convolutions: every layer works on one frame but the depthwise convolutions,
whose input is masked, so that outside a clip there are zeros whether or not the batch goes on. That gives the
codec a finite receptive field, and tokens that depend on neither padding nor neighbours.
"""

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor, nn

from vocable.features.spectrogram import samples_from_spectra, spectra
from vocable.nn.convnext import Block
from vocable.nn.polar import spectra_from_polar
from vocable.systems.guided.config import SpectralConfig

_LOUDEST = 6.0  # log of the largest magnitude a full-scale clip can have in a window of 640
_QUIETEST = 1e-2  # added to magnitudes before the logarithm: 90 dB under full scale


class SpectralEncoder(nn.Module):
    """Waveform to latents."""

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__()
        self.config = config
        per_frame = config.spectra_per_frame * config.bins * 3
        self.enter = nn.Linear(per_frame, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.encoder_blocks))
        self.leave = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, config.latent_width))

    def forward(self, samples: Float[Tensor, "B T"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B N D"]:
        """T = N · hop samples in [-1, 1], zero behind each clip's end."""
        values = spectra(samples, self.config.n_fft, self.config.spectrum_hop)
        energy = values.real.square() + values.imag.square() + _QUIETEST**2
        shrink = energy.pow(-0.35)  # magnitude to the power 0.3, phase kept
        features = torch.cat([values.real * shrink, values.imag * shrink, 0.5 * energy.log()], dim=-1)
        hidden = self.norm(self.enter(features.reshape(*mask.shape, -1)))
        for block in self.blocks:
            hidden = block(hidden, mask)
        return self.leave(hidden)


class SpectralDecoder(nn.Module):
    """Latents to short-time spectra to waveform."""

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Linear(config.latent_width, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.decoder_blocks))
        self.leave = nn.Sequential(
            nn.LayerNorm(config.width), nn.Linear(config.width, config.spectra_per_frame * config.bins * 3)
        )

    def forward(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B T"]:
        """Samples, T = N · hop; zero where the mask is False."""
        config = self.config
        values = self.predict(latents, mask)
        per_spectrum = mask.repeat_interleave(config.spectra_per_frame, dim=1)
        samples = samples_from_spectra(values, per_spectrum.to(latents.dtype), config.n_fft, config.spectrum_hop)
        return samples * mask.repeat_interleave(config.hop, dim=1)

    def predict(self, latents: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Complex[Tensor, "B S F"]:
        """The spectra before overlap-add."""
        hidden = self.norm(self.enter(latents))
        for block in self.blocks:
            hidden = block(hidden, mask)
        head = self.leave(hidden).reshape(mask.shape[0], -1, 3, self.config.bins)
        return spectra_from_polar(head, loudest=_LOUDEST)


def _block(config: SpectralConfig) -> Block:
    return Block(config.width, config.kernel, config.expansion, config.initial_scale)
