"""Intelligibility, quality, waveform distortion and delay of decoded speech, compared with the recording.

Every function takes the samples of the recording (T,), those of the decoded speech (T_decoded,), and their rate in Hz.
It cuts both to the shorter and returns a ``Score``. What cannot be measured (silence, a clip that is too short) is
undefined and has a reason. It is never 0, which would pass for a bad codec, and never an exception, which would end a
long evaluation. No function aligns the two: :func:`delay` measures the delay of a codec, and the wrapper of the codec
removes it before scoring. A missing package raises MissingDependencyError.
"""

import math
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache, reduce
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.lib.stride_tricks import sliding_window_view

from vocable.audio import Audio
from vocable.errors import MissingDependencyError
from vocable.metrics.score import Score, undefined

_SILENCE = 2.0**-24  # of full scale: less than one step of 24-bit audio
_STOI_RATE = 10_000  # Hz
_STOI_WINDOW, _STOI_HOP = 256, 128  # samples
_STOI_BANDS, _STOI_LOWEST = 15, 150  # third octaves, center of the lowest in Hz
_STOI_SEGMENT = 30  # frames of a correlation: 0.38 s
_STOI_RANGE = 40.0  # dB under the loudest frame, below which a frame is silent
_STOI_CLIP = 1 + 10 ** (15 / 20)  # times the recording's band, where the decoded band is clipped
_TINY = np.finfo(np.float64).eps  # added where pystoi adds it
_PESQ_SAFE_SECONDS = 20.0
_PESQ_RATES = {"wb": 16_000, "nb": 8_000}
_MOST_DECIBELS = 100.0


def stoi(
    reference: Float[ndarray, " T"], decoded: Float[ndarray, " T_decoded"], sample_rate: int, extended: bool = False
) -> Score:
    """Return the short-time objective intelligibility: the correlation of third-octave envelopes.

    1 is identity; white noise as loud as the speech still has 0.1 to 0.4.

    It equals ``pystoi.stoi`` of pystoi 0.4.1, with its filters and resampler. STOI and ESTOI of a pair in a row take a
    quarter of the time. pystoi adds random numbers of the size of rounding to ESTOI; here a constant band has no
    correlation instead, so that the result is reproducible.

    With ``extended`` it is ESTOI, which correlates whole spectra and so measures modulated noise, too; mostly lower.
    Both clips are resampled from ``sample_rate`` to 10 kHz.

    Returns:
        A value up to 1; undefined for silence and for less than 0.4 s of speech, where pystoi returns 0.00001.

    Source:
        Taal et al., IEEE TASLP 19(7), 2011; extended: Jensen and Taal, IEEE/ACM TASLP 24(11), 2016.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal(16_000)
        >>> round(stoi(noise, noise, 16_000).value, 3), round(stoi(noise, noise, 16_000, extended=True).value, 3)
        (1.0, 1.0)
    """
    _pystoi()
    pair = comparable(reference, decoded)
    if isinstance(pair, str):
        return undefined(pair)
    if min(samples.size for samples in pair) / sample_rate < _STOI_SEGMENT * _STOI_HOP / _STOI_RATE + 0.02:
        return undefined("less than 0.4 s of speech")
    envelopes = _third_octaves(*(samples.tobytes() for samples in pair), sample_rate)
    if envelopes[0].shape[1] < _STOI_SEGMENT:
        return undefined("less than 0.4 s of speech")
    return Score(_spectral_correlation(*envelopes) if extended else _band_correlation(*envelopes))


def pesq(
    reference: Float[ndarray, " T"], decoded: Float[ndarray, " T_decoded"], sample_rate: int, mode: Literal["wb", "nb"]
) -> Score:
    """Return the perceptual evaluation of speech quality, a mean opinion score: about 1.0 (bad) to 4.6 (identity).

    Clips over 20 s are measured in another process: the reference code has room for 50 utterances, as many as 20 s can
    hold, and overruns its memory beyond.

    ``mode`` is ``wb`` for wide band at 16 kHz (P.862.2) or ``nb`` for narrow band at 8 kHz (P.862.1). Both clips are
    resampled to that rate. The values of the two modes do not compare.

    Returns:
        A mean opinion score; undefined for silence, under a quarter of a second, and if no utterance is found.

    Source:
        ITU-T P.862 (2001), P.862.1 (2003), P.862.2 (2007); computed by the pesq package.

    Example:
        >>> from vocable.testing import speechlike
        >>> clip = speechlike(32_000)
        >>> pesq(clip.samples, clip.samples, 16_000, "wb").text(".2f")
        '4.64'
    """
    try:
        import pesq as package
    except ImportError as error:
        raise MissingDependencyError("PESQ needs the pesq package; run pip install 'vocable[pesq]'") from error
    pair = comparable(reference, decoded)
    if isinstance(pair, str):
        return undefined(pair)
    peak = max(float(np.abs(samples).max()) for samples in pair)
    rate = _PESQ_RATES[mode]
    clips = [Audio((samples / peak).astype(np.float32), sample_rate).resample(rate).samples for samples in pair]
    if clips[0].size / rate > _PESQ_SAFE_SECONDS:
        return _pesq_in_subprocess(clips[0], clips[1], rate, mode)
    try:
        return Score(float(package.pesq(rate, clips[0], clips[1], mode)))
    except (package.PesqError, ValueError) as error:
        return undefined(_error_message(error))


