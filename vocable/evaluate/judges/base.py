"""Interfaces of scorers: models that estimate pitch, speaker, words or quality of a clip.

The name of a scorer holds the model and its version, because another version gives other figures.
A clip that cannot be scored raises AudioError with a short reason. To make a scorer whose package is missing raises
MissingDependencyError; if its weights are missing or have changed, CheckpointError.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import AudioError, MissingDependencyError

SAMPLE_RATE = 16_000  # Hz, of the input of every scorer
_MIN_SPEECH = 0.1  # seconds; a shorter clip holds no word
SILENCE = 2.0**-24  # peak-to-peak range relative to full scale: less than one step of 24-bit audio


@dataclass(frozen=True, kw_only=True)
class Pitch:
    """Fundamental frequency over time.

    Attributes:
        hz: Frequency of each frame in Hz; 0 where the frame is unvoiced.
        voiced: Whether each frame is voiced.
        hop: Seconds from frame to frame.
    """

    hz: Float[ndarray, " N"]
    voiced: Bool[ndarray, " N"]
    hop: float


@runtime_checkable
class PitchTracker(Protocol):
    """Scorer of the fundamental frequency."""

    name: str

    def track(self, clip: Audio) -> Pitch:
        """Track the pitch of a clip of any rate."""
        ...


@runtime_checkable
class SpeakerEncoder(Protocol):
    """Scorer of the speaker."""

    name: str

    def embed(self, clip: Audio) -> Float[ndarray, " V"]:
        """Return the speaker embedding of a clip, a vector of length 1."""
        ...


@runtime_checkable
class PhoneRecognizer(Protocol):
    """Scorer of the phones."""

    name: str

    def phones(self, clip: Audio) -> list[str]:
        """Return the phones as ARPAbet without stress; none for silence."""
        ...

    def pronounce(self, words: Iterable[str]) -> list[str]:
        """Return the phones of words, as the scorer would write them."""
        ...


@runtime_checkable
class OpinionPredictor(Protocol):
    """Scorer of quality without a reference."""

    name: str
    scales: tuple[str, ...]

    def rate(self, clip: Audio) -> dict[str, float]:
        """Return a mean opinion score, 1 to 5, for each of the scales."""
        ...


def audible_samples(clip: Audio, *, seconds: float = 0.0) -> Float[ndarray, " T"]:
    """Return the samples of a clip at 16 kHz; shorter than ``seconds`` and silent clips raise :class:`AudioError`.

    Example:
        >>> audible_samples(Audio(np.tile([0.1, -0.1], 4000), 8_000)).shape
        (16000,)
    """
    if clip.duration < seconds:
        raise AudioError(f"shorter than {seconds:g} s")
    if float(np.ptp(clip.samples)) < SILENCE:
        raise AudioError("silent")
    return clip.resample(SAMPLE_RATE).samples


def speech_samples(clip: Audio) -> Float[ndarray, " T"] | None:
    """Return the samples of a clip at 16 kHz for a recognizer; None for silence and for less than a tenth of a second.

    Example:
        >>> speech_samples(Audio(np.zeros(800), 16_000)) is None
        True
    """
    try:
        return audible_samples(clip, seconds=_MIN_SPEECH)
    except AudioError:
        return None


def package_version(package: str, purpose: str) -> str:
    """Return the version of an installed package; a missing one raises :class:`MissingDependencyError`."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError(f"{purpose} needs {package}; run pip install 'vocable[evaluate]'") from error
