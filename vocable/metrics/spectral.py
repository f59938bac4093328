"""Spectral distances of decoded speech from the recording, in dB, and dynamic time warping.

As in :mod:`vocable.metrics.quality`, the samples of the recording come first, those of the decoded speech second, and
the result is a ``Score``. Distances at different sample rates cover different bands and do not compare.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from numpy import ndarray
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from vocable.errors import ConfigError, ShapeError
from vocable.features.spectrogram import mel_filters, spectra
from vocable.metrics.quality import comparable
from vocable.metrics.score import Score, undefined

RANGE = 1e-8  # of power: 80 dB
_MCD_WINDOW, MCD_HOP = 0.032, 0.008  # seconds
_MCD_BANDS, _MCD_ORDER = 20, 13


def log_mel_distance(reference: Float[ndarray, " T"], decoded: Float[ndarray, " T_decoded"], sample_rate: int) -> Score:
    """Return the mean absolute difference of log-mel power spectra in dB: 0 is identity, lower is better.

    The windows last about 64 ms (1024 samples at 16 kHz) and start a quarter of that apart. The 80 Slaney mel bands
    reach to half the sample rate. Both spectra are clamped below at 80 dB under the recording's peak.

    Returns:
        A distance in dB; undefined for a silent recording. Silence decoded from speech has a distance like any other.

    Source:
        The mel-spectrogram distance of HiFi-GAN, arXiv:2010.05646, equation 4, in dB; range of 80 dB as librosa's
        ``power_to_db``.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal(16_000) * 0.1
        >>> round(log_mel_distance(noise, noise / 2, 16_000).value, 2)
        6.02
    """
    pair = comparable(reference, decoded, allow_silence=True)
    if isinstance(pair, str):
        return undefined(pair)
    n_fft = _fft_size(0.064, sample_rate)
    filters = mel_filters(sample_rate, n_fft, 80).double()
    mels = [_spectra(samples, n_fft).abs().square() @ filters for samples in pair]
    return Score(float(_decibel_difference(*mels).abs().mean()))


def log_spectral_distance(
    reference: Float[ndarray, " T"], decoded: Float[ndarray, " T_decoded"], sample_rate: int
) -> Score:
    """Return the log-spectral distance in dB: root mean square over frequency, mean over frames; 0 is identity.

    The Hann windows last about 32 ms (512 samples at 16 kHz) and start a quarter of that apart. Both spectra are
    clamped below at 80 dB under the recording's peak. Papers print a tenth of it, in base-10 logarithms.

    Returns:
        A distance in dB; undefined for a silent recording. Silence decoded from speech has a distance like any other.

    Source:
        Gray and Markel, IEEE TASSP 24(5), 1976, on short-time spectra.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal(16_000) * 0.1
        >>> round(log_spectral_distance(noise, noise / 2, 16_000).value, 2)
        6.02
    """
    pair = comparable(reference, decoded, allow_silence=True)
    if isinstance(pair, str):
        return undefined(pair)
    n_fft = _fft_size(0.032, sample_rate)
    powers = [_spectra(samples, n_fft).abs().square() for samples in pair]
    return Score(float(_decibel_difference(*powers).square().mean(dim=1).sqrt().mean()))


def mel_cepstral_distance(
    reference: Float[ndarray, " T"],
    decoded: Float[ndarray, " T_decoded"],
    sample_rate: int,
    align: str = "none",
) -> Score:
    """Return the mel-cepstral distance (MCD): 10 / ln 10 · √(2 Σ Δ²) dB over coefficients 1 to 13, mean over frames.

    It is the root mean square difference of two smoothed log-mel spectra. Coefficient 0, their level, is left out, and
    each clip is scaled to a peak of 1. The cepstra are those of :func:`mel_cepstra`.

    It equals mel-cepstral-distance 0.0.4, ``compare_audio_files(reference, decoded, s=0, D=13, align_target="mfcc",
    dtw_radius=None, aligning="dtw")``, times 10 √2 / 20 (as Kubichek did, its authors leave out the constant and do
    not divide by the number of bands), and for clips of one length to ``aligning="pad"``. Its array of coefficients
    begins with coefficient 1, hence ``s=0``. Figures from WORLD's envelopes (pymcd) are another measure.

    Args:
        reference: Samples of the recording.
        decoded: Samples of the decoded speech.
        sample_rate: Sample rate of both in Hz.
        align: ``none`` compares frame by frame, both cut to the shorter. ``dtw`` compares the frames that
            :func:`dtw_path` pairs, which ignores differences of timing (voice conversion, synthesis), and cuts nothing.

    Returns:
        A distance in dB; undefined for silence and for clips of less than 33 ms. Digital silence on one side alone is
        far from everything, because the spectra are not clamped.

    Raises:
        ConfigError: If ``align`` is neither.

    Source:
        Kubichek, IEEE PACRIM 1993, doi:10.1109/PACRIM.1993.407206; Sternkopf and Taubert,
        doi:10.5281/zenodo.15213012.

    Example:
        >>> from vocable.testing import speechlike
        >>> clip = speechlike(16_000).samples
        >>> slow = np.interp(np.arange(0, 15_999, 0.9), np.arange(16_000), clip)
        >>> for align in ("none", "dtw"):
        ...     print(mel_cepstral_distance(clip, slow, 16_000, align).text(".1f"))
        4.7
        2.8
    """
    if align not in ("none", "dtw"):
        raise ConfigError(f"align is '{align}': mel_cepstral_distance takes 'none' or 'dtw'")
    pair = comparable(reference, decoded, cut=align == "none")
    if isinstance(pair, str):
        return undefined(pair)
    real, other = (mel_cepstra(samples, sample_rate) for samples in pair)
    if min(len(real), len(other)) == 0:
        return undefined("less than 33 ms of speech")
    if align == "dtw":
        path = dtw_path(real, other)
        real, other = real[path[:, 0]], other[path[:, 1]]
    return Score(float(10 / math.log(10) * np.sqrt(2 * np.square(real - other).sum(axis=1)).mean()))


def mel_cepstra(
    samples: Float[ndarray, " T"], sample_rate: int, hop: float = MCD_HOP
) -> Float[ndarray, "S coefficient"]:
    """Return mel-frequency cepstra, coefficients 1 to 13: the shape of the spectrum without its level.

    The steps: Hann windows of 32 ms from the first sample on, without padding at the ends; power spectra of the clip
    scaled to a peak of 1; 20 triangular filters of height 1 on the mel scale 2595 log10(1 + f / 700), from 0 to half
    the sample rate, with corners on bins; natural logarithm of the sum plus 2.2e-16; cosine transform, divided by 20.
    The logarithm of the power in band n is then c0 + 2 Σ c_i cos(i (n - 1/2) π / 20), as with cepstra of SPTK.

    Args:
        samples: Samples of a clip; the cepstra of digital silence are about 0.
        sample_rate: Sample rate in Hz.
        hop: Seconds from frame to frame. With the hop of two pitch contours, :func:`dtw_path` of the cepstra pairs
            the frames of the contours.

    Returns:
        Cepstra by frame; no frame for a clip that is no longer than the window.

    Raises:
        ConfigError: If the hop is less than one sample.

    Example:
        >>> mel_cepstra(np.sin(np.arange(16_000.0)), 16_000).shape
        (121, 13)
    """
    window, step = int(_MCD_WINDOW * sample_rate), int(hop * sample_rate)
    if step < 1:
        raise ConfigError(f"a hop of {hop} s is less than one sample at {sample_rate} Hz: give a longer one")
    if samples.size <= window:
        return np.empty((0, _MCD_ORDER))
    frames = sliding_window_view(samples / (np.abs(samples).max() or 1.0), window)[:-1:step]
    values = np.fft.rfft(frames * np.hanning(window))
    powers = (values.real**2 + values.imag**2) @ _filters(sample_rate, window)
    return np.log(powers + np.finfo(np.float64).eps) @ _cosines()


def dtw_path(
    reference: Float[ndarray, "S F"], decoded: Float[ndarray, "S_decoded F_decoded"]
) -> Int[ndarray, "pair 2"]:
    """Pair the frames of two sequences by dynamic time warping: the path of least total Euclidean distance.

    A step moves one frame in either sequence or in both, without weights or bands; the result is the exact optimum. Of
    equal paths it takes the one that keeps the decoded frame, then the one that keeps the reference's, as fastdtw does.

    Args:
        reference: Features of S frames.
        decoded: Features of the other frames, of the same dimension.

    Returns:
        Rows of (frame of ``reference``, frame of ``decoded``), both never decreasing.

    Raises:
        ShapeError: If a sequence is empty, or if the numbers of features differ.

    Source:
        Sakoe and Chiba, IEEE TASSP 26(1), 1978, symmetric form without slope constraint.

    Example:
        >>> dtw_path(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [3.0]])).tolist()
        [[0, 0], [1, 1], [2, 1]]
    """
    (rows, width), (columns, other) = reference.shape, decoded.shape
    if min(rows, columns) == 0 or width != other:
        raise ShapeError(
            f"sequences of shape {reference.shape} and {decoded.shape}: both need frames of as many features"
        )
    steps = _steps(np.ascontiguousarray(reference.T), np.ascontiguousarray(decoded[::-1].T))
    row, column = rows - 1, columns - 1
    path = [(row, column)]
    while row or column:
        step = steps[row + column, row]
        row, column = row - (step != 1), column - (step != 0)
        path.append((row, column))
    return np.array(path[::-1], dtype=np.int64)


def _steps(real: Float[ndarray, "F S"], backwards: Float[ndarray, "F S_decoded"]) -> ndarray:
    """Return the best last step into each pair: 0 along the reference, 1 along the other, 2 along both.

    It works by anti-diagonals, whose pairs are independent: entry [d, row] belongs to column d - row.
    """
    rows, columns = real.shape[1], backwards.shape[1]
    steps = np.zeros((rows + columns - 1, rows), dtype=np.int8)
    total, before, two_before = (
        np.full(rows + 2, np.inf) for _ in range(3)
    )  # entry row + 1; the borders stay infinite
    two_before[0] = 0.0
    for diagonal in range(rows + columns - 1):
        first, last = max(0, diagonal - columns + 1), min(diagonal + 1, rows)
        offset = columns - 1 - diagonal
        differences = real[:, first:last] - backwards[:, offset + first : offset + last]
        distances = np.sqrt(np.einsum("fs,fs->s", differences, differences))
        along, across = before[first:last] + distances, before[first + 1 : last + 1] + distances
        both = two_before[first:last] + distances
        straight = np.minimum(along, across)
        steps[diagonal, first:last] = np.where(both < straight, 2, across < along)
        total[first + 1 : last + 1] = np.minimum(both, straight)
        total[first] = total[last + 1] = np.inf
        total, before, two_before = two_before, total, before
    return steps


@lru_cache(maxsize=8)
def _filters(sample_rate: int, n_fft: int) -> Float[ndarray, "F band"]:
    """Return the mel filters of mel-cepstral-distance."""
    top = 2595 * math.log10(1 + (sample_rate // 2) / 700)
    edges = 700 * (10 ** (np.linspace(0.0, top, _MCD_BANDS + 2) / 2595) - 1)
    corners = np.floor((n_fft + 1) * edges / sample_rate).astype(int)
    filters = np.zeros((n_fft // 2 + 1, _MCD_BANDS))
    for band, (left, middle, right) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        filters[left:middle, band] = (np.arange(left, middle) - left) / max(middle - left, 1)
        filters[middle:right, band] = (right - np.arange(middle, right)) / max(right - middle, 1)
    return filters


@lru_cache(maxsize=1)
def _cosines() -> Float[ndarray, "band coefficient"]:
    bands, orders = np.arange(_MCD_BANDS) + 0.5, np.arange(1, _MCD_ORDER + 1)
    return np.cos(np.outer(bands, orders) * np.pi / _MCD_BANDS) / _MCD_BANDS


def _fft_size(seconds: float, sample_rate: int) -> int:
    """Return the power of two that is nearest to a duration in samples."""
    return max(4, 2 ** round(math.log2(seconds * sample_rate)))


def _spectra(samples: Float[ndarray, " T"], n_fft: int) -> Complex[Tensor, "S F"]:
    """Return spectra of windows that start a quarter of their length apart."""
    padded = np.pad(samples, (0, -samples.size % (n_fft // 4)))
    return spectra(torch.from_numpy(padded)[None], n_fft, n_fft // 4)[0]


def _decibel_difference(reference: Float[Tensor, "S F"], decoded: Float[Tensor, "S F"]) -> Float[Tensor, "S F"]:
    """Return the difference of two power spectra in dB, clamped below at ``RANGE`` under the reference's peak."""
    floor = reference.max() * RANGE
    levels = [10 * torch.maximum(power, floor).log10() for power in (reference, decoded)]
    return levels[0] - levels[1]