def si_sdr(reference: Float[ndarray, " T"], decoded: Float[ndarray, " T_decoded"]) -> Score:
    """Return the scale-invariant signal-to-distortion ratio in dB, without the means.

    It compares waveforms sample by sample: a codec that generates its own phase scores low however well it sounds.

    Returns:
        A ratio in dB, clipped to [-100, 100]: a file of 16-bit samples holds at most 98 dB, and JSON has no infinity.
        Undefined for silence.

    Source:
        Le Roux et al., arXiv:1811.02508, equation 3; zero means as in Luo and Mesgarani, arXiv:1711.00541.

    Example:
        >>> time = np.arange(1600) / 1600
        >>> tone, other = np.sin(2 * np.pi * 40 * time), np.sin(2 * np.pi * 50 * time)
        >>> round(si_sdr(tone, 3 * tone + 0.3 * other).value, 6)
        20.0
    """
    pair = comparable(reference, decoded)
    if isinstance(pair, str):
        return undefined(pair)
    real, other = (samples - samples.mean() for samples in pair)
    target = (other @ real) / (real @ real) * real
    signal, distortion = float(target @ target), float(np.square(other - target).sum())
    if distortion == 0.0:
        return Score(_MOST_DECIBELS)
    decibels = 10 * math.log10(signal / distortion) if signal > 0.0 else -_MOST_DECIBELS
    return Score(min(max(decibels, -_MOST_DECIBELS), _MOST_DECIBELS))


def delay(
    reference: Float[ndarray, " T"], decoded: Float[ndarray, " T_decoded"], sample_rate: int, most: float = 0.1
) -> Score:
    """Return the delay of the decoded speech in samples: the maximum of the cross-correlation.

    The maximum is sharp for a codec that keeps the waveform. For one that generates its own phase it may be off by
    whole periods of the voice, so take the median over many clips.

    ``most`` is the longest delay searched for, in seconds, in both directions.

    Returns:
        A whole number of samples, negative if the speech comes early; of equal maxima the one nearest to 0. Undefined
        for silence.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal(16_000)
        >>> delay(noise, np.roll(noise, 320), 16_000).value
        320.0
    """
    pair = comparable(reference, decoded)
    if isinstance(pair, str):
        return undefined(pair)
    reach = min(int(most * sample_rate), pair[0].size - 1)
    size = 2 ** math.ceil(math.log2(pair[0].size + reach))  # so that no lag in reach wraps around
    real, other = (np.fft.rfft(samples - samples.mean(), size) for samples in pair)
    products = np.fft.irfft(other * real.conj(), size)
    lags = np.array(sorted(range(-reach, reach + 1), key=abs))
    return Score(float(lags[products[lags].argmax()]))


def comparable(
    reference: Float[ndarray, " T"],
    decoded: Float[ndarray, " T_decoded"],
    *,
    allow_silence: bool = False,
    cut: bool = True,
) -> tuple[Float[ndarray, " T_real"], Float[ndarray, " T_other"]] | str:
    """Return both signals in double precision, or the reason why they cannot be compared.

    Args:
        reference: Samples of the recording.
        decoded: Samples of the decoded speech.
        allow_silence: Whether silent decoded speech can be compared.
        cut: Whether to cut both to the shorter.

    Example:
        >>> comparable(np.zeros(5), np.ones(3))
        'the recording is silent'
    """
    length = min(reference.size, decoded.size)
    if length == 0:
        return "there are no samples"
    real, other = (samples[: length if cut else None].astype(np.float64) for samples in (reference, decoded))
    for name, samples in (("the recording", real), ("the decoded speech", other)):
        if not np.isfinite(samples).all():
            return f"{name} holds NaN or infinity"
        if np.ptp(samples) < _SILENCE and not (allow_silence and samples is other):
            return f"{name} is silent"
    return real, other


# ---- parts of STOI --------------------------------------------------------------------------------------------------


def _pystoi() -> Any:
    """Return the module of pystoi with its filters and resampler."""
    try:
        from pystoi import utils
    except ImportError as error:
        raise MissingDependencyError("STOI needs pystoi; run pip install 'vocable[metrics]'") from error
    return utils


@lru_cache(maxsize=1)  # STOI and ESTOI of a pair follow one another
def _third_octaves(
    real: bytes, other: bytes, sample_rate: int
) -> tuple[Float[ndarray, "band S"], Float[ndarray, "band S"]]:
    """Return the envelopes of both, without the frames where the recording is silent."""
    clips = [_at_stoi_rate(samples, sample_rate) for samples in (real, other)]
    bands, _ = _pystoi().thirdoct(_STOI_RATE, 2 * _STOI_WINDOW, _STOI_BANDS, _STOI_LOWEST)
    energies = 20 * np.log10(np.linalg.norm(_stoi_frames(clips[0]), axis=1) + _TINY)
    loud = energies.max() - _STOI_RANGE - energies < 0
    envelopes = []
    for samples in clips:
        kept = _stoi_frames(samples)[loud]
        joined = np.zeros((kept.shape[0] + 1, _STOI_HOP))
        joined[:-1] += kept[:, :_STOI_HOP]
        joined[1:] += kept[:, _STOI_HOP:]
        spectra = np.fft.rfft(_stoi_frames(joined.reshape(-1)), 2 * _STOI_WINDOW)
        envelopes.append(np.sqrt(bands @ (spectra.real**2 + spectra.imag**2).T))
    return envelopes[0], envelopes[1]


