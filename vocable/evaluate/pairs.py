"""A recording and its decoded speech, as metrics get them, with a cache of what scorers returned."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from vocable.audio import Audio
from vocable.errors import AudioError

T = TypeVar("T")


@dataclass
class ScoredClip:
    """A clip to be scored, with a cache of what scorers returned for it: each is asked once."""

    audio: Audio
    _results: dict[str, object] = field(default_factory=dict)

    def ask(self, scorer: str, function: Callable[[Audio], T]) -> T:
        """Return the result of a scorer, by its name and method, for this clip, or raise its AudioError."""
        if scorer not in self._results:
            try:
                self._results[scorer] = function(self.audio)
            except AudioError as error:
                self._results[scorer] = error
        result = self._results[scorer]
        if isinstance(result, AudioError):
            raise result
        return result  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A recording and its decoded speech, both at 16 kHz.

    Attributes:
        reference: Recording.
        decoded: Decoded speech.
        text: Text of the recording; None if it is not known.
        is_recognized: Whether the speech recognizer runs on this clip.
        language: Language of the speech, as a tag such as ``en`` or ``de-AT``.
    """

    reference: ScoredClip
    decoded: ScoredClip
    text: str | None = None
    is_recognized: bool = True
    language: str = "en"
