"""Phones of the words of a recording, and the stretch of the recording that each word and subword takes."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.data.alignment.record import Alignment
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError, TextError
from vocable.text.phonemes import ARPABET, SILENCE, strip_stress
from vocable.text.pronounce import Pronouncer
from vocable.text.subwords import Subwords

_PHONES = frozenset(ARPABET)
_MAX_PHONES = 200  # of a word
_MAX_WORDS = 10_000
_MIN_SPAN = 0.05  # units of a subword, if there are enough units


def arpabet_words(words: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the phones of words without stress, and without words that have no phones.

    Raises:
        AlignmentError: If no word is left, a phone is not ARPAbet, or there are too many words or phones.

    Example:
        >>> arpabet_words([["HH", "AH0", "L", "OW1"], []])
        [['HH', 'AH', 'L', 'OW']]
    """
    plain = [[strip_stress(phone) for phone in word] for word in words if len(word)]
    wrong = next((phone for word in plain for phone in word if phone not in _PHONES), None)
    if wrong is not None:
        raise AlignmentError(f"{wrong[:20]!r} is no ARPAbet phone; those are {' '.join(ARPABET)}")
    if not 0 < len(plain) <= _MAX_WORDS or max(len(word) for word in plain) > _MAX_PHONES:
        raise AlignmentError(
            f"{len(plain)} words: it needs 1 to {_MAX_WORDS} words of 1 to {_MAX_PHONES} phones; give the phones of "
            "each word"
        )
    return plain


def words_of(utterance: Utterance, pronouncer: Callable[[], Pronouncer] | None = None) -> list[list[str]]:
    """Return the phones of each word of an utterance.

    Args:
        utterance: Utterance whose key ``phones``, a list of ARPAbet phones for each word, takes precedence over its
            text.
        pronouncer: Function that makes a pronouncer for the text; without it, the text is not used.

    Raises:
        AlignmentError: If ``phones`` is malformed, or there is neither it nor a text that can be pronounced.

    Example:
        >>> words_of(Utterance(audio_path="a.wav", extra={"phones": [["HH", "AY1"]]}))
        [['HH', 'AY']]
    """
    values = utterance.extra.get("phones")
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
        raise AlignmentError(f"{utterance.audio_path}: {error}") from error


def word_spans(alignment: Alignment, words: Sequence[Sequence[str]]) -> list[tuple[float, float]]:
    """Return start and end of each word in seconds, without the silence around it.

    Args:
        alignment: Alignment of phones.
        words: Phones of each word (:func:`words_of`).

    Raises:
        AlignmentError: If the phones of the words are not those of the alignment, or a word has none.

    Example:
        >>> from vocable.data.alignment import Segment
        >>> alignment = Alignment((Segment("HH", 0.1, 0.2), Segment("AY", 0.2, 0.5), Segment("AY", 0.75, 1.0)))
        >>> word_spans(alignment, [["HH", "AY1"], ["AY"]])
        [(0.1, 0.5), (0.75, 1.0)]
    """
    segments = [one for one in alignment.segments if one.symbol != SILENCE]
    phones = [strip_stress(phone) for word in words for phone in word]
    if [strip_stress(one.symbol) for one in segments] != phones:
        raise AlignmentError(
            f"the alignment has {len(segments)} phones, the words have {len(phones)}, and they are not the same; align "
            "the recording again with this text"
        )
    spans = []
    at = 0
    for number, word in enumerate(words, start=1):
        if not word:
            raise AlignmentError(f"word {number} of {len(words)} has no phones; leave it out")
        spans.append((segments[at].start, segments[at + len(word) - 1].end))
        at += len(word)
    return spans


def subword_spans(
    spans: Sequence[tuple[float, float]], subwords: Subwords, units: int, rate: float
) -> Float[ndarray, "U 2"]:
    """Return start and end of each subword in units: the span of its word, shared in proportion to letters.

    Silence belongs to the subword before it, and silence at the beginning to the first subword. Each start is the end
    before it; the first is 0, the last end is N.

    Args:
        spans: Start and end of each word in seconds.
        subwords: Text as U subwords.
        units: Number N of units of the recording.
        rate: Units per second.

    Raises:
        AlignmentError: If the numbers of words differ, or there are no units.

    Example:
        >>> subwords = Subwords(ids=(5, 6, 7), word_ids=(0, 0, 1), texts=("th", "is", "is"))
        >>> subword_spans([(0.25, 0.75), (1.0, 1.25)], subwords, units=12, rate=8.0).tolist()
        [[0.0, 4.0], [4.0, 8.0], [8.0, 12.0]]
    """
    if len(spans) != subwords.num_words:
        raise AlignmentError(f"{len(spans)} words are aligned, but the text has {subwords.num_words}; align it again")
    letters, words = _letter_counts(subwords), np.array(subwords.word_ids)
    before = np.cumsum(letters) - letters
    first = np.searchsorted(words, words)  # index of the first subword of each word
    share = (before - before[first]) / np.bincount(words, letters)[words]
    starts, ends = np.array(spans, dtype=np.float64).T
    return _tile((starts[words] + share * (ends - starts)[words]) * rate, units)


def estimate_spans(subwords: Subwords, units: int) -> Float[ndarray, "U 2"]:
    """Estimate :func:`subword_spans` without an alignment, as if every letter took the same time.

    Example:
        >>> estimate_spans(Subwords(ids=(5, 6), word_ids=(0, 1), texts=("who", "a")), units=8).tolist()
        [[0.0, 6.0], [6.0, 8.0]]
    """
    letters = _letter_counts(subwords)
    return _tile((np.cumsum(letters) - letters) / letters.sum() * units, units)


def _letter_counts(subwords: Subwords) -> Float[ndarray, " U"]:
    """Return the number of letters of each subword, at least 1: a mark or a part of a letter counts as one."""
    return np.array([max(1, len(text)) for text in subwords.texts], dtype=np.float64)


def _tile(starts: Float[ndarray, " U"], units: int) -> Float[ndarray, "U 2"]:
    """Return adjacent spans from 0 to ``units`` with these starts, none of them empty."""
    if units < 1:
        raise AlignmentError("there are no units for the subwords; the recording is too short")
    order = np.arange(len(starts))
    least = min(_MIN_SPAN, units / len(starts) / 2)
    starts[0] = 0.0
    starts = np.maximum.accumulate(starts - order * least) + order * least
    starts = np.minimum(starts, units - (len(starts) - order) * least)
    return np.stack([starts, np.append(starts[1:], float(units))], axis=1)
