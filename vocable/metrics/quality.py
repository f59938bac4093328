"""How much of a recording is left in the decoded speech from its tokens: intelligibility, quality, waveform, delay.

Every figure takes the recording first and the decoded speech second, cuts both to the shorter, and gives a
``Score``: what cannot be measured (silence, a clip that is too short) is undefined and says why. It is never 0,
which would pass for a bad codec, and never an exception, which would end a long evaluation. None shifts one against
the other: :func:`delay` says how late the speech is, and the codec's wrapper takes that off before anything is scored.
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
_STOI_BANDS, _STOI_LOWEST = 15, 150  # third octaves, centre of the lowest in Hz
_STOI_SEGMENT = 30  # frames over which it correlates: 0.38 s
_STOI_RANGE = 40.0  # dB under the loudest frame where silence begins
_STOI_CLIP = 1 + 10 ** (15 / 20)  # times the recording's band: no more counts as made again
_TINY = np.finfo(np.float64).eps  # added where pystoi adds it
_PESQ_SAFE_SECONDS = 20.0
_PESQ_RATES = {"wb": 16_000, "nb": 8_000}
_MOST_DECIBELS = 100.0


def stoi(
    reference: Float[ndarray, " T"], made: Float[ndarray, " T_made"], sample_rate: int, extended: bool = False
) -> Score:
    """Short-time objective intelligibility: correlation of third-octave envelopes.

    1 is identity; white noise as loud as the speech still has 0.1 to 0.4.

    Equal to ``pystoi.stoi`` of pystoi 0.4.1, with its filters and resampler; STOI and ESTOI of a pair, one after the
    other, take a quarter of the time. pystoi adds random numbers of the size of rounding to ESTOI; here a band that
    is constant correlates with nothing instead, so that a figure comes out the same again.

    Args:
        reference: The recording.
        made: The speech made again.
        sample_rate: Of both, in Hz; any (the measure works at 10 kHz and resamples by itself).
        extended: ESTOI, which correlates whole spectra and so hears noise that comes and goes; mostly lower than STOI.

    Returns:
        Undefined for silence and for less than 0.4 s of speech; pystoi gives 0.00001 there.

    Raises:
        MissingDependencyError: pystoi is not installed.

    Source:
        Taal et al., IEEE TASLP 19(7), 2011; extended: Jensen and Taal, IEEE/ACM TASLP 24(11), 2016.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal(16_000)
        >>> round(stoi(noise, noise, 16_000).value, 3), round(stoi(noise, noise, 16_000, extended=True).value, 3)
        (1.0, 1.0)
    """
    _pystoi()
    pair = comparable(reference, made)
    if isinstance(pair, str):
        return undefined(pair)
    if min(samples.size for samples in pair) / sample_rate < _STOI_SEGMENT * _STOI_HOP / _STOI_RATE + 0.02:
        return undefined("less than 0.4 s of speech")
    envelopes = _third_octaves(*(samples.tobytes() for samples in pair), sample_rate)
    if envelopes[0].shape[1] < _STOI_SEGMENT:
        return undefined("less than 0.4 s of speech")
    return Score(_spectral_correlation(*envelopes) if extended else _band_correlation(*envelopes))


def pesq(
    reference: Float[ndarray, " T"], made: Float[ndarray, " T_made"], sample_rate: int, mode: Literal["wb", "nb"]
) -> Score:
    """Perceptual evaluation of speech quality, as a mean opinion score: about 1.0 (bad) to 4.6 (identity).

    Clips over 20 s are measured in a process of their own: the reference code holds 50 utterances, which is all
    that 20 s can have, and overruns its memory beyond.

    Args:
        reference: The recording.
        made: The speech made again.
        sample_rate: Of both, in Hz; resampled to 16 kHz (``wb``) or 8 kHz (``nb``).
        mode: ``wb`` wide band (P.862.2) or ``nb`` narrow band (P.862.1). Their values do not compare.

    Returns:
        Undefined for silence, under a quarter of a second, and where no utterance is found.

    Raises:
        MissingDependencyError: The pesq package is not installed.

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
    pair = comparable(reference, made)
    if isinstance(pair, str):
        return undefined(pair)
    peak = max(float(np.abs(samples).max()) for samples in pair)
    rate = _PESQ_RATES[mode]
    clips = [Audio((samples / peak).astype(np.float32), sample_rate).resample(rate).samples for samples in pair]
    if clips[0].size / rate > _PESQ_SAFE_SECONDS:
        return _pesq_apart(clips[0], clips[1], rate, mode)
    try:
        return Score(float(package.pesq(rate, clips[0], clips[1], mode)))
    except (package.PesqError, ValueError) as error:
        return undefined(_words(error))


