"""Reconstruction losses between a decoded waveform and its recording.

Losses are means over all positions. Both signals are zero behind a clip's end, so that padding only dilutes the mean.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Complex, Float
from pydantic import Field
from torch import Tensor

from vocable.features.spectrogram import mel_filters, spectra
from vocable.schema import Width, config


@config
class MelScale:
    """One resolution of :func:`log_mel_loss`.

    Attributes:
        n_fft: Window length in samples.
        bins: Number of mel bins.
        hop: Hop length in samples; 0 is a quarter of the window.
        weight: Weight relative to the other scales.
    """

    n_fft: Width
    bins: Width
    hop: Annotated[int, Field(ge=0)] = 0
    weight: float = 1.0


_N_FFT = 512  # window of the compressed spectrum in samples
_FLOOR = 1e-3  # added to mel magnitudes of the normalized spectrum before the logarithm; it masks quieter parts
MEL_SCALES = tuple(MelScale(n_fft=n_fft, bins=bins) for n_fft, bins in ((1024, 80), (512, 64), (256, 32), (128, 16)))


def log_mel_loss(
    decoded: Float[Tensor, "B T"], reference: Float[Tensor, "B T"], *, sample_rate: int,
    scales: Sequence[MelScale] = MEL_SCALES,
) -> Float[Tensor, ""]:  # fmt: skip
    """Return the mean absolute difference of log-mel magnitudes in nats, averaged over window lengths.

    Args:
        decoded: Decoded samples in [-1, 1]; T is a multiple of every hop.
        reference: Samples of the recording.
        sample_rate: Sample rate in Hz.
        scales: Resolutions to average.

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
        filters = mel_filters(sample_rate, scale.n_fft, scale.bins, device=decoded.device) * (sample_rate / scale.n_fft)
        powers = (_energy(spectra(samples, scale.n_fft, hop)) for samples in (decoded, reference))
        unit = 1.6 / scale.n_fft**0.5  # scales magnitudes to 1 for noise of unit variance
        mels = [((power + 1e-9).sqrt() * unit @ filters + _FLOOR).log() for power in powers]
        terms.append(scale.weight * (mels[0] - mels[1]).abs().mean())
    return torch.stack(terms).sum() / sum(scale.weight for scale in scales)


def compressed_spectrum_loss(
    decoded: Float[Tensor, "B T"], reference: Float[Tensor, "B T"], *, phase: float = 0.5
) -> Float[Tensor, ""]:
    """Return the mean squared difference of power-law compressed spectra, with and without their phase.

    The square root is close to the loudness law of the ear (magnitude to the power of 0.46, Zwicker). The complex part,
    of weight ``phase``, rewards an exact waveform; the magnitude part, of weight 1 − ``phase``, rewards the right sound
    where the bit rate allows no exact waveform. T is a multiple of 128.

    Source:
        Ephrat et al., arXiv:1804.03619, section 3; Braun and Tashev, arXiv:2009.12286.

    Example:
        >>> sound = torch.randn(1, 1024, generator=torch.Generator().manual_seed(0))
        >>> float(compressed_spectrum_loss(sound, sound))
        0.0
    """
    pairs = []
    for samples in (decoded, reference):
        values = spectra(samples, _N_FFT, _N_FFT // 4) * (2.0 / _N_FFT**0.5)
        root = (_energy(values) + 1e-6).sqrt().sqrt()  # square root of the magnitude
        pairs.append((root, values.real / root, values.imag / root))
    magnitude, *parts = [(one - two).square().mean() for one, two in zip(*pairs, strict=True)]
    return (1 - phase) * magnitude + phase * (parts[0] + parts[1])


def _energy(values: Complex[Tensor, "B S F"]) -> Float[Tensor, "B S F"]:
    return values.real.square() + values.imag.square()  # twice as fast as a sum over an axis of two
