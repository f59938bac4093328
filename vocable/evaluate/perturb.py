"""Perturbations that leave the speech the same, for the stability of tokens."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vocable.audio import Audio
from vocable.errors import AudioError
from vocable.evaluate.codecs.base import add_noise

_GAIN = 10 ** (-6 / 20)
_OTHER_RATE = 24_000  # Hz
_MP3_KILOBITS = 64
_HOP = 0.02  # seconds, in place of the hop of a codec whose ids follow the text


@dataclass(frozen=True)
class Perturbation:
    """A change of a clip after which a listener hears the same words in the same voice.

    Attributes:
        name: Name in results, such as ``noise20``.
        title: Name in tables.
        apply: Function from a clip, its key and the seconds between two ids to the changed clip.
    """

    name: str
    title: str
    apply: Callable[[Audio, str, float | None], Audio]


def _shift(clip: Audio, key: str, hop: float | None) -> Audio:
    """Drop the first half of a hop."""
    samples = clip.samples[round((hop or _HOP) / 2 * clip.sample_rate) :]
    if not samples.size:
        raise AudioError(f"the clip is shorter than half a hop of {hop or _HOP:g} s; leave it out")
    return Audio(samples, clip.sample_rate)


def _mp3(clip: Audio, key: str, hop: float | None) -> Audio:
    """Store the clip as MP3 and read it again, without the delay of the coder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp3"
        clip.write(path, kilobits=_MP3_KILOBITS)
        return Audio.read(path)


def _gain(clip: Audio, key: str, hop: float | None) -> Audio:
    return Audio(clip.samples * _GAIN, clip.sample_rate)


def _resample(clip: Audio, key: str, hop: float | None) -> Audio:
    return clip.resample(_OTHER_RATE).resample(clip.sample_rate)


def _noise(snr: float) -> Callable[[Audio, str, float | None], Audio]:
    return lambda clip, key, hop: add_noise(clip, snr, key)


PERTURBATIONS = (
    Perturbation("noise20", "noise 20 dB", _noise(20.0)),
    Perturbation("noise10", "noise 10 dB", _noise(10.0)),
    Perturbation("gain", "gain −6 dB", _gain),
    Perturbation("resample", "via 24 kHz", _resample),
    Perturbation("mp3", f"MP3 {_MP3_KILOBITS}k", _mp3),
    Perturbation("shift", "half-hop shift", _shift),
)