@lru_cache(maxsize=2)  # a recording is compared with one codec after another
def _at_stoi_rate(samples: bytes, sample_rate: int) -> Float[ndarray, " T_stoi"]:
    values = np.frombuffer(samples)
    return values if sample_rate == _STOI_RATE else _pystoi().resample_oct(values, _STOI_RATE, sample_rate)


def _stoi_frames(samples: Float[ndarray, " T_stoi"]) -> Float[ndarray, "S window"]:
    """Return windowed frames; as in pystoi, a last frame that just fits is left out."""
    return sliding_window_view(samples, _STOI_WINDOW)[:-1:_STOI_HOP] * np.hanning(_STOI_WINDOW + 2)[1:-1]


def _band_correlation(real: Float[ndarray, "band S"], other: Float[ndarray, "band S"]) -> float:
    """Return STOI: the correlation over time in each segment and band; the decoded band is clipped."""
    energies = [reduce(np.add, map(np.square, _steps(whole))) for whole in (real, other)]
    gains = np.sqrt(energies[0]) / (np.sqrt(energies[1]) + _TINY)
    clipped = [
        np.minimum(there * gains, here * _STOI_CLIP) for here, there in zip(_steps(real), _steps(other), strict=True)
    ]
    means = [reduce(np.add, parts) / _STOI_SEGMENT for parts in (_steps(real), clipped)]
    sums = np.zeros((3, *gains.shape))
    for here, there in zip(_steps(real), clipped, strict=True):
        here, there = here - means[0], there - means[1]
        for row, values in enumerate((here * there, np.square(here), np.square(there))):
            sums[row] += values
    return float((sums[0] / (np.sqrt(sums[1]) + _TINY) / (np.sqrt(sums[2]) + _TINY)).mean())


def _spectral_correlation(real: Float[ndarray, "band S"], other: Float[ndarray, "band S"]) -> float:
    """Return ESTOI: the correlation over bands in each frame, after each band has mean 0 and norm 1 in its segment."""
    means, scales = [], []
    for whole in (real, other):
        means.append(reduce(np.add, _steps(whole)) / _STOI_SEGMENT)
        norms = np.sqrt(reduce(np.add, (np.square(part - means[-1]) for part in _steps(whole))))
        scales.append(np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > _TINY))
    total = 0.0
    for parts in zip(_steps(real), _steps(other), strict=True):
        here, there = ((part - mean) * scale for part, mean, scale in zip(parts, means, scales, strict=True))
        here -= here.mean(axis=0)
        there -= there.mean(axis=0)
        norms = np.sqrt(np.square(here).sum(axis=0) * np.square(there).sum(axis=0))
        products = (here * there).sum(axis=0)
        total += float(np.divide(products, norms, out=np.zeros_like(norms), where=norms > _TINY).sum())
    return total / (_STOI_SEGMENT * means[0].shape[1])


def _steps(whole: Float[ndarray, "band S"]) -> Iterator[Float[ndarray, "band J"]]:
    """Yield the first frame of all segments, the second, and so on; each fits into the cache of the processor."""
    segments = whole.shape[1] - _STOI_SEGMENT + 1
    return (whole[:, at : at + segments] for at in range(_STOI_SEGMENT))


# ---- parts of PESQ --------------------------------------------------------------------------------------------------


def _error_message(error: Exception) -> str:
    """Return the message of an error of the package, whose C part raises bytes."""
    message = error.args[0] if error.args else type(error).__name__
    return (message.decode(errors="replace") if isinstance(message, bytes) else str(message)).strip()


_PESQ_CHILD = """
import sys, numpy, pesq
rate, mode = int(sys.argv[1]), sys.argv[2]
real, other = numpy.frombuffer(sys.stdin.buffer.read(), dtype=numpy.float32).reshape(2, -1)
print(pesq.pesq(rate, real, other, mode))
"""


def _pesq_in_subprocess(real: Float[ndarray, " T"], other: Float[ndarray, " T"], rate: int, mode: str) -> Score:
    """Return PESQ, computed in another process, so that a crash costs one score and not the evaluation."""
    command = [sys.executable, "-c", _PESQ_CHILD, str(rate), mode]
    done = subprocess.run(command, input=np.stack([real, other]).tobytes(), capture_output=True, check=False)  # noqa: S603
    if done.returncode == 0:
        return Score(float(done.stdout))
    if done.returncode < 0:
        return undefined("PESQ crashed: more utterances than it can hold; cut the clip")
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return undefined(lines[-1] if lines else f"PESQ ended with code {done.returncode}")