def si_sdr(reference: Float[ndarray, " T"], made: Float[ndarray, " T_made"]) -> Score:
    """Scale-invariant signal-to-distortion ratio in dB, after removing the means.

    Compares waveforms sample by sample: a codec that draws its own phase scores low however well it sounds.

    Args:
        reference: The recording.
        made: The speech made again, sample by sample in step with it.

    Returns:
        Decibels from -100 to 100, where one signal is a multiple of the other or has nothing of it: a file of 16-bit
        samples holds 98 dB at most, and JSON has no infinity. Undefined for silence.

    Source:
        Le Roux et al., arXiv:1811.02508, equation 3; zero means as in Luo and Mesgarani, arXiv:1711.00541.

    Example:
        >>> time = np.arange(1600) / 1600
        >>> tone, other = np.sin(2 * np.pi * 40 * time), np.sin(2 * np.pi * 50 * time)
        >>> round(si_sdr(tone, 3 * tone + 0.3 * other).value, 6)
        20.0
    """
    pair = comparable(reference, made)
    if isinstance(pair, str):
        return undefined(pair)
    real, again = (samples - samples.mean() for samples in pair)
    target = (again @ real) / (real @ real) * real
    wanted, distortion = float(target @ target), float(np.square(again - target).sum())
    if distortion == 0.0:
        return Score(_MOST_DECIBELS)
    decibels = 10 * math.log10(wanted / distortion) if wanted > 0.0 else -_MOST_DECIBELS
    return Score(min(max(decibels, -_MOST_DECIBELS), _MOST_DECIBELS))


def delay(
    reference: Float[ndarray, " T"], made: Float[ndarray, " T_made"], sample_rate: int, most: float = 0.1
) -> Score:
    """How many samples the decoded speech is late: the highest point of the cross-correlation.

    A codec that keeps the waveform has a sharp one. One that draws its own phase may be off by whole periods of the
    voice, so take the median over many clips before believing a delay.

    Args:
        reference: The recording.
        made: The speech made again.
        sample_rate: Of both, in Hz.
        most: Longest delay looked for, in seconds, in both directions.

    Returns:
        A whole number of samples, negative where the speech comes early; of equally high points the one nearest 0.
        Undefined for silence.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal(16_000)
        >>> delay(noise, np.roll(noise, 320), 16_000).value
        320.0
    """
    pair = comparable(reference, made)
    if isinstance(pair, str):
        return undefined(pair)
    reach = min(int(most * sample_rate), pair[0].size - 1)
    size = 2 ** math.ceil(math.log2(pair[0].size + reach))  # so that no lag looked for wraps round
    real, again = (np.fft.rfft(samples - samples.mean(), size) for samples in pair)
    products = np.fft.irfft(again * real.conj(), size)
    lags = np.array(sorted(range(-reach, reach + 1), key=abs))
    return Score(float(lags[products[lags].argmax()]))


def comparable(
    reference: Float[ndarray, " T"], made: Float[ndarray, " T_made"], *, silence_made: bool = False, cut: bool = True
) -> tuple[Float[ndarray, " T_real"], Float[ndarray, " T_again"]] | str:
    """What every comparison of samples starts from: both in double precision, or why they cannot be compared.

    Args:
        reference: The recording.
        made: The speech made again.
        silence_made: Silence made from speech has a figure like any other.
        cut: Cut both to the shorter.

    Example:
        >>> comparable(np.zeros(5), np.ones(3))
        'the recording is silent'
    """
    length = min(reference.size, made.size)
    if length == 0:
        return "there are no samples"
    real, again = (samples[: length if cut else None].astype(np.float64) for samples in (reference, made))
    for name, samples in (("the recording", real), ("the decoded speech", again)):
        if not np.isfinite(samples).all():
            return f"{name} holds NaN or infinity"
        if np.ptp(samples) < _SILENCE and not (silence_made and samples is again):
            return f"{name} is silent"
    return real, again


# ---- the parts of STOI ----------------------------------------------------------------------------------------------


def _pystoi() -> Any:
    """Filters and resampler of pystoi."""
    try:
        from pystoi import utils
    except ImportError as error:
        raise MissingDependencyError("STOI needs pystoi; run pip install 'vocable[metrics]'") from error
    return utils


@lru_cache(maxsize=1)  # STOI and ESTOI of a pair follow one another
def _third_octaves(
    real: bytes, again: bytes, sample_rate: int
) -> tuple[Float[ndarray, "band S"], Float[ndarray, "band S"]]:
    """Envelopes of both, without the frames where the recording is silent."""
    clips = [_at_stoi_rate(samples, sample_rate) for samples in (real, again)]
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


