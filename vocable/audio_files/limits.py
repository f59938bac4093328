"""Limits of the audio that is read. A header can claim anything, and one flipped bit makes 16 kHz into 2 GHz."""

import os
from functools import lru_cache
from operator import index
from typing import Annotated, Any

from pydantic import Field

from vocable.arguments import show
from vocable.errors import AudioError, ConfigError
from vocable.schema import config, parse

LIMITS = "VOCABLE_AUDIO_LIMITS"
"""Name of the environment variable that changes limits, such as ``max_hours=48,max_channels=256``."""


@config
class AudioLimits:
    """Limits of a recording. They are checked before memory is taken.

    Attributes:
        min_rate: Lowest sample rate of a file in Hz.
        max_rate: Highest sample rate in Hz, of files, of clips in memory and as the target of resampling.
        max_channels: Number of channels of a file.
        max_hours: Duration of a file in hours.
        max_samples: Number of samples of a clip in memory, after resampling. Reading in blocks is not bound by it.
    """

    min_rate: Annotated[int, Field(ge=1)] = 1_000
    max_rate: Annotated[int, Field(ge=1, le=(1 << 31) - 1)] = 768_000
    max_channels: Annotated[int, Field(ge=1, le=1024)] = 128
    max_hours: Annotated[float, Field(gt=0)] = 24.0
    max_samples: Annotated[int, Field(ge=1)] = 1 << 31

    def check_header(self, where: str, rate: int, channels: int, frames: int | None) -> None:
        """Check what the header of a file claims.

        Args:
            where: File, which opens the message.
            rate: Sample rate in Hz.
            channels: Number of channels.
            frames: Number of samples of each channel; None where it is unknown.

        Raises:
            AudioError: If a value is beyond its limit.
        """
        self._check(where, f"the sample rate is {rate} Hz", rate, "min_rate", "max_rate")
        self._check(where, f"there are {channels} channels", channels, None, "max_channels")
        if frames is not None:
            self.check_duration(where, frames, rate)

    def check_duration(self, where: str, frames: int, rate: int) -> None:
        """Raise an AudioError if so many samples at a rate in Hz are longer than ``max_hours``."""
        hours = frames / rate / 3600
        self._check(where, f"the recording is {hours:.1f} h long", hours, None, "max_hours")

    def check_samples(self, where: str, samples: int) -> None:
        """Raise an AudioError if so many samples are too many for memory."""
        self._check(where, f"the clip has {samples} samples", samples, None, "max_samples")

    def check_rate(self, where: str, rate: object) -> int:
        """Return a sample rate as an int.

        Raises:
            AudioError: If it is no positive integer, or beyond ``max_rate``.
        """
        prefix = f"{where}: " if where else ""
        try:
            number = index(rate)  # type: ignore[arg-type]
        except (TypeError, ValueError, RuntimeError):
            number = None
        if number is None or isinstance(rate, bool):
            raise AudioError(f"{prefix}sample rate is {show(rate)}: it must be an integer number of Hz, such as 16000")
        if number <= 0:
            raise AudioError(f"{prefix}sample rate is {number} Hz: it must be positive")
        self._check(where, f"the sample rate is {number} Hz", number, None, "max_rate")
        return number

    def _check(self, where: str, fact: str, value: float | int, low: str | None, high: str) -> None:
        prefix = f"{where}: " if where else ""
        for name, is_beyond in ((low, low and value < getattr(self, low)), (high, value > getattr(self, high))):
            if is_beyond:
                raise AudioError(
                    f"{prefix}{fact}, the limit is {getattr(self, str(name)):g}; if that is right, set {LIMITS}={name}="
                    "VALUE in the environment"
                )


def current_limits() -> AudioLimits:
    """Return the limits that hold: the defaults, changed by the environment variable ``VOCABLE_AUDIO_LIMITS``.

    Raises:
        ConfigError: If the variable names no limit, or a value that is none.

    Example:
        >>> current_limits().max_channels
        128
    """
    return _parse_limits(os.environ.get(LIMITS, ""))


@lru_cache(maxsize=8)
def _parse_limits(text: str) -> AudioLimits:
    values: dict[str, Any] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = entry.partition("=")
        try:
            values[name.strip()] = float(value) if name.strip() == "max_hours" else int(value)
        except ValueError as error:
            raise ConfigError(f"{LIMITS}: {entry[:80]!r} is no limit; write max_hours=48") from error
    return parse(AudioLimits, values, LIMITS)
