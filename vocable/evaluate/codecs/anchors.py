"""The ceiling and the floor of every run: the clip untouched, and the clip under noise."""

import zlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vocable.audio import Audio
from vocable.errors import AudioError
from vocable.evaluate.codecs.base import Coded, Kind, from_pcm, like, to_pcm

_WIDEST = 16_000  # Hz, at which all is scored: no metric hears the noise above


@dataclass(frozen=True)
class Identity:
    """The clip after 16-bit storage.

    Example:
        >>> clip = Audio(np.array([0.1, -0.2], dtype=np.float32), 16_000)
        >>> float(abs(Identity().code(clip, "a.wav").audio.samples - clip.samples).max()) < 2**-15
        True
    """

    name: ClassVar[str] = "identity"
    kind: ClassVar[Kind] = "anchor"
    family: ClassVar[str] = "identity"
    note: ClassVar[str] = "the ceiling: 16-bit samples, untouched"

    def code(self, clip: Audio, key: str) -> Coded:
        """The clip itself."""
        return Coded(audio=like(clip, from_pcm(to_pcm(clip, clip.sample_rate)), clip.sample_rate))


@dataclass(frozen=True)
class Noise:
    """The clip under white Gaussian noise, 5 dB louder than it.

    The noise is drawn anew for each key and seed, so that neither the order of clips nor the number of processes
    matters. Both levels are taken over the whole clip and up to
    8 kHz, which is what is scored.

    Attributes:
        seed: Of the noise.

    Example:
        >>> clip = Audio(np.full(1_000, 0.1, dtype=np.float32), 16_000)
        >>> noise = Noise(0).code(clip, "a.wav").audio.samples - clip.samples
        >>> round(10 * np.log10(float(np.mean(clip.samples**2) / np.mean(noise**2))))
        -5
    """

    seed: int = 0
    name: ClassVar[str] = "noise"
    kind: ClassVar[Kind] = "anchor"
    family: ClassVar[str] = "noise"
    snr: ClassVar[float] = -5.0  # dB

    @property
    def note(self) -> str:
        """What it is."""
        return f"the floor: white noise at {self.snr:g} dB SNR, seed {self.seed}"

    def code(self, clip: Audio, key: str) -> Coded:
        """The clip under noise; cut at full scale, as a file would.

        Raises:
            AudioError: The clip is silent: no noise has a ratio to it.
        """
        level = _loudness(clip)
        if level == 0:
            raise AudioError("the clip is silent: no noise is 5 dB louder than nothing; leave it out")
        draw = np.random.default_rng([self.seed, zlib.crc32(key.encode("utf-8", "surrogatepass"))])
        white = draw.standard_normal(clip.samples.size)
        white /= np.abs(white).max()  # within what Audio takes
        white *= level * 10 ** (-self.snr / 20) / _loudness(Audio(white.astype(np.float32), clip.sample_rate))
        return Coded(audio=Audio((clip.samples + white).clip(-1, 1).astype(np.float32), clip.sample_rate))


def _loudness(clip: Audio) -> float:
    """Root mean square of what is scored."""
    heard = clip.resample(min(clip.sample_rate, _WIDEST)).samples
    return float(np.sqrt(np.mean(heard.astype(np.float64) ** 2)))
