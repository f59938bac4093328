"""How much of a recording is left in the speech made again from its tokens.

Every figure takes the recording first and the speech made again second, cuts both to the shorter, and gives a
``Score``: what cannot be measured (silence, a clip that is too short) is undefined and says why. It is never 0,
which would pass for a bad codec, and never an exception, which would end a long evaluation.
"""

import math
import subprocess
import sys
import warnings
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import MissingDependencyError
from vocable.features.spectrogram import mel_filters, spectra
from vocable.metrics.score import Score, undefined

_SILENCE = 2.0**-24  # of full scale: less than one step of 24-bit audio
_STOI_SECONDS = 30 * 0.0128  # the segment over which STOI correlates
_PESQ_SAFE_SECONDS = 20.0
_PESQ_RATES = {"wb": 16_000, "nb": 8_000}


def stoi(reference: Float[ndarray, " T"], made: Float[ndarray, " T_made"], sample_rate: int) -> Score:
    """Short-time objective intelligibility: correlation of third-octave envelopes.

    1 is identity; white noise as loud as the speech still has 0.1 to 0.4.

    Args:
        reference: The recording.
        made: The speech made again.
        sample_rate: Of both, in Hz; any (the measure works at 10 kHz and resamples by itself).

    Returns:
        Undefined for silence and for less than 0.4 s of speech; pystoi gives 0.00001 there.

    Raises:
        MissingDependencyError: pystoi is not installed.

    Source:
        Taal et al., IEEE TASLP 19(7), 2011; computed by pystoi.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal(16_000)
        >>> round(stoi(noise, noise, 16_000).value, 3)
        1.0
    """
    try:
        import pystoi
    except ImportError as error:
        raise MissingDependencyError("STOI needs pystoi; run pip install 'vocable[metrics]'") from error
    pair = _pair(reference, made)
    if isinstance(pair, str):
        return undefined(pair)
    if pair[0].size / sample_rate < _STOI_SECONDS + 0.02:
        return undefined("less than 0.4 s of speech")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # so the 0.00001 cannot pass for a figure
        try:
            return Score(float(pystoi.stoi(*pair, sample_rate)))
        except RuntimeWarning:
            return undefined("less than 0.4 s of speech")


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
    pair = _pair(reference, made)
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
        Decibels; infinite where one signal is a multiple of the other, undefined for silence.

    Source:
        Le Roux et al., arXiv:1811.02508, equation 3; zero means as in Luo and Mesgarani, arXiv:1711.00541.

    Example:
        >>> time = np.arange(1600) / 1600
        >>> tone, other = np.sin(2 * np.pi * 40 * time), np.sin(2 * np.pi * 50 * time)
        >>> round(si_sdr(tone, 3 * tone + 0.3 * other).value, 6)
        20.0
    """
    pair = _pair(reference, made)
    if isinstance(pair, str):
        return undefined(pair)
    real, again = (samples - samples.mean() for samples in pair)
    target = (again @ real) / (real @ real) * real
    wanted, distortion = float(target @ target), float(np.square(again - target).sum())
    if distortion == 0.0:
        return Score(math.inf)
    return Score(10 * math.log10(wanted / distortion) if wanted > 0.0 else -math.inf)


def log_mel_distance(reference: Float[ndarray, " T"], made: Float[ndarray, " T_made"], sample_rate: int) -> Score:
    """Mean absolute difference of log-mel power spectra, in dB: 0 is identity, lower is better.

    Windows of about 64 ms (1024 samples at 16 kHz), a quarter apart, 80 Slaney mel bands up to half the sample
    rate. Cells more than 80 dB under the recording's loudest count as 80 dB under it, in both.

    Args:
        reference: The recording.
        made: The speech made again.
        sample_rate: Of both, in Hz. Distances at different rates do not compare: they cover different bands.

    Returns:
        Decibels; undefined for a silent recording. Silence made from speech has a distance like any other.

    Source:
        The mel-spectrogram distance of HiFi-GAN, arXiv:2010.05646, equation 4, in dB; range of 80 dB as librosa's
        ``power_to_db``.

    Example:
        >>> noise = np.random.default_rng(0).standard_normal(16_000) * 0.1
        >>> round(log_mel_distance(noise, noise / 2, 16_000).value, 2)
        6.02
    """
    pair = _pair(reference, made, silence_made=True)
    if isinstance(pair, str):
        return undefined(pair)
    n_fft = 2 ** round(math.log2(0.064 * sample_rate))
    filters = mel_filters(sample_rate, n_fft, 80).double()
    mels = []
    for samples in pair:
        padded = np.pad(samples, (0, -samples.size % (n_fft // 4)))
        values = spectra(torch.from_numpy(padded)[None], n_fft, n_fft // 4)[0]
        mels.append(values.abs().square() @ filters)
    floor = mels[0].max() * 1e-8
    here, there = (10 * torch.maximum(mel, floor).log10() for mel in mels)
    return Score(float((here - there).abs().mean()))


def _pair(
    reference: Float[ndarray, " T"], made: Float[ndarray, " T_made"], *, silence_made: bool = False
) -> tuple[Float[ndarray, " T_both"], Float[ndarray, " T_both"]] | str:
    """Both in double precision, cut to the shorter; or why they cannot be compared."""
    length = min(reference.size, made.size)
    if length == 0:
        return "there are no samples"
    real, again = reference[:length].astype(np.float64), made[:length].astype(np.float64)
    for name, samples in (("the recording", real), ("the speech made again", again)):
        if not np.isfinite(samples).all():
            return f"{name} holds NaN or infinity"
        if np.ptp(samples) < _SILENCE and not (silence_made and samples is again):
            return f"{name} is silent"
    return real, again


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
