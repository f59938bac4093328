"""When the words of a recording are said, in it and in what is made of it, and how many last as long."""

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

TOLERANCE = 0.05  # seconds by which a word may last longer or shorter and count as kept

Spans = list[tuple[float, float]]  # start and end of each word, in seconds, without the silence around it


class Words:
    """Words of utterances; aligner and dictionary are loaded once they are needed."""

    def said(self, clip: Utterance, audio: Audio) -> Spans:
        """When the words of a recording are said: of its line's ``alignment``, else as they are found in it.

        Raises:
            AlignmentError: There is no text that can be pronounced, or it is not what is said.
            MissingDependencyError: They have to be found, and pocketsphinx is not installed.
        """
        known = alignment_of(clip, audio.duration)
        return self.found(clip, audio) if known is None else word_spans(known, self._phones(clip))

    def found(self, clip: Utterance, audio: Audio) -> Spans:
        """When the words of a recording are said in any audio.

        Raises:
            AlignmentError: As of :meth:`said`.
            MissingDependencyError: pocketsphinx is not installed.
        """
        phones = self._phones(clip)
        return word_spans(self._aligner.phones(audio, phones).alignment, phones)

    def kept(self, clip: Utterance, spans: Spans, made: Audio) -> Score:
        """Share of a recording's words that last as long in what was made of it, by :data:`TOLERANCE`.

        Where the words are not found in it, none of them is kept.

        Args:
            clip: The recording's line.
            spans: When its words are said.
            made: Speech of the same words.

        Raises:
            MissingDependencyError: pocketsphinx is not installed.
        """
        try:
            return lasting_alike(spans, self.found(clip, made))
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


def lasting_alike(one: Spans, other: Spans) -> Score:
    """Return the share of words with the same duration in both, within :data:`TOLERANCE`.

    Source:
        TASTE, arXiv:2504.07053: duration consistency, there with MFA.

    Example:
        >>> lasting_alike([(0.0, 0.25), (0.5, 1.0)], [(0.0, 0.3), (0.5, 1.1)])
        Score(value=0.5, reason='', weight=2.0)
    """
    words, others = ([("word", *span) for span in spans] for spans in (one, other))
    return duration_consistency(words, others, TOLERANCE)


def lasting(spans: Sequence[tuple[float, float]]) -> Float[ndarray, " W"]:
    """Seconds of each word."""
    return np.array([end - start for start, end in spans])


def subword_times(spans: Spans, subwords: Subwords) -> Float[ndarray, "U 2"]:
    """When each subword is said, in seconds: its word's time, shared by letters, without silence.

    Raises:
        AlignmentError: There are more or fewer words than the split has.

    Example:
        >>> subwords = Subwords(ids=(5, 6, 7), word_ids=(0, 0, 1), texts=("th", "is", "is"))
        >>> subword_times([(0.25, 0.75), (1.0, 1.25)], subwords).tolist()
        [[0.25, 0.5], [0.5, 0.75], [1.0, 1.25]]
    """
    if len(spans) != subwords.num_words:
        raise AlignmentError(f"{len(spans)} words are aligned, but the text has {subwords.num_words}")
    letters, words = (
        np.array([max(1, len(text)) for text in subwords.texts], dtype=np.float64),
        np.array(subwords.word_ids),
    )
    whole = np.bincount(words, letters)[words]
    end = np.cumsum(letters)
    before = (end - letters)[np.searchsorted(words, words)]  # letters before each subword's word
    starts, ends = np.array(spans, dtype=np.float64)[words].T
    shares = np.stack([end - letters - before, end - before], axis=1) / whole[:, None]
    return starts[:, None] + shares * (ends - starts)[:, None]
