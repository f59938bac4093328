"""Speech recognition: the words of a recording, or its phonemes with their times."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from vocable.arguments import check_arguments
from vocable.audio import Audio, AudioLike, as_audio
from vocable.data.alignment import Segment
from vocable.errors import SpecError, TextError
from vocable.interfaces import (
    DetailedRecognizer,
    LexiconRecognizer,
    PhonemeRecognizer,
    Recognition,
    SpeechRecognizer,
)
from vocable.metrics.text import normalize, repeats_itself
from vocable.systems.registry import models_for
from vocable.text.lexicon import Lexicon
from vocable.text.phonemes import ARPABET, SILENCE
from vocable.text.words import WordFinder

WordRecognizer = Callable[[Audio], str]
"""Function from a clip to its words, such as ``transcribe`` of a recognizer of :mod:`vocable.evaluate.judges.find`."""

_MIN_PAUSE = 0.1  # seconds of silence that no word spans; shorter ones are closures of stops inside words
_ROUNDING = 1e-6  # tolerance, in positions, of a count that should be whole


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """Phonemes and words recognized in a recording.

    Attributes:
        segments: Each phoneme with its start and end in seconds. Silence is left out; a speech recognizer has none.
        words: Words in lower case, or None where no dictionary is installed or the phonemes are not ARPAbet.
        word_segments: Each word with its start and end in seconds, where the model finds words in its probabilities.
        text: Text as a speech recognizer writes it; the words of a tokenizer, joined by spaces.
        log_probability: Mean natural logarithm of the probability of a token; NaN if it is not known.
        is_loop: Whether the recognizer repeated itself.
    """

    segments: tuple[Segment, ...]
    words: tuple[str, ...] | None
    text: str = ""
    log_probability: float = math.nan
    is_loop: bool = False
    word_segments: tuple[Segment, ...] = ()

    @property
    def phonemes(self) -> list[str]:
        """Phonemes without their times."""
        return [segment.symbol for segment in self.segments]

    @property
    def said(self) -> tuple[Segment, ...]:
        """The ``segments``, by their name in vocable 0.1."""
        return self.segments


@check_arguments
def transcribe(model: object, audio: AudioLike, *, finder: WordFinder | None = None) -> Transcript:
    """Recognize the words of a recording, or its phonemes, their times, and the words they may stand for.

    A speech recognizer returns words. A tokenizer returns phonemes and words. Where it has ``transcribe_words``, these
    are found in its probabilities by a lexicon and a trigram model. Else, and with a ``finder``, they are found in the
    most likely phonemes by pronunciation and frequency alone: expect far more errors.

    Args:
        model: A :class:`~vocable.interfaces.SpeechRecognizer`, such as ``vocable.load_recognizer()``, or a tokenizer
            that is a :class:`~vocable.interfaces.PhonemeRecognizer`, such as ``vocable.load("ctap-small")``.
        audio: Recording at any sample rate, of any length.
        finder: Word finder for phonemes. By default the model's own search, or else a finder over the dictionary of
            pocketsphinx, where that is installed.

    Raises:
        SpecError: If the model recognizes neither words nor phonemes.

    Source:
        VQ-CTAP, arXiv:2408.05758: the phoneme decoder at each spectrum, without repetitions and silence.

    Example:
        >>> import vocable
        >>> from vocable.testing import speechlike
        >>> transcript = transcribe(vocable.load("ctap-small"), speechlike(16_000))
        >>> all(segment.end <= 1.0 for segment in transcript.segments)
        True
    """
    recording = as_audio(audio)
    if isinstance(model, SpeechRecognizer) and not isinstance(model, PhonemeRecognizer):
        found = recognize_words(model, recording)
        return Transcript(
            segments=(), words=tuple(normalize(found.text).split()), text=found.text,
            log_probability=found.log_probability, is_loop=found.is_loop,
        )  # fmt: skip
    recognizer = as_recognizer(model)
    tokens = recognizer.encode(recording)
    path = recognizer.phoneme_path(tokens).tolist()
    seconds = tokens.ids.shape[2] / tokens.spec.frame_rate / len(path)
    path = path[: math.ceil(recording.duration / seconds - _ROUNDING)]  # the last token may be partly padding
    symbols = recognizer.phonemes.symbols
    segments = list(_segments(path, symbols, seconds, recording.duration))
    words: tuple[str, ...] | None = None
    timed: tuple[Segment, ...] = ()
    if set(symbols[1:]) <= set(ARPABET):
        if isinstance(recognizer, LexiconRecognizer) and finder is None:
            timed = tuple(Segment(one.symbol, one.start, one.end) for one in recognizer.transcribe_words(tokens))
            words = tuple(one.symbol for one in timed)
        else:
            words = _find_words(segments, finder)
    text = " ".join(words or ())
    return Transcript(
        segments=tuple(segment for segment in segments if segment.symbol != SILENCE),
        words=words, text=text, is_loop=repeats_itself(text), word_segments=timed,
    )  # fmt: skip


def recognize_words(recognizer: SpeechRecognizer, clip: Audio) -> Recognition:
    """Return what a recognizer returns for a clip: the text alone where it gives no more."""
    if isinstance(recognizer, DetailedRecognizer):
        return recognizer.recognize(clip)
    text = recognizer.transcribe(clip)
    return Recognition(text=text, is_loop=repeats_itself(text))


def transcribe_words(clip: Audio, recognizer: WordRecognizer, name: str = "the clip") -> str:
    """Transcribe a clip that has no text; ``name`` is its name in messages.

    Raises:
        TextError: If no words are recognized.

    Example:
        >>> from vocable.testing import speechlike
        >>> transcribe_words(speechlike(8_000), lambda clip: "good morning")
        'good morning'
    """
    text = recognizer(clip)
    if not text.strip():
        raise TextError(f"{name}: no words are recognized in its {clip.duration:.2f} s; pass its transcript")
    return text


def as_recognizer(tokenizer: object) -> PhonemeRecognizer:
    """Return the tokenizer; raise a SpecError if it recognizes no phonemes."""
    if not isinstance(tokenizer, PhonemeRecognizer):
        raise SpecError(f"a {type(tokenizer).__name__} recognizes no phonemes; take {models_for('asr')}")
    return tokenizer


def _segments(path: Sequence[int], symbols: Sequence[str], seconds: float, end: float) -> Iterator[Segment]:
    """Yield runs of one phoneme, silence among them; each position of the path lasts ``seconds``."""
    at = 0
    for phoneme, run in groupby(path):
        first, at = at, at + len(list(run))
        yield Segment(symbols[phoneme], first * seconds, min(at * seconds, end))


def _find_words(segments: Iterable[Segment], finder: WordFinder | None) -> tuple[str, ...] | None:
    finder = finder or _installed_finder()
    if finder is None:
        return None
    kept = (segment for segment in segments if segment.symbol != SILENCE or segment.duration >= _MIN_PAUSE)
    return tuple(finder.words([segment.symbol for segment in kept]))


@cache
def _installed_finder() -> WordFinder | None:
    """Return a word finder over the installed dictionary, read once a process; None where there is none."""
    lexicon = Lexicon.installed()
    return WordFinder(lexicon) if lexicon.words else None
