"""Speech to phonemes and when each is said, and to words."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from vocable.audio import Audio
from vocable.data.alignment import Segment
from vocable.errors import SpecError
from vocable.interfaces import Recogniser
from vocable.text.lexicon import Lexicon
from vocable.text.phonemes import ARPABET, SILENCE
from vocable.text.words import WordFinder

_PAUSE = 0.1  # seconds of silence that no word reaches across; there are shorter ones inside words, before a stop
_ROUNDING = 1e-6  # of a count that should be whole


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What was heard.

    Attributes:
        said: Each phoneme with its start and end in seconds; between two of them there may be silence.
        words: None where there is no dictionary, or none for these phonemes.
    """

    said: tuple[Segment, ...]
    words: tuple[str, ...] | None

    @property
    def phonemes(self) -> list[str]:
        """Without their times."""
        return [one.symbol for one in self.said]


def transcribe(tokenizer: object, audio: Audio, *, finder: WordFinder | None = None) -> Transcript:
    """The phonemes of a recording, when each is said, and the words they may stand for.

    Of words nothing is known but how they are said and how frequent they are: expect far more errors than in phonemes.

    Args:
        tokenizer: One that tells phonemes, such as ``vocable.load("ctap-small")``.
        audio: Any rate and length.
        finder: Whose dictionary the words are from. By default that of the package pocketsphinx, where it is installed.

    Raises:
        SpecError: The tokenizer cannot tell phonemes.

    Source:
        VQ-CTAP, arXiv:2408.05758: the phoneme decoder at each spectrum, repeats and silence left out.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> from vocable.systems.ctap.model import CtapModel
        >>> from vocable.systems.ctap.tokenizer import CtapTokenizer
        >>> from vocable.testing import speechlike
        >>> tokenizer, clip = CtapTokenizer(CtapModel(ctap.tiny().model)), speechlike(8_192, 8_000)
        >>> transcribe(tokenizer, clip).phonemes == tokenizer.transcribe(tokenizer.encode(clip))
        True
    """
    recogniser = as_recogniser(tokenizer)
    tokens = recogniser.encode(audio)
    path = recogniser.phoneme_path(tokens).tolist()
    seconds = tokens.ids.shape[2] / tokens.spec.frame_rate / len(path)
    path = path[: math.ceil(audio.duration / seconds - _ROUNDING)]  # the last token is filled with silence
    heard = list(_segments(path, recogniser.phonemes.symbols, seconds, audio.duration))
    return Transcript(
        said=tuple(one for one in heard if one.symbol != SILENCE),
        words=_words(heard, finder) if set(recogniser.phonemes.symbols[1:]) <= set(ARPABET) else None,
    )


def as_recogniser(tokenizer: object) -> Recogniser:
    """A tokenizer that tells phonemes.

    Raises:
        SpecError: It cannot.
    """
    if not isinstance(tokenizer, Recogniser):
        raise SpecError(
            f"the tokens of a {type(tokenizer).__name__} tell no phonemes: those of VQ-CTAP do, such as ctap-small"
        )
    return tokenizer


def _segments(path: Sequence[int], symbols: Sequence[str], seconds: float, end: float) -> Iterator[Segment]:
    """Runs of one phoneme, silence among them, where each place of the path lasts so many seconds."""
    at = 0
    for one, run in groupby(path):
        first, at = at, at + len(list(run))
        yield Segment(symbols[one], first * seconds, min(at * seconds, end))


def _words(heard: Iterable[Segment], finder: WordFinder | None) -> tuple[str, ...] | None:
    finder = finder or _finder()
    if finder is None:
        return None
    return tuple(finder.words([one.symbol for one in heard if one.symbol != SILENCE or one.duration >= _PAUSE]))


@cache
def _finder() -> WordFinder | None:
    """Of the dictionary that is installed, once a process."""
    lexicon = Lexicon.installed()
    return WordFinder(lexicon) if lexicon.words else None
