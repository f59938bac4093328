"""An utterance as an image of fixed size: log-mel spectra at equal steps over its speech.

Speech is found by its level. S spectra are taken at equal steps from its first sample to its last, which stretches
every utterance to the width of the image. A phase vocoder followed by a transform of fixed hop reads the same windows:
it keeps the window and changes the step. So no time-stretched waveform has to be synthesized.
"""

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from vocable.errors import AudioError
from vocable.features.spectrogram import hann, mel_filters
from vocable.systems.vqalattent.config import ImageSpec

_SILENT_POWER = 1e-10  # 100 dB under a full-scale sine in one bin


def find_speech(samples: Float[ndarray, " T"], spec: ImageSpec) -> tuple[int, int]:
    """Find the speech in a clip by its level: the root mean square over two windows, every half window.

    Args:
        samples: Waveform at the rate of the spec, in [-1, 1].
        spec: Image spec; ``trim_db`` is the threshold.

    Returns:
        Index of the first sample of the speech, and of the one after its last.

    Raises:
        AudioError: If the clip is silent or shorter than a quarter of a window.

    Source:
        ``librosa.effects.trim`` (frames of 2048 at 22,050 Hz, hop 512), which the paper's 15 dB belong to.

    Example:
        >>> clip = np.concatenate([np.zeros(4000), np.ones(4000), np.zeros(4000)]).astype(np.float32)
        >>> start, end = find_speech(clip, ImageSpec(n_fft=256))
        >>> 3700 < start <= 4000 and 8000 <= end < 8300
        True
    """
    frame, hop = 2 * spec.n_fft, spec.n_fft // 2
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    centers = np.arange(0, samples.size + hop, hop)
    low, high = (np.clip(centers + side * frame // 2, 0, samples.size) for side in (-1, 1))
    level = (power[high] - power[low]) / frame
    if samples.size < spec.hop or level.max() < _SILENT_POWER:
        raise AudioError(
            f"the clip is silent or shorter than {spec.hop} samples at {spec.sample_rate} Hz: there is no speech in it"
        )
    loud = np.flatnonzero(level > level.max() * 10 ** (-spec.trim_db / 10))
    start = min(max(0, int(centers[loud[0]]) - hop // 2), samples.size - spec.hop)
    return start, min(samples.size, max(int(centers[loud[-1]]) + hop // 2, start + spec.hop))


def mel_image(
    samples: Float[ndarray, " T"], spec: ImageSpec, *, bounds: tuple[int, int] | None = None, warp: float = 1.0
) -> Float[Tensor, "F S"]:
    """Compute mel power spectra at equal steps over a stretch of speech, in dB.

    Args:
        samples: Waveform at the rate of the spec, in [-1, 1].
        spec: Image spec.
        bounds: First sample of the stretch, and the one after its last; the whole clip by default. Samples outside of
            the clip are silent.
        warp: Factor on low frequencies, as of a shorter (over 1) or longer vocal tract; the highest frequency stays.

    Returns:
        Image with rows from low to high frequency and columns from early to late, at least -100 dB.

    Example:
        >>> mel_image(np.zeros(9000, dtype=np.float32), ImageSpec()).shape
        torch.Size([64, 88])
    """
    start, end = (0, samples.size) if bounds is None else bounds
    middles = start + (np.arange(spec.frames) + 0.5) * (end - start) / spec.frames
    starts = np.round(middles - spec.n_fft / 2).astype(int) + spec.n_fft
    padded = np.pad(samples, spec.n_fft)
    inside = np.clip(starts, 0, padded.size - spec.n_fft)
    windows = np.lib.stride_tricks.sliding_window_view(padded, spec.n_fft)[inside]
    power = torch.fft.rfft(torch.from_numpy(windows.astype(np.float32)) * hann(spec.n_fft)).abs().square()
    filters = mel_filters(round(spec.sample_rate * warp), spec.n_fft, spec.bins)
    return 10.0 * (power @ filters).clamp(min=_SILENT_POWER).log10().T


def subtract_level(decibels: Float[Tensor, "F S"], spec: ImageSpec) -> tuple[Float[Tensor, "F S"], float]:
    """Subtract the level of a clip from its image, where the spec scales every clip by its own level.

    Returns:
        Image in dB, and the decibels that were subtracted: the loudest value, or 0 on the level of the corpus.

    Example:
        >>> image, level = subtract_level(torch.tensor([[-20.0, 5.0]]), ImageSpec(level="clip"))
        >>> image.tolist(), level
        ([[-25.0, 0.0]], 5.0)
    """
    level = float(decibels.max()) if spec.level == "clip" else 0.0
    return decibels - level, level


def to_unit(decibels: Float[Tensor, "*B F S"], bounds: Float[Tensor, "2"]) -> Float[Tensor, "*B F S"]:
    """Scale decibels to [0, 1]: the bounds become 0 and 1, values outside of them are clipped.

    Example:
        >>> to_unit(torch.tensor([[-80.0, -30.0, 20.0]]), torch.tensor([-60.0, 0.0])).tolist()
        [[0.0, 0.5, 1.0]]
    """
    return ((decibels - bounds[0]) / (bounds[1] - bounds[0])).clamp(0.0, 1.0)


def from_unit(values: Float[Tensor, "*B F S"], bounds: Float[Tensor, "2"]) -> Float[Tensor, "*B F S"]:
    """Scale images in [0, 1] to decibels: the inverse of :func:`to_unit`."""
    return values * (bounds[1] - bounds[0]) + bounds[0]


def stretch_columns(values: Float[Tensor, "F S"], frames: int) -> Float[Tensor, "F N"]:
    """Resample an image to N columns by linear interpolation, which undoes its time stretch.

    Example:
        >>> stretch_columns(torch.tensor([[0.0, 2.0, 4.0, 6.0]]), 2).tolist()
        [[1.0, 5.0]]
    """
    positions = ((torch.arange(frames) + 0.5) * values.shape[1] / frames - 0.5).clamp(0, values.shape[1] - 1)
    left = positions.floor().long()
    right = (left + 1).clamp(max=values.shape[1] - 1)
    return torch.lerp(values[:, left], values[:, right], positions - left)