@lru_cache(maxsize=2)  # a recording meets one codec after another
def _at_stoi_rate(samples: bytes, sample_rate: int) -> Float[ndarray, " T_stoi"]:
    values = np.frombuffer(samples)
    return values if sample_rate == _STOI_RATE else _pystoi().resample_oct(values, _STOI_RATE, sample_rate)


def _stoi_frames(samples: Float[ndarray, " T_stoi"]) -> Float[ndarray, "S window"]:
    """Windowed; as pystoi has it, a last frame that just fits is left out."""
    return sliding_window_view(samples, _STOI_WINDOW)[:-1:_STOI_HOP] * np.hanning(_STOI_WINDOW + 2)[1:-1]


def _band_correlation(real: Float[ndarray, "band S"], again: Float[ndarray, "band S"]) -> float:
    """STOI: over the time of each segment, in each band by itself; what is added far over the recording is clipped."""
    energies = [reduce(np.add, map(np.square, _steps(whole))) for whole in (real, again)]
    gains = np.sqrt(energies[0]) / (np.sqrt(energies[1]) + _TINY)
    clipped = [
        np.minimum(there * gains, here * _STOI_CLIP) for here, there in zip(_steps(real), _steps(again), strict=True)
    ]
    means = [reduce(np.add, parts) / _STOI_SEGMENT for parts in (_steps(real), clipped)]
    sums = np.zeros((3, *gains.shape))
    for here, there in zip(_steps(real), clipped, strict=True):
        here, there = here - means[0], there - means[1]
        for row, values in enumerate((here * there, np.square(here), np.square(there))):
            sums[row] += values
    return float((sums[0] / (np.sqrt(sums[1]) + _TINY) / (np.sqrt(sums[2]) + _TINY)).mean())


def _spectral_correlation(real: Float[ndarray, "band S"], again: Float[ndarray, "band S"]) -> float:
    """ESTOI: over the bands of each frame, after each band has mean 0 and norm 1 over its segment."""
    means, scales = [], []
    for whole in (real, again):
        means.append(reduce(np.add, _steps(whole)) / _STOI_SEGMENT)
        norms = np.sqrt(reduce(np.add, (np.square(part - means[-1]) for part in _steps(whole))))
        scales.append(np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > _TINY))
    total = 0.0
    for parts in zip(_steps(real), _steps(again), strict=True):
        here, there = ((part - mean) * scale for part, mean, scale in zip(parts, means, scales, strict=True))
        here -= here.mean(axis=0)
        there -= there.mean(axis=0)
        norms = np.sqrt(np.square(here).sum(axis=0) * np.square(there).sum(axis=0))
        products = (here * there).sum(axis=0)
        total += float(np.divide(products, norms, out=np.zeros_like(norms), where=norms > _TINY).sum())
    return total / (_STOI_SEGMENT * means[0].shape[1])


def _steps(whole: Float[ndarray, "band S"]) -> Iterator[Float[ndarray, "band J"]]:
    """The first frame of all segments, the second, and so on: so small that it stays in the processor's cache."""
    segments = whole.shape[1] - _STOI_SEGMENT + 1
    return (whole[:, at : at + segments] for at in range(_STOI_SEGMENT))


# ---- the parts of PESQ ----------------------------------------------------------------------------------------------


def _words(error: Exception) -> str:
    """The package's message; its C part gives bytes."""
    said = error.args[0] if error.args else type(error).__name__
    return (said.decode(errors="replace") if isinstance(said, bytes) else str(said)).strip()


_PESQ_CHILD = """
import sys, numpy, pesq
rate, mode = int(sys.argv[1]), sys.argv[2]
real, again = numpy.frombuffer(sys.stdin.buffer.read(), dtype=numpy.float32).reshape(2, -1)
print(pesq.pesq(rate, real, again, mode))
"""


def _pesq_apart(real: Float[ndarray, " T"], again: Float[ndarray, " T"], rate: int, mode: str) -> Score:
    """PESQ in another process, so that its crash costs one figure and not the evaluation."""
    command = [sys.executable, "-c", _PESQ_CHILD, str(rate), mode]
    done = subprocess.run(command, input=np.stack([real, again]).tobytes(), capture_output=True, check=False)  # noqa: S603
    if done.returncode == 0:
        return Score(float(done.stdout))
    if done.returncode < 0:
        return undefined("PESQ crashed: more utterances than it can hold; cut the clip")
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return undefined(said[-1] if said else f"PESQ ended with code {done.returncode}")
