"""Voices beside tokens: what systems that keep one ask of a recording, and of tokens."""

from jaxtyping import Float
from torch import Tensor

from vocable.audio import Audio
from vocable.errors import AudioError, SpecError

SHORTEST = 0.5
"""Seconds that a voice must be heard for."""


def check_long_enough(audio: Audio) -> None:
    """That a voice can be heard in a recording.

    Raises:
        AudioError: It is shorter than half a second.

    Example:
        >>> import numpy as np
        >>> check_long_enough(Audio(np.zeros(8_000, dtype=np.float32), 16_000))
    """
    if audio.duration < SHORTEST:
        raise AudioError(
            f"the voice is {audio.duration:.2f} s long: {SHORTEST:g} s are needed at least; give a longer recording of "
            "the speaker"
        )


def checked(voice: Float[Tensor, "B V"] | None, width: int) -> Float[Tensor, "B V"]:
    """A voice that can be decoded with.

    Args:
        voice: Of tokens, or heard in a recording.
        width: Numbers that it must have.

    Raises:
        SpecError: There is none, of another width, or of numbers that are not finite.
    """
    if voice is None or voice.shape[1] != width or not bool(voice.isfinite().all()):
        raise SpecError("these tokens say nothing of the voice; pass `voice`, a recording of whoever shall speak")
    return voice
