"""Short-time spectra on the token grid, their inverse, and mel filters.

A spectrum with a window of ``n_fft`` samples is centered on its own ``hop`` samples. A clip of T samples, a multiple of
the hop, has exactly T / hop spectra. Outside the clip there is silence: the ends are not reflected. The spectra of a
clip therefore do not depend on zero padding after it.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

from vocable.errors import ShapeError
from vocable.features.cache import cache_tensors


def window_margin(n_fft: int, hop: int) -> int:
    """Return the number of samples that a window reaches beyond its own hop on either side."""
    return (n_fft - hop) // 2


@cache_tensors
def hann(n_fft: int, device: torch.device | None = None) -> Float[Tensor, " n_fft"]:
    """Return the periodic Hann window."""
    return torch.hann_window(n_fft, dtype=torch.float32, device=device)


def spectra(samples: Float[Tensor, "B T"], n_fft: int, hop: int) -> Complex[Tensor, "B S F"]:
    """Compute windowed short-time spectra, one per hop.

    Args:
        samples: Samples in [-1, 1]. T is a positive multiple of ``hop``.
        n_fft: Length of window and transform in samples; ``n_fft - hop`` must be even.
        hop: Samples from one spectrum to the next.

    Returns:
        S = T / hop spectra of F = n_fft / 2 + 1 bins, without normalization.

    Raises:
        ShapeError: If T is not a positive multiple of the hop.

    Example:
        >>> spectra(torch.zeros(1, 640), n_fft=640, hop=160).shape
        torch.Size([1, 4, 321])
    """
    if samples.shape[1] == 0 or samples.shape[1] % hop:
        raise ShapeError(f"spectra need a positive multiple of {hop} samples, got {samples.shape[1]}: pad with zeros")
    margin = window_margin(n_fft, hop)
    frames = F.pad(samples, (margin, margin)).unfold(1, n_fft, hop)
    return torch.fft.rfft(frames * hann(n_fft, samples.device))


def samples_from_spectra(
    values: Complex[Tensor, "B S F"], mask: Float[Tensor, "B S"], n_fft: int, hop: int
) -> Float[Tensor, "B T"]:
    """Invert :func:`spectra` by windowed overlap-add; exact for the spectra of a real signal.

    Args:
        values: Spectra, as :func:`spectra` returns them.
        mask: 1 on real spectra, 0 on padding. Padding adds nothing, not even to the envelope of the window.
        n_fft: Length of the window in samples, a multiple of ``hop``.
        hop: Samples from one spectrum to the next.

    Returns:
        T = S · hop samples.

    Example:
        >>> sound = torch.randn(1, 800, generator=torch.Generator().manual_seed(0))
        >>> again = samples_from_spectra(spectra(sound, 640, 160), torch.ones(1, 5), 640, 160)
        >>> bool((again - sound).abs().max() < 1e-5)
        True
    """
    window = hann(n_fft, values.device)
    frames = torch.fft.irfft(values, n_fft) * (window * mask[..., None])
    envelope = mask[..., None] * window.square()
    margin, length = window_margin(n_fft, hop), values.shape[1] * hop
    summed = _overlap_add(frames, hop)[:, margin : margin + length]
    weight = _overlap_add(envelope, hop)[:, margin : margin + length]
    return summed / weight.clamp(min=1e-4)


def _overlap_add(frames: Float[Tensor, "B S n_fft"], hop: int) -> Float[Tensor, "B T"]:
    batch, count, n_fft = frames.shape
    parts = frames.reshape(batch, count, n_fft // hop, hop)
    rows = [F.pad(parts[:, :, part], (0, 0, part, n_fft // hop - 1 - part)) for part in range(n_fft // hop)]
    return torch.stack(rows).sum(0).reshape(batch, -1)


@cache_tensors
def mel_filters(
    sample_rate: int, n_fft: int, bins: int, device: torch.device | None = None
) -> Float[Tensor, "F mel"]:  # fmt: skip
    """Return triangular filters of equal area, equally spaced on the Slaney mel scale up to half the sample rate.

    Args:
        sample_rate: Sample rate in Hz.
        n_fft: Length of the transform in samples.
        bins: Number of filters.
        device: Device of the filters.

    Source:
        Slaney, Auditory Toolbox (1998); the scale and normalisation librosa uses by default.

    Example:
        >>> mel_filters(16_000, 512, 40).shape
        torch.Size([257, 40])
    """
    steps = torch.linspace(0.0, _mel(sample_rate / 2), bins + 2, dtype=torch.float64)
    edges = torch.where(steps < 15.0, steps * 200.0 / 3.0, 1000.0 * torch.exp((steps - 15.0) * math.log(6.4) / 27.0))
    frequencies = torch.arange(n_fft // 2 + 1, dtype=torch.float64)[:, None] * (sample_rate / n_fft)
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp(min=0) * (2.0 / (edges[2:] - edges[:-2]))
    return filters.float().to(device)


def _mel(frequency: float) -> float:
    """Convert hertz to Slaney mels: linear below 1 kHz, logarithmic above."""
    return frequency * 3.0 / 200.0 if frequency < 1000.0 else 15.0 + 27.0 * math.log(frequency / 1000.0) / math.log(6.4)
