"""Which stretch of a recording each word and each subword of a word takes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.data.alignment.record import Alignment
from vocable.errors import AlignmentError
from vocable.text.phonemes import SILENCE, strip_stress
from vocable.text.subwords import Subwords

_LEAST = 0.05  # units that a subword takes, where there is room


def word_spans(alignment: Alignment, words: Sequence[Sequence[str]]) -> list[tuple[float, float]]:
    """When each word is said, without the silence around it.

    Args:
        alignment: Of phones.
        words: The phones of each word (:func:`~vocable.data.alignment.phones.words_of`).

    Returns:
        Start and end of each word, in seconds.

    Raises:
        AlignmentError: These are not the phones of the alignment, or a word has none.

    Example:
        >>> from vocable.data.alignment import Segment
        >>> said = Alignment((Segment("HH", 0.1, 0.2), Segment("AY", 0.2, 0.5), Segment("AY", 0.75, 1.0)))
        >>> word_spans(said, [["HH", "AY1"], ["AY"]])
        [(0.1, 0.5), (0.75, 1.0)]
    """
    spoken = [one for one in alignment.segments if one.symbol != SILENCE]
    wanted = [strip_stress(phone) for word in words for phone in word]
    if [strip_stress(one.symbol) for one in spoken] != wanted:
        raise AlignmentError(
            f"the alignment has {len(spoken)} phones, the words have {len(wanted)}, and they are not the same; align "
            "the recording again with this text"
        )
    spans = []
    at = 0
    for number, word in enumerate(words, start=1):
        if not word:
            raise AlignmentError(f"word {number} of {len(words)} has no phones; leave it out")
        spans.append((spoken[at].start, spoken[at + len(word) - 1].end))
        at += len(word)
    return spans


def subword_spans(
    spans: Sequence[tuple[float, float]], subwords: Subwords, units: int, rate: float
) -> Float[ndarray, "U 2"]:
    """The stretch of each subword: its word's, shared by letters.

    Silence belongs to the subword before it, and silence at the beginning to the first subword: the stretches lie one
    behind the other from 0 to the end.

    Args:
        spans: When each word of the split is said, in seconds.
        subwords: A text in U subwords.
        units: Of the recording, N.
        rate: Units a second.

    Returns:
        Start and end of each subword in units; each start is the end before it, the first 0 and the last N.

    Raises:
        AlignmentError: There are more or fewer words than the split has, or no units.

    Example:
        >>> subwords = Subwords(ids=(5, 6, 7), word_ids=(0, 0, 1), texts=("th", "is", "is"))
        >>> subword_spans([(0.25, 0.75), (1.0, 1.25)], subwords, units=12, rate=8.0).tolist()
        [[0.0, 4.0], [4.0, 8.0], [8.0, 12.0]]
    """
    if len(spans) != subwords.num_words:
        raise AlignmentError(f"{len(spans)} words are aligned, but the text has {subwords.num_words}; align it again")
    letters, words = _letters(subwords), np.array(subwords.word_ids)
    before = np.cumsum(letters) - letters
    first = np.searchsorted(words, words)  # subword of each word's beginning
    share = (before - before[first]) / np.bincount(words, letters)[words]
    starts, ends = np.array(spans, dtype=np.float64).T
    return _tiled((starts[words] + share * (ends - starts)[words]) * rate, units)


def estimate_spans(subwords: Subwords, units: int) -> Float[ndarray, "U 2"]:
    """Stretches where nothing is aligned: as if every letter took as long.

    Args:
        subwords: A text in U subwords.
        units: Of the recording, N.

    Returns:
        As of :func:`subword_spans`.

    Raises:
        AlignmentError: There are no units.

    Example:
        >>> estimate_spans(Subwords(ids=(5, 6), word_ids=(0, 1), texts=("who", "a")), units=8).tolist()
        [[0.0, 6.0], [6.0, 8.0]]
    """
    letters = _letters(subwords)
    return _tiled((np.cumsum(letters) - letters) / letters.sum() * units, units)


def _letters(subwords: Subwords) -> Float[ndarray, " U"]:
    """How many letters each subword has; a mark, or a part of a letter, counts as one."""
    return np.array([max(1, len(text)) for text in subwords.texts], dtype=np.float64)


def _tiled(starts: Float[ndarray, " U"], units: int) -> Float[ndarray, "U 2"]:
    """Stretches from start to start, the first from 0 and the last to the end; none of them empty."""
    if units < 1:
        raise AlignmentError("there are no units that subwords could be said in; the recording is too short")
    order = np.arange(len(starts))
    least = min(_LEAST, units / len(starts) / 2)
    starts[0] = 0.0
    starts = np.maximum.accumulate(starts - order * least) + order * least
    starts = np.minimum(starts, units - (len(starts) - order) * least)
    return np.stack([starts, np.append(starts[1:], float(units))], axis=1)
