"""Error rates between a reference and a hypothesis: words, characters, phones.

Every function counts hits, substitutions, deletions and insertions. :meth:`ErrorCounts.score` divides them, with the
length of the reference as the weight. The mean of many scores is then all errors over all words, as papers report it.
"""

import math
import unicodedata
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

from vocable.errors import ConfigError, MissingDependencyError
from vocable.metrics.score import Score, undefined
from vocable.text.fold import fold

NORMALIZER = "vocable-text-2"
"""Name of the normalizer for all languages, :func:`normalize`."""

_ENGLISH_PACKAGE = "whisper-normalizer"
_APOSTROPHES = dict.fromkeys(map(ord, "’‘ʼ＇`´"), "'")
_LONGEST_PHRASE, _PHRASES, _REPEATED_WORDS = 10, 4, 8  # words of a phrase; how often it stands; words in all
_KINDS = ("hits", "substitutions", "deletions", "insertions")


@dataclass(frozen=True, kw_only=True)
class ErrorCounts:
    """Errors of a hypothesis. Counts of several clips add up with ``+``.

    Attributes:
        hits: Units of the reference that the hypothesis has.
        substitutions: Units of the reference that are another one in the hypothesis.
        deletions: Units of the reference that are missing.
        insertions: Units of the hypothesis that stand for no unit of the reference.
        unit: Name of the units: ``words``, ``characters`` or ``phones``.

    Example:
        >>> one = wer("the cat sat on the mat", "the cat sat on mat")
        >>> two = wer("a dog", "a big log")
        >>> one + two
        ErrorCounts(hits=6, substitutions=1, deletions=1, insertions=1, unit='words')
        >>> (one + two).rate
        0.375
    """

    hits: int
    substitutions: int
    deletions: int
    insertions: int
    unit: str = "words"

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        if self.unit != other.unit:
            raise ConfigError(f"errors in {self.unit} and in {other.unit} do not add up; sum each kind by itself")
        return ErrorCounts(**{kind: getattr(self, kind) + getattr(other, kind) for kind in _KINDS}, unit=self.unit)

    @property
    def reference(self) -> int:
        """Length of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def total(self) -> int:
        """Number of errors of all three kinds."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over the length of the reference: 0 is perfect, above 1 is possible; NaN for an empty reference."""
        return self.total / self.reference if self.reference else math.nan

    def score(self) -> Score:
        """Return the rate with its counts, weighted by the length of the reference; undefined if that is empty.

        Example:
            >>> wer("", "hello there").score().text(".2f")
            'undefined (the reference has no words; 2 were inserted)'
        """
        if not self.reference:
            return undefined(f"the reference has no {self.unit}; {self.insertions} were inserted")
        return Score(self.rate, weight=float(self.reference), counts={kind: getattr(self, kind) for kind in _KINDS})


def normalize(text: str) -> str:
    """Normalize a text for comparison: normalizer ``vocable-text-2``, for all languages.

    The steps, in order: folding (:func:`vocable.text.fold.fold`), which sets numbers of one character (``½``, ``²``)
    apart from their neighbors; Unicode NFKC; lower case (ä, ö, ü, ß and all other accents stay); apostrophes of all
    shapes become ``'`` and stay between two letters or digits (``don't``; elsewhere they are quotation marks);
    invisible characters (soft hyphens, joiners) vanish; letters with their marks and digits stay as they are (``12`` is
    not spelled out); every other character becomes a space; repeated spaces and those at the ends vanish.

    Example:
        >>> normalize("  “Don’t!” he said; it’s a well-known Straße, 3.5 km. ")
        "don't he said it's a well known straße 3 5 km"
    """
    folded = unicodedata.normalize("NFKC", fold(unicodedata.normalize("NFKC", fold(text)).lower()))
    visible = [character for character in folded.translate(_APOSTROPHES) if unicodedata.category(character) != "Cf"]
    is_word = [unicodedata.category(character)[0] in "LMN" for character in visible]
    kept = [
        character
        if is_word[at] or (character == "'" and 0 < at < len(visible) - 1 and is_word[at - 1] and is_word[at + 1])
        else " "
        for at, character in enumerate(visible)
    ]
    return " ".join("".join(kept).split())


def normalize_english(text: str) -> str:
    """Normalize an English text for comparison, as the papers on Whisper do.

    Beside what :func:`normalize` does, numbers are written in digits, titles and contractions are written out, British
    spelling becomes American, and ``hmm``, ``uh`` and words in brackets vanish. Accents vanish, too.

    Raises:
        MissingDependencyError: If whisper-normalizer is not installed.

    Source:
        Radford et al., Whisper, arXiv:2212.04356, appendix C; package whisper-normalizer (MIT).

    Example:
        >>> normalize_english("Mr. Brown won’t pay twenty-one dollars, um, for the colour.")
        'mister brown will not pay $21 for the color'
    """
    return _english_normalizer()(fold(text))


