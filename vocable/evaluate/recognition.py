"""Error rates of what a recognizer returns for decoded speech: words, characters and phones.

A figure is undefined, with its reason, where the recognizer can say nothing: on clips left out by ``--recognise``, in a
language that it does not know, and without a text where a text is needed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from vocable.apps.asr import recognize_words
from vocable.audio import Audio
from vocable.errors import AudioError, TextError
from vocable.evaluate.card import Column, Entry
from vocable.evaluate.judges.base import PhoneRecognizer
from vocable.evaluate.pairs import Pair, ScoredClip
from vocable.interfaces import Recognition, SpeechRecognizer
from vocable.metrics import text
from vocable.metrics.score import Score, undefined
from vocable.text.normalize import to_words

EMPTY, LOOPS = "empty", "loops"
"""Keys, in the counts of an error rate, of transcripts without a word and of those in which the recognizer looped."""

_FAILURES = {EMPTY: "no word", LOOPS: "a loop"}
_AGAINST_TEXT = ("WER", "CER", "PER")
_MEANINGLESS = 0.5  # error rate in the recordings themselves
_NOT_SELECTED = "not among the clips that the recognizer transcribes (--recognise)"
_NO_TEXT = "the manifest has no text"
Counter = Callable[..., text.ErrorCounts]


def count_against_text(count: Counter) -> Callable[[Pair, SpeechRecognizer], Score]:
    """Return a score function of the errors of ``count`` against the text of the recording."""

    def score(pair: Pair, recognizer: SpeechRecognizer) -> Score:
        if reason := _why_not_recognized(pair, recognizer):
            return undefined(reason)
        if pair.text is None:
            return undefined(_NO_TEXT)
        hypothesis = _recognize(pair.decoded, recognizer)
        return _count_words(count, pair, pair.text, hypothesis)

    return score


def count_against_recording(count: Counter) -> Callable[[Pair, SpeechRecognizer], Score]:
    """Return a score function of the errors of ``count`` against the transcript of the recording."""

    def score(pair: Pair, recognizer: SpeechRecognizer) -> Score:
        if reason := _why_not_recognized(pair, recognizer):
            return undefined(reason)
        reference, hypothesis = (_recognize(clip, recognizer) for clip in (pair.reference, pair.decoded))
        return _count_words(count, pair, reference.text, hypothesis)

    return score


def _why_not_recognized(pair: Pair, recognizer: SpeechRecognizer) -> str:
    """Return why a recognizer says nothing about a pair; empty if it does."""
    if not pair.is_recognized:
        return _NOT_SELECTED
    language = getattr(recognizer, "language", None)  # None: the recognizer knows many
    if language and not pair.language.lower().startswith(language):
        return f"it is in '{pair.language}', and {recognizer.name} knows '{language}' alone"
    return ""


def _recognize(clip: ScoredClip, recognizer: SpeechRecognizer) -> Recognition:
    return clip.ask(recognizer.name, partial(recognize_words, recognizer))


def _count_words(count: Counter, pair: Pair, reference: str, hypothesis: Recognition) -> Score:
    """Return the error rate, and count empty transcripts and loops, which make it look better or worse than it is."""
    normalizer = text.normalize_english if _is_english(pair) else text.normalize
    score = count(reference, hypothesis.text, normalizer=normalizer).score()
    failures = {EMPTY: int(not hypothesis.text), LOOPS: int(hypothesis.is_loop)}
    return replace(score, counts={**score.counts, **failures}) if score.defined else score


def score_transcript(recognizer: SpeechRecognizer, reference: str, clip: Audio) -> Score:
    """Return the word error rate of a clip against an English text; undefined if the recognizer refuses the clip."""
    try:
        transcript = recognizer.transcribe(clip)
    except AudioError as error:
        return undefined(str(error))
    return text.wer(reference, transcript, normalizer=text.normalize_english).score()


def count_phones_against_text(pair: Pair, recognizer: PhoneRecognizer) -> Score:
    """Return the phone error rate against the text, pronounced by the recognizer's own letter-to-sound model."""
    if not pair.is_recognized:
        return undefined(_NOT_SELECTED)
    if pair.text is None:
        return undefined(_NO_TEXT)
    if not _is_english(pair):
        return undefined(f"its text is in '{pair.language}', and only English is pronounced")
    try:
        words = to_words(pair.text)
    except TextError as error:
        return undefined(str(error))
    return _count_phones(recognizer.pronounce(words), _phones(pair.decoded, recognizer))


def count_phones_against_recording(pair: Pair, recognizer: PhoneRecognizer) -> Score:
    """Return the phone error rate against the phones that are recognized in the recording; any language is taken."""
    if not pair.is_recognized:
        return undefined(_NOT_SELECTED)
    reference, hypothesis = (_phones(clip, recognizer) for clip in (pair.reference, pair.decoded))
    return _count_phones(reference, hypothesis)


def _is_english(pair: Pair) -> bool:
    return pair.language.lower().startswith("en")


def _phones(clip: ScoredClip, recognizer: PhoneRecognizer) -> list[str]:
    return clip.ask(recognizer.name, recognizer.phones)


def _count_phones(reference: Sequence[str], hypothesis: Sequence[str]) -> Score:
    score = text.per(reference, hypothesis).score()
    return replace(score, counts={**score.counts, EMPTY: int(not hypothesis)}) if score.defined else score


def describe_failures(columns: Iterable[Column], entries: Sequence[Entry]) -> list[str]:
    """Return a sentence on each entry with failed transcripts, and on each error rate that says little.

    A failed transcript has no word, or repeats itself. An error rate says little where the recognizer gets more than
    half of the recordings themselves wrong.
    """
    sentences: dict[str, None] = {}
    for column in columns:
        scorer = column.key.partition("@")[2]
        for entry in entries:
            figure = entry.figures.get(column.key)
            if figure is None or not scorer:
                continue
            parts = [f"{kind} for {figure.counts[key]}" for key, kind in _FAILURES.items() if figure.counts.get(key)]
            if parts and entry.kind != "anchor":
                sentences[f"{entry.name}: {scorer} returned {' and '.join(parts)} of {figure.n} clips."] = None
            is_ceiling = entry.name == "identity" and column.title in _AGAINST_TEXT
            if is_ceiling and figure.mean > _MEANINGLESS:
                sentences[
                    f"{column.title}: {scorer} gets {100 * figure.mean:.0f} % of the recordings themselves wrong, so "
                    "these figures say little about the others."
                ] = None
    return list(sentences)
