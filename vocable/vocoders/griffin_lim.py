"""Griffin-Lim: a vocoder without training, which alternates between spectra and samples until phases are consistent."""

import torch
from jaxtyping import Complex, Float
from numpy import ndarray
from torch import Tensor

from vocable.features.spectrogram import mel_filters, samples_from_spectra, spectra
from vocable.numerics import reproducible
from vocable.vocoders.base import MelSpec

_MOMENTUM = 0.99
_UNMIXING_ROUNDS = 30


class GriffinLim:
    """Griffin-Lim with momentum, from magnitudes that are estimated from the mel powers.

    Args:
        spec: Spec of the spectra.
        rounds: Number of iterations.

    Source:
        Griffin and Lim (1984); Perraudin et al., A fast Griffin-Lim algorithm (2013). Mel powers are unmixed by the
        multiplicative update of Lee and Seung (2001), which keeps them positive.

    Example:
        >>> spec = MelSpec(sample_rate=8_000, n_fft=384, hop=96, bins=64)
        >>> tone = torch.sin(torch.arange(960) * 0.5)[None]
        >>> GriffinLim(spec).render(spec.mel(tone)[0]).shape
        (960,)
    """

    name = "griffin-lim"

    def __init__(self, spec: MelSpec, rounds: int = 32) -> None:
        self.spec, self.rounds = spec, rounds

    @reproducible
    @torch.inference_mode()
    def render(self, mel: Float[Tensor, "F S"]) -> Float[ndarray, " T"]:
        """Render mel spectra in dB as T = S · hop samples. Equal spectra give equal samples."""
        filters = mel_filters(self.spec.sample_rate, self.spec.n_fft, self.spec.bins)
        target = 10.0 ** (mel.T / 10.0)
        power = (target @ filters.T) / filters.sum(1).clamp(min=1e-9)
        for _ in range(_UNMIXING_ROUNDS):
            power = power * (target @ filters.T) / ((power @ filters) @ filters.T).clamp(min=1e-12)
        magnitudes = power.clamp(min=0).sqrt()[None]
        generator = torch.Generator().manual_seed(0)
        phases = torch.polar(torch.ones_like(magnitudes), 6.2832 * torch.rand(magnitudes.shape, generator=generator))
        return griffin_lim(magnitudes, phases, self.spec, self.rounds)[0].numpy()


def griffin_lim(
    magnitudes: Float[Tensor, "B S K"], phases: Complex[Tensor, "B S K"], spec: MelSpec, rounds: int
) -> Float[Tensor, "B T"]:
    """Return samples whose spectra have nearly some magnitudes, by alternating between spectra and samples.

    The initial phases are complex numbers of modulus 1; with 0 rounds they are kept.
    """
    mask = torch.ones(magnitudes.shape[:2])
    previous = torch.zeros_like(phases)
    for _ in range(rounds):
        samples = samples_from_spectra(magnitudes * phases, mask, spec.n_fft, spec.hop)
        consistent = spectra(samples, spec.n_fft, spec.hop)
        accelerated = consistent - _MOMENTUM / (1 + _MOMENTUM) * previous
        phases, previous = accelerated / accelerated.abs().clamp(min=1e-9), consistent
    return samples_from_spectra(magnitudes * phases, mask, spec.n_fft, spec.hop)
