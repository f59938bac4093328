"""Phases that agree with the magnitudes, found by going back and forth: a vocoder that nobody has to train."""

import torch
from jaxtyping import Complex, Float
from numpy import ndarray
from torch import Tensor

from vocable.features.spectrogram import mel_filters, samples_from_spectra, spectra
from vocable.vocoders.base import MelSpec

_MOMENTUM = 0.99
_UNMIXING_ROUNDS = 30


class GriffinLim:
    """Griffin-Lim with momentum, from magnitudes whose mel powers are those given.

    Args:
        spec: Of the spectra.
        rounds: Back and forth.

    Source:
        Griffin and Lim (1984); Perraudin et al., A fast Griffin-Lim algorithm (2013). Mel powers are unmixed by the
        multiplicative update of Lee and Seung (2001), which keeps them over 0.

    Example:
        >>> spec = MelSpec(sample_rate=8_000, n_fft=384, hop=96, bins=64)
        >>> tone = torch.sin(torch.arange(960) * 0.5)[None]
        >>> GriffinLim(spec).render(spec.mel(tone)[0]).shape
        (960,)
    """

    name = "griffin-lim"

    def __init__(self, spec: MelSpec, rounds: int = 32) -> None:
        self.spec, self.rounds = spec, rounds

    @torch.inference_mode()
    def render(self, mel: Float[Tensor, "F S"]) -> Float[ndarray, " T"]:
        """Samples, T = S · hop; equal spectra, equal samples."""
        size = self._magnitudes(mel)
        seeded = torch.Generator().manual_seed(0)
        phase = torch.polar(torch.ones_like(size), 6.2832 * torch.rand(size.shape, generator=seeded))
        return agreed_samples(size, phase, self.spec, self.rounds)[0].numpy()

    def _magnitudes(self, mel: Float[Tensor, "F S"]) -> Float[Tensor, "1 S K"]:
        filters = mel_filters(self.spec.sample_rate, self.spec.n_fft, self.spec.bins)
        wanted = 10.0 ** (mel.T / 10.0)
        power = (wanted @ filters.T) / filters.sum(1).clamp(min=1e-9)
        for _ in range(_UNMIXING_ROUNDS):
            power = power * (wanted @ filters.T) / ((power @ filters) @ filters.T).clamp(min=1e-12)
        return power.clamp(min=0).sqrt()[None]


def agreed_samples(
    size: Float[Tensor, "B S K"], phase: Complex[Tensor, "B S K"], spec: MelSpec, rounds: int
) -> Float[Tensor, "B T"]:
    """Samples whose spectra have nearly these magnitudes: phases come from samples, samples from phases, by turns.

    Args:
        size: Magnitudes.
        phase: Of unit length: where to begin.
        spec: Of the spectra.
        rounds: Back and forth; with 0 the phases stay as they are.
    """
    real = torch.ones(size.shape[:2])
    before = torch.zeros_like(phase)
    for _ in range(rounds):
        agreed = spectra(samples_from_spectra(size * phase, real, spec.n_fft, spec.hop), spec.n_fft, spec.hop)
        ahead = agreed - _MOMENTUM / (1 + _MOMENTUM) * before
        phase, before = ahead / ahead.abs().clamp(min=1e-9), agreed
    return samples_from_spectra(size * phase, real, spec.n_fft, spec.hop)
