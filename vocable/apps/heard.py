"""The text of a recording whose text is not known: what a recogniser hears."""

from collections.abc import Callable

from vocable.audio import Audio
from vocable.errors import TextError

Recognise = Callable[[Audio], str]
"""Words of a clip, such as the ``transcribe`` of a judge of :func:`vocable.evaluate.judges.find.find_judge`."""


def heard_text(clip: Audio, recognise: Recognise, name: str = "the clip") -> str:
    """What a recogniser hears, to be a clip's text.

    Args:
        clip: Any rate.
        recognise: Says its words.
        name: Of the clip, in the message.

    Raises:
        TextError: It hears none.

    Example:
        >>> from vocable.testing import speechlike
        >>> heard_text(speechlike(8_000), lambda clip: "good morning")
        'good morning'
    """
    text = recognise(clip)
    if not text.strip():
        raise TextError(f"{name}: no words are recognised in its {clip.duration:.2f} s; write what is said in it")
    return text
