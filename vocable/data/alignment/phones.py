"""Which phones are to be found in a recording: those its line gives, or those of its text."""

from collections.abc import Callable, Sequence

from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError, TextError
from vocable.text.phonemes import ARPABET, SILENCE, strip_stress
from vocable.text.pronounce import Pronouncer

_KNOWN = frozenset(ARPABET)
_LONGEST_WORD = 200  # phones
_MOST_WORDS = 10_000


def arpabet_words(words: Sequence[Sequence[str]]) -> list[list[str]]:
    """Words as phones without stress, and without words that have none.

    Raises:
        AlignmentError: There are none, or one is no ARPAbet phone.

    Example:
        >>> arpabet_words([["HH", "AH0", "L", "OW1"], []])
        [['HH', 'AH', 'L', 'OW']]
    """
    checked = [[strip_stress(phone) for phone in word] for word in words if len(word)]
    wrong = next((phone for word in checked for phone in word if phone not in _KNOWN), None)
    if wrong is not None:
        raise AlignmentError(f"{wrong[:20]!r} is no ARPAbet phone; those are {' '.join(ARPABET)}")
    if not 0 < len(checked) <= _MOST_WORDS or max(len(word) for word in checked) > _LONGEST_WORD:
        raise AlignmentError(
            f"{len(checked)} words: it wants 1 to {_MOST_WORDS} words of 1 to {_LONGEST_WORD} phones; give the phones "
            "of each word"
        )
    return checked


def words_of(utterance: Utterance, pronouncer: Callable[[], Pronouncer] | None = None) -> list[list[str]]:
    """The phones of each word of a recording.

    Args:
        utterance: Its key ``phones``, a list of ARPAbet phones for each word, wins over its text.
        pronouncer: Makes one for the text.

    Raises:
        AlignmentError: The key holds something else, or there is neither it nor a text that can be said.

    Example:
        >>> words_of(Utterance(audio_path="a.wav", extra={"phones": [["HH", "AY1"]]}))
        [['HH', 'AY']]
    """
    values = utterance.extra.get("phones")
    where = f"{utterance.audio_path}:"
    try:
        if values is not None:
            if not isinstance(values, list) or not all(
                isinstance(word, list) and all(isinstance(phone, str) for phone in word) for word in values
            ):
                raise AlignmentError("'phones' is no list of a list of ARPAbet phones for each word")
            return arpabet_words([[phone for phone in word if strip_stress(phone) != SILENCE] for word in values])
        if pronouncer is None or not utterance.text:
            raise AlignmentError("its line has no 'phones'" + (" and no 'text'" if pronouncer else "") + "; add them")
        return arpabet_words([one.phones for one in pronouncer().phones(utterance.text) if not one.is_pause])
    except (AlignmentError, TextError) as error:
        raise AlignmentError(f"{where} {error}") from error