def english_normalizer_name() -> str:
    """Return the package that :func:`normalize_english` calls, and its version; a missing one raises an error.

    Raises:
        MissingDependencyError: If whisper-normalizer is not installed.
    """
    _english_normalizer()
    return f"{_ENGLISH_PACKAGE}-{version(_ENGLISH_PACKAGE)}"


@cache
def _english_normalizer() -> Callable[[str], str]:
    try:
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise MissingDependencyError(
            f"error rates of English words need {_ENGLISH_PACKAGE}; run pip install 'vocable[metrics]'"
        ) from error
    normalizer: Callable[[str], str] = EnglishTextNormalizer()
    return normalizer


def wer(reference: str, hypothesis: str, *, normalizer: Callable[[str], str] = normalize) -> ErrorCounts:
    """Count word errors.

    Args:
        reference: True text.
        hypothesis: Recognized text.
        normalizer: Function applied to both; ``str`` for none. Words are separated by white space.

    Raises:
        MissingDependencyError: If rapidfuzz is not installed.

    Source:
        Levenshtein (1966), unit costs, aligned by rapidfuzz; the counts equal those of jiwer 4.

    Example:
        >>> wer("It’s a dog.", "it's the dog").score()
        Score(value=0.3333333333333333, reason='', weight=3.0)
    """
    return _count_errors(normalizer(reference).split(), normalizer(hypothesis).split(), "words")


def cer(reference: str, hypothesis: str, *, normalizer: Callable[[str], str] = normalize) -> ErrorCounts:
    """Count character errors, as :func:`wer` counts words; the space between words is a character, as in jiwer.

    Example:
        >>> cer("a dog", "a do").rate
        0.2
    """
    return _count_errors(normalizer(reference), normalizer(hypothesis), "characters")


def per(reference: Sequence[str], hypothesis: Sequence[str], *, strip_stress: bool = False) -> ErrorCounts:
    """Count phone errors, as :func:`wer` counts words.

    Args:
        reference: True phones, in any alphabet.
        hypothesis: Recognized phones, in the same alphabet.
        strip_stress: Whether to remove the stress marks of ARPAbet (0, 1, 2 after a vowel) from both, for a recognizer
            that has none.

    Raises:
        ConfigError: If a sequence of phones is one text.
        MissingDependencyError: If rapidfuzz is not installed.

    Example:
        >>> per(["HH", "AH0", "L", "OW1"], ["HH", "AH", "L"], strip_stress=True)
        ErrorCounts(hits=3, substitutions=0, deletions=1, insertions=0, unit='phones')
    """
    for phones in (reference, hypothesis):
        if isinstance(phones, str):
            raise ConfigError(f"PER: {phones[:40]!r} is one text, but a list of phones is wanted; use text.split()")
    if strip_stress:
        reference, hypothesis = ([_strip_stress(phone) for phone in phones] for phones in (reference, hypothesis))
    return _count_errors(reference, hypothesis, "phones")


def repeats_itself(text: str) -> bool:
    """Return True if a phrase of at most ten words stands at least four times in a row, and fills eight words or more.

    People rarely speak so. A recognizer that has lost the speech often does.

    Example:
        >>> repeats_itself("no, no, no, no!"), repeats_itself("and then " * 4)
        (False, True)
    """
    words = normalize(text).split()
    for size in range(1, _LONGEST_PHRASE + 1):
        length = 0  # of the run of words that equal the one a phrase before
        for before, word in zip(words, words[size:], strict=False):
            length = length + 1 if word == before else 0
            if length >= max((_PHRASES - 1) * size, _REPEATED_WORDS - size):
                return True
    return False


def edit_distance(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> int:
    """Return the least number of substitutions, deletions and insertions, without any optional package.

    Source:
        Levenshtein (1966), by the dynamic program of Wagner and Fischer (1974).

    Example:
        >>> edit_distance([1, 2, 3], [1, 3, 4])
        2
    """
    row = list(range(len(hypothesis) + 1))
    for above, one in enumerate(reference, 1):
        before, row[0] = row[0], above
        for at, other in enumerate(hypothesis, 1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (one != other))
    return row[-1]


def _strip_stress(phone: str) -> str:
    return phone[:-1] if len(phone) > 1 and phone[-1] in "012" else phone


def _count_errors(reference: Sequence[Hashable], hypothesis: Sequence[Hashable], unit: str) -> ErrorCounts:
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise MissingDependencyError("error rates need rapidfuzz; run pip install 'vocable[metrics]'") from error
    numbers: dict[Hashable, int] = {}  # rapidfuzz compares hashes, which could collide; small integers cannot
    sides = [[numbers.setdefault(item, len(numbers)) for item in items] for items in (reference, hypothesis)]
    tags = [step.tag for step in Levenshtein.editops(*sides)]
    substitutions, deletions, insertions = (tags.count(tag) for tag in ("replace", "delete", "insert"))
    return ErrorCounts(
        hits=len(sides[0]) - substitutions - deletions,
        substitutions=substitutions,
        deletions=deletions,
        insertions=insertions,
        unit=unit,
    )
