"""What each kind of judge gives. A judge's name carries the model and its version: other versions, other figures."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import AudioError

_SILENCE = 2.0**-24  # of full scale: less than one step of 24-bit audio


@dataclass(frozen=True, kw_only=True)
class Pitch:
    """Fundamental frequency over time.

    Attributes:
        hz: Of each frame, in Hz; 0 where no voice is heard.
        voiced: Whether a voice is heard.
        hop: Seconds from frame to frame.
    """

    hz: Float[ndarray, " N"]
    voiced: Bool[ndarray, " N"]
    hop: float


@runtime_checkable
class PitchTracker(Protocol):
    """Hears how high."""

    name: str

    def track(self, clip: Audio) -> Pitch:
        """Pitch of a clip of any rate.

        Raises:
            AudioError: The clip cannot be judged; the message says why in a few words.
        """
        ...


@runtime_checkable
class SpeakerEncoder(Protocol):
    """Hears who."""

    name: str

    def embed(self, clip: Audio) -> Float[ndarray, " V"]:
        """The voice as a vector of length 1.

        Raises:
            AudioError: The clip cannot be judged; the message says why in a few words.
        """
        ...


@runtime_checkable
class Recogniser(Protocol):
    """Hears what."""

    name: str

    def transcribe(self, clip: Audio) -> str:
        """Words in lower case with single spaces; empty where none are heard. The same for a clip whatever came before.

        Raises:
            AudioError: The clip cannot be judged; the message says why in a few words.
        """
        ...


@runtime_checkable
class OpinionPredictor(Protocol):
    """Hears how good, with nothing to compare with."""

    name: str
    scales: tuple[str, ...]

    def rate(self, clip: Audio) -> dict[str, float]:
        """A mean opinion score, 1 to 5, for each of the scales.

        Raises:
            AudioError: The clip cannot be judged; the message says why in a few words.
        """
        ...


def audible(clip: Audio, sample_rate: int, *, seconds: float = 0.0) -> Float[ndarray, " T"]:
    """The samples of a clip in which there is something to judge.

    Args:
        clip: Any clip.
        sample_rate: Rate wanted, in Hz.
        seconds: How long the clip must be at least.

    Raises:
        AudioError: It is shorter, or silent; in a few words, as a judge's reason.

    Example:
        >>> audible(Audio(np.tile([0.1, -0.1], 4000), 8_000), 16_000).shape
        (16000,)
    """
    if clip.duration < seconds:
        raise AudioError(f"shorter than {seconds:g} s")
    if float(np.ptp(clip.samples)) < _SILENCE:
        raise AudioError("silent")
    return clip.resample(sample_rate).samples
