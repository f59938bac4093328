"""Times of words in a recording and in speech that is generated from it."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.data.alignment import alignment_of
from vocable.data.alignment.make import find_aligner
from vocable.data.alignment.record import PhoneAligner
from vocable.data.alignment.words import word_spans, words_of
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError
from vocable.metrics.score import Score
from vocable.metrics.units import duration_consistency
from vocable.text.subwords import Subwords
from vocable_lab.shared.phones import pronouncer

TOLERANCE = 0.05
"""Largest change of a word's duration in seconds that counts as kept."""

Spans = list[tuple[float, float]]  # start and end of each word in seconds, without the silence around it


class Words:
    """Aligner of the words of utterances; aligner and dictionary are loaded on first use."""

    def spans(self, clip: Utterance, audio: Audio) -> Spans:
        """Return the times of the words of a recording: from its line's ``alignment``, else by forced alignment.

        Raises:
            AlignmentError: If there is no text that can be pronounced, or the recording does not match it.
            MissingDependencyError: If an alignment is needed and pocketsphinx is not installed.
        """
        alignment = alignment_of(clip, audio.duration)
        return self.align(clip, audio) if alignment is None else word_spans(alignment, self._phones(clip))

    def align(self, clip: Utterance, audio: Audio) -> Spans:
        """Return the times of a recording's words in any audio, by forced alignment.

        Raises:
            AlignmentError: If there is no text that can be pronounced, or the audio does not match it.
            MissingDependencyError: If pocketsphinx is not installed.
        """
        phones = self._phones(clip)
        return word_spans(self._aligner.phones(audio, phones).alignment, phones)

    def consistency(self, clip: Utterance, spans: Spans, audio: Audio) -> Score:
        """Return the share of a recording's words whose duration is kept in generated speech.

        Where the words cannot be aligned, none of them is kept.

        Args:
            clip: Manifest line of the recording.
            spans: Times of its words.
            audio: Speech of the same words.

        Raises:
            MissingDependencyError: If pocketsphinx is not installed.
        """
        try:
            return span_consistency(spans, self.align(clip, audio))
        except AlignmentError:
            return Score(0.0, weight=float(len(spans)))

    def _phones(self, clip: Utterance) -> list[list[str]]:
        language = clip.value("language") or "en"
        if "phones" not in clip.extra and not language.lower().startswith("en"):
            raise AlignmentError(f"{clip.audio_path}: its text is in '{language}'; only English is pronounced")
        return words_of(clip, pronouncer)

    @cached_property
    def _aligner(self) -> PhoneAligner:
        return find_aligner("pocketsphinx")


def span_consistency(one: Spans, other: Spans) -> Score:
    """Return the share of words with the same duration in both recordings, within :data:`TOLERANCE`.

    Example:
        >>> span_consistency([(0.0, 0.25), (0.5, 1.0)], [(0.0, 0.3), (0.5, 1.1)])
        Score(value=0.5, reason='', weight=2.0)
    """
    words, others = ([("word", *span) for span in spans] for spans in (one, other))
    return duration_consistency(words, others, TOLERANCE)


def durations(spans: Sequence[tuple[float, float]]) -> Float[ndarray, " W"]:
    """Return the duration of each word in seconds."""
    return np.array([end - start for start, end in spans])


def subword_times(spans: Spans, subwords: Subwords) -> Float[ndarray, "U 2"]:
    """Return start and end of each subword in seconds: its word's time, shared in proportion to letters.

    Args:
        spans: Times of the words.
        subwords: Subwords of the same words.

    Raises:
        AlignmentError: If the numbers of words differ.

    Example:
        >>> subwords = Subwords(ids=(5, 6, 7), word_ids=(0, 0, 1), texts=("th", "is", "is"))
        >>> subword_times([(0.25, 0.75), (1.0, 1.25)], subwords).tolist()
        [[0.25, 0.5], [0.5, 0.75], [1.0, 1.25]]
    """
    if len(spans) != subwords.num_words:
        raise AlignmentError(f"{len(spans)} words are aligned, but the text has {subwords.num_words}")
    letters = np.array([max(1, len(text)) for text in subwords.texts], dtype=np.float64)
    words = np.array(subwords.word_ids)
    totals = np.bincount(words, letters)[words]
    ends = np.cumsum(letters)
    before = (ends - letters)[np.searchsorted(words, words)]  # letters before each subword's word
    word_starts, word_ends = np.array(spans, dtype=np.float64)[words].T
    shares = np.stack([ends - letters - before, ends - before], axis=1) / totals[:, None]
    return word_starts[:, None] + shares * (word_ends - word_starts)[:, None]
