"""Speed and memory of a training: tokens a second, hours of audio a day, and the peak of memory."""

import sys
import time
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

_SECONDS_A_DAY = 86_400
_GIGABYTE = 1e9


@dataclass(frozen=True)
class Amount:
    """Amount of speech in a batch, without padding.

    Attributes:
        seconds: Seconds of audio.
        tokens: Number of tokens, those of all levels.
    """

    seconds: float = 0.0
    tokens: int = 0

    @classmethod
    def of_frames(cls, mask: Bool[Tensor, "B N"], *, frame_rate: float, num_codebooks: int) -> "Amount":
        """Return the amount of the frames of a mask.

        Args:
            mask: True on real token frames.
            frame_rate: Token frames a second.
            num_codebooks: Tokens of a frame.

        Example:
            >>> Amount.of_frames(torch.ones(2, 50, dtype=torch.bool), frame_rate=50.0, num_codebooks=8)
            Amount(seconds=2.0, tokens=800)
        """
        frames = int(mask.sum())
        return cls(frames / frame_rate, frames * num_codebooks)


@runtime_checkable
class HasAmount(Protocol):
    """Objective that knows how much speech is in a batch."""

    def amount(self, batch: Any) -> Amount:
        """Return the amount of speech in a batch."""


class Meter:
    """Speed since the last reading, and the peak of memory since the process began.

    Args:
        device: Torch device of the networks.

    Attributes:
        last: Values of the last reading by name, as the log has them; empty before it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._seconds, self._tokens = device, 0.0, 0.0
        self._clock = time.monotonic()
        self.last: dict[str, float] = {}

    @property
    def summary(self) -> str:
        """The last reading, for a line beside a progress bar."""
        if "audio_hours_per_day" in self.last:
            return f", {self.last['audio_hours_per_day']:.3g} h of audio a day, {self.last['peak_memory_gb']:.2g} GB"
        return ""

    def add(self, amount: Amount) -> None:
        """Add the batch of a step."""
        self._seconds += amount.seconds
        self._tokens += amount.tokens

    def read(self) -> dict[str, float]:
        """Return the values since the last reading.

        Returns:
            ``audio_hours_per_day`` and ``tokens_per_second``, if the batches' amounts are known, over all processes;
            ``peak_memory_gb``, in 10⁹ bytes, of this process.
        """
        now = time.monotonic()
        wall = max(now - self._clock, 1e-6)
        values = {"peak_memory_gb": round(peak_memory(self._device) / _GIGABYTE, 3)}
        if self._seconds:
            values["audio_hours_per_day"] = round(self._seconds / wall * _SECONDS_A_DAY / 3600, 2)
            values["tokens_per_second"] = round(self._tokens / wall, 1)
        self._clock, self._seconds, self._tokens, self.last = now, 0.0, 0.0, values
        return values


def peak_memory(device: torch.device) -> int:
    """Return the peak of memory in bytes: what torch allocated on a GPU, or this process's resident memory.

    Example:
        >>> peak_memory(torch.device("cpu")) > 1_000_000
        True
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # which Windows lacks, where no training has been tried

    unit = 1 if sys.platform == "darwin" else 1024  # of getrusage
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
