"""A whole utterance as one picture of fixed size: log-mel spectra spread evenly over what is said.

Speech is cut out by its level, and S spectra are taken at equal steps from its first sample to its last. That stretches
every utterance to the picture's width, as a phase vocoder would before a transform of fixed hop: a phase vocoder too
keeps the window and moves it in other steps. Nothing is synthesised for it, and the way back needs no second stretch.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from vocable.checks import WIDEST, check_choice, check_whole
from vocable.errors import AudioError, ConfigError
from vocable.features.spectrogram import hann, mel_filters

_SILENT = 1e-10  # power under which there is nothing to hear: 100 dB under a full-scale sine in one bin


Level = Literal["corpus", "clip"]


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """How speech becomes a picture.

    Attributes:
        sample_rate: Hz.
        n_fft: Window and transform in samples.
        bins: Mel filters F: the picture's height.
        frames: Spectra S: its width.
        trim_db: What is so much quieter than the loudest place is no speech, at either end.
        range_db: Decibels under the loudest value at which the scale ends.
        level: Whose loudest value is 1: that of the whole ``corpus``, as in the paper, or of each ``clip``, so that
            neither how loud a speaker is nor the noise of a quiet place is in the picture.

    Raises:
        ConfigError: A value is out of range.

    Example:
        >>> round(ImageSpec().duration, 2)
        1.02
    """

    sample_rate: int = 22_050
    n_fft: int = 1024
    bins: int = 64
    frames: int = 88
    trim_db: float = 15.0
    range_db: float = 80.0
    level: Level = "corpus"

    def __post_init__(self) -> None:
        check_whole(self, 1 << 20, "sample_rate")
        check_whole(self, WIDEST, "n_fft", least=8)
        check_whole(self, WIDEST, "bins", "frames", least=2)
        check_choice(self, "level", Level)
        if self.trim_db <= 0 or self.range_db <= 0 or self.n_fft % 4:
            raise ConfigError(
                f"trim_db {self.trim_db} and range_db {self.range_db} must be over 0, n_fft {self.n_fft} in fours"
            )

    @property
    def hop(self) -> int:
        """Samples from one spectrum to the next at the picture's own speed: a quarter of a window."""
        return self.n_fft // 4

    @property
    def duration(self) -> float:
        """Seconds that a picture lasts at its own speed."""
        return self.frames * self.hop / self.sample_rate


def speech_bounds(samples: Float[ndarray, " T"], spec: ImageSpec) -> tuple[int, int]:
    """First sample of the speech, and the one behind its last.

    The level is the root mean square over two windows, every half window.

    Raises:
        AudioError: Nothing can be heard, or what can is shorter than a quarter of a window.

    Source:
        ``librosa.effects.trim`` (frames of 2048 at 22,050 Hz, hop 512), which the paper's 15 dB belong to.

    Example:
        >>> clip = np.concatenate([np.zeros(4000), np.ones(4000), np.zeros(4000)]).astype(np.float32)
        >>> first, behind = speech_bounds(clip, ImageSpec(n_fft=256))
        >>> 3700 < first <= 4000 and 8000 <= behind < 8300
        True
    """
    frame, hop = 2 * spec.n_fft, spec.n_fft // 2
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    centres = np.arange(0, samples.size + hop, hop)
    low, high = (np.clip(centres + side * frame // 2, 0, samples.size) for side in (-1, 1))
    level = (power[high] - power[low]) / frame
    if samples.size < spec.hop or level.max() < _SILENT:
        raise AudioError(
            f"the clip is silent or shorter than {spec.hop} samples at {spec.sample_rate} Hz: there is no speech in it"
        )
    loud = np.flatnonzero(level > level.max() * 10 ** (-spec.trim_db / 10))
    first = min(max(0, int(centres[loud[0]]) - hop // 2), samples.size - spec.hop)
    return first, min(samples.size, max(int(centres[loud[-1]]) + hop // 2, first + spec.hop))


def picture(
    samples: Float[ndarray, " T"], spec: ImageSpec, *, bounds: tuple[int, int] | None = None, warp: float = 1.0
) -> Float[Tensor, "F S"]:
    """Mel power spectra of a stretch of speech, in dB.

    Args:
        samples: At the spec's rate, in [-1, 1].
        spec: Of the picture.
        bounds: First sample, and the one behind the last; all by default. They may lie outside: there is silence.
        warp: Bends the frequency axis as a shorter (over 1) or longer vocal tract does: low frequencies move by up to
            this factor, the highest stay.

    Returns:
        Rows from low to high, columns from early to late; at least -100 dB.

    Example:
        >>> picture(np.zeros(9000, dtype=np.float32), ImageSpec()).shape
        torch.Size([64, 88])
    """
    first, behind = (0, samples.size) if bounds is None else bounds
    middles = first + (np.arange(spec.frames) + 0.5) * (behind - first) / spec.frames
    starts = np.round(middles - spec.n_fft / 2).astype(int) + spec.n_fft
    padded = np.pad(samples, spec.n_fft)
    inside = np.clip(starts, 0, padded.size - spec.n_fft)
    windows = np.lib.stride_tricks.sliding_window_view(padded, spec.n_fft)[inside]
    power = torch.fft.rfft(torch.from_numpy(windows.astype(np.float32)) * hann(spec.n_fft)).abs().square()
    filters = mel_filters(round(spec.sample_rate * warp), spec.n_fft, spec.bins)
    return 10.0 * (power @ filters).clamp(min=_SILENT).log10().T


def levelled(decibels: Float[Tensor, "F S"], spec: ImageSpec) -> tuple[Float[Tensor, "F S"], float]:
    """A picture on its corpus's or its own level, and the decibels that were taken off it.

    Example:
        >>> loud, taken = levelled(torch.tensor([[-20.0, 5.0]]), ImageSpec(level="clip"))
        >>> loud.tolist(), taken
        ([[-25.0, 0.0]], 5.0)
    """
    taken = float(decibels.max()) if spec.level == "clip" else 0.0
    return decibels - taken, taken


def to_unit(decibels: Float[Tensor, "*B F S"], bounds: Float[Tensor, "2"]) -> Float[Tensor, "*B F S"]:
    """Decibels on the corpus's scale: its quietest is 0, its loudest 1; what lies outside is cut off.

    Example:
        >>> to_unit(torch.tensor([[-80.0, -30.0, 20.0]]), torch.tensor([-60.0, 0.0])).tolist()
        [[0.0, 0.5, 1.0]]
    """
    return ((decibels - bounds[0]) / (bounds[1] - bounds[0])).clamp(0.0, 1.0)


def from_unit(values: Float[Tensor, "*B F S"], bounds: Float[Tensor, "2"]) -> Float[Tensor, "*B F S"]:
    """The inverse of :func:`to_unit`."""
    return values * (bounds[1] - bounds[0]) + bounds[0]


def at_speed(values: Float[Tensor, "F S"], frames: int) -> Float[Tensor, "F N"]:
    """A picture's columns over so many frames: the stretch taken back, by linear interpolation between columns.

    Example:
        >>> at_speed(torch.tensor([[0.0, 2.0, 4.0, 6.0]]), 2).tolist()
        [[1.0, 5.0]]
    """
    where = ((torch.arange(frames) + 0.5) * values.shape[1] / frames - 0.5).clamp(0, values.shape[1] - 1)
    left = where.floor().long()
    right = (left + 1).clamp(max=values.shape[1] - 1)
    return torch.lerp(values[:, left], values[:, right], where - left)
