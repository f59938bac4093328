"""How far a waveform made again is from the recording, in domains that follow the ear ever closer.

Clips of a batch are zero behind their end in both signals, so padding costs nothing beyond diluting the mean;
losses here are means over all positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from vocable.features.spectrogram import mel_filters, spectra


@dataclass(frozen=True)
class MelScale:
    """One view of :func:`log_mel_loss`.

    Attributes:
        n_fft: Window in samples.
        bins: Mel filters.
        hop: From one window to the next; a quarter of the window where it is 0.
        weight: Beside the other scales.
    """

    n_fft: int
    bins: int
    hop: int = 0
    weight: float = 1.0


MEL_SCALES = (MelScale(1024, 80), MelScale(512, 64), MelScale(256, 32), MelScale(128, 16))


def waveform_loss(made: Float[Tensor, "B T"], real: Float[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Mean absolute difference of samples.

    Example:
        >>> float(waveform_loss(torch.zeros(1, 4), torch.ones(1, 4)))
        1.0
    """
    return (made - real).abs().mean()


def log_mel_loss(
    made: Float[Tensor, "B T"],
    real: Float[Tensor, "B T"],
    *,
    sample_rate: int,
    scales: Sequence[MelScale] = MEL_SCALES,
    floor: float = 1e-3,
) -> Float[Tensor, ""]:
    """Mean absolute difference of log-mel magnitudes (nats), averaged over window lengths (scales).

    Args:
        made: Samples in [-1, 1]; T a multiple of every hop.
        real: The recording.
        sample_rate: Hz.
        scales: Whose weighted mean is taken.
        floor: Added to mel magnitudes of the normalised spectrum before the logarithm: hides what is quieter.

    Source:
        Multi-scale spectral loss: Yamamoto et al., arXiv:1910.11480; on log-mels: SpeechTokenizer,
        arXiv:2308.16692, section 3.3.

    Example:
        >>> sound = torch.randn(1, 1024, generator=torch.Generator().manual_seed(0))
        >>> float(log_mel_loss(sound, sound, sample_rate=16_000))
        0.0
    """
    terms = []
    for scale in scales:
        hop = scale.hop or scale.n_fft // 4
        filters = mel_filters(sample_rate, scale.n_fft, scale.bins, device=made.device) * (sample_rate / scale.n_fft)
        mels = [(_magnitude(samples, scale.n_fft, hop) @ filters + floor).log() for samples in (made, real)]
        terms.append(scale.weight * (mels[0] - mels[1]).abs().mean())
    return torch.stack(terms).sum() / sum(scale.weight for scale in scales)


def compressed_spectrum_loss(
    made: Float[Tensor, "B T"],
    real: Float[Tensor, "B T"],
    *,
    n_fft: int = 512,
    phase: float = 0.5,
) -> Float[Tensor, ""]:
    """Mean squared difference of power-law compressed spectra, with and without their phase.

    The square root is near the ear's loudness law (0.46 of the magnitude, Zwicker). The complex part (weight
    ``phase``) rewards the right waveform where the bits allow it, the magnitude part (weight 1 − ``phase``) the right
    sound where they do not.

    Args:
        made: Samples in [-1, 1]; T a multiple of n_fft / 4.
        real: The recording.
        n_fft: Window length in samples; the hop is a quarter of it.
        phase: Share of the complex part, in [0, 1].

    Source:
        Ephrat et al., arXiv:1804.03619, section 3; Braun and Tashev, arXiv:2009.12286.

    Example:
        >>> sound = torch.randn(1, 1024, generator=torch.Generator().manual_seed(0))
        >>> float(compressed_spectrum_loss(sound, sound))
        0.0
    """
    pairs = []
    for samples in (made, real):
        values = spectra(samples, n_fft, n_fft // 4) * (2.0 / n_fft**0.5)
        root = (_energy(values) + 1e-6).sqrt().sqrt()  # square root of the magnitude
        pairs.append((root, values.real / root, values.imag / root))
    magnitude, *parts = [(here - there).square().mean() for here, there in zip(*pairs, strict=True)]
    return (1 - phase) * magnitude + phase * (parts[0] + parts[1])


def _magnitude(samples: Float[Tensor, "B T"], n_fft: int, hop: int) -> Float[Tensor, "B S F"]:
    """Magnitudes of a Hann-windowed transform, of unit scale for noise of unit variance."""
    return (_energy(spectra(samples, n_fft, hop)) + 1e-9).sqrt() * (1.6 / n_fft**0.5)


def _energy(values: Complex[Tensor, "B S F"]) -> Float[Tensor, "B S F"]:
    return values.real.square() + values.imag.square()  # twice as fast as a sum over an axis of two
