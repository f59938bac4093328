"""Errors between what was said and what was heard: words, characters, phones.

Every function counts (hits, substitutions, deletions, insertions) and leaves the division to
:meth:`ErrorCounts.score`, whose weight is the length of the reference: the mean of many scores is then all errors
over all words, as the field reports it, and not the mean of the clips' rates.
"""

import math
import unicodedata
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from vocable.errors import ConfigError, MissingDependencyError
from vocable.metrics.score import Score, undefined

NORMALISER = "vocable-text-1"
_APOSTROPHES = dict.fromkeys(map(ord, "’‘ʼ＇`´"), "'")


@dataclass(frozen=True, kw_only=True)
class ErrorCounts:
    """What one text has in common with another, and not. Counts of several clips add up with ``+``.

    Attributes:
        hits: Units of the reference that were found.
        substitutions: Units of the reference that are another in the hypothesis.
        deletions: Units of the reference that are missing.
        insertions: Units of the hypothesis that no unit of the reference stands for.
        unit: What was counted: ``words``, ``characters`` or ``phones``.

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
        return ErrorCounts(
            hits=self.hits + other.hits,
            substitutions=self.substitutions + other.substitutions,
            deletions=self.deletions + other.deletions,
            insertions=self.insertions + other.insertions,
            unit=self.unit,
        )

    @property
    def reference(self) -> int:
        """Length of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def total(self) -> int:
        """Errors of all three kinds."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over the length of the reference: 0 is perfect, above 1 is possible; NaN for an empty reference."""
        return self.total / self.reference if self.reference else math.nan

    def score(self) -> Score:
        """The rate with its counts, weighing as much as the reference is long; undefined for an empty reference.

        Example:
            >>> wer("", "hello there").score().text(".2f")
            'undefined (the reference has no words; 2 were inserted)'
        """
        if not self.reference:
            return undefined(f"the reference has no {self.unit}; {self.insertions} were inserted")
        kinds = ("hits", "substitutions", "deletions", "insertions")
        return Score(self.rate, weight=float(self.reference), counts={kind: getattr(self, kind) for kind in kinds})


def normalise(text: str) -> str:
    """The text as both sides are compared: normaliser ``vocable-text-1``, whatever the language.

    In this order: Unicode NFKC; lower case (ä, ö, ü, ß and every other accent stay); apostrophes of all shapes become
    ``'`` and stay between two letters or digits (``don't``; elsewhere they are quotation marks); invisible
    characters (soft hyphens, joiners) vanish; letters with their marks and digits stay as they are (``12`` is not
    spelt out); all else becomes a space; runs of spaces become one, none at the ends.

    Example:
        >>> normalise("  “Don’t!” he said; it’s a well-known Straße, 3.5 km. ")
        "don't he said it's a well known straße 3 5 km"
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower())
    seen = [
        character
        for character in folded.translate(_APOSTROPHES)
        if unicodedata.category(character) != "Cf"
    ]  # fmt: skip
    word = [unicodedata.category(character)[0] in "LMN" for character in seen]
    kept = [
        character if here or (character == "'" and 0 < at < len(seen) - 1 and word[at - 1] and word[at + 1]) else " "
        for at, (character, here) in enumerate(zip(seen, word, strict=True))
    ]
    return " ".join("".join(kept).split())


def wer(reference: str, hypothesis: str, *, normaliser: Callable[[str], str] = normalise) -> ErrorCounts:
    """Word errors.

    Args:
        reference: What was said.
        hypothesis: What was heard.
        normaliser: Applied to both; ``str`` for none. Words are what white space separates.

    Raises:
        MissingDependencyError: rapidfuzz is not installed.

    Source:
        Levenshtein (1966), unit costs, aligned by rapidfuzz; the counts equal those of jiwer 4.

    Example:
        >>> wer("It’s a dog.", "it's the dog").score()
        Score(value=0.3333333333333333, reason='', weight=3.0)
    """
    return _count(normaliser(reference).split(), normaliser(hypothesis).split(), "words")


def cer(reference: str, hypothesis: str, *, normaliser: Callable[[str], str] = normalise) -> ErrorCounts:
    """Character errors; the space between words is a character, as in jiwer.

    Args:
        reference: What was said.
        hypothesis: What was heard.
        normaliser: Applied to both; ``str`` for none.

    Raises:
        MissingDependencyError: rapidfuzz is not installed.

    Source:
        As :func:`wer`.

    Example:
        >>> cer("a dog", "a do").rate
        0.2
    """
    return _count(normaliser(reference), normaliser(hypothesis), "characters")


def per(reference: Sequence[str], hypothesis: Sequence[str], *, strip_stress: bool = False) -> ErrorCounts:
    """Phone errors.

    Args:
        reference: Phones said, in any alphabet.
        hypothesis: Phones heard, in the same.
        strip_stress: Drop the stress marks of ARPAbet (the 0, 1, 2 behind a vowel) from both, for a recogniser that
            gives none.

    Raises:
        ConfigError: A phone sequence is one text.
        MissingDependencyError: rapidfuzz is not installed.

    Source:
        As :func:`wer`.

    Example:
        >>> per(["HH", "AH0", "L", "OW1"], ["HH", "AH", "L"], strip_stress=True)
        ErrorCounts(hits=3, substitutions=0, deletions=1, insertions=0, unit='phones')
    """
    for phones in (reference, hypothesis):
        if isinstance(phones, str):
            raise ConfigError(f"PER: {phones[:40]!r} is one text, but a list of phones is wanted; use text.split()")
    if strip_stress:
        reference, hypothesis = ([_unstressed(phone) for phone in phones] for phones in (reference, hypothesis))
    return _count(reference, hypothesis, "phones")


def edit_distance(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> int:
    """Return the number of substitutions, deletions and insertions between two sequences (Levenshtein).

    It needs no other package, so that training can log it.

    Example:
        >>> edit_distance([1, 2, 3], [1, 3, 4])
        2
    """
    costs = list(range(len(hypothesis) + 1))
    for row, expected in enumerate(reference, 1):
        diagonal, costs[0] = costs[0], row
        for column, found in enumerate(hypothesis, 1):
            diagonal, costs[column] = (
                costs[column],
                min(costs[column] + 1, costs[column - 1] + 1, diagonal + (expected != found)),
            )
    return costs[-1]


def _unstressed(phone: str) -> str:
    return phone[:-1] if len(phone) > 1 and phone[-1] in "012" else phone


def _count(reference: Sequence[Hashable], hypothesis: Sequence[Hashable], unit: str) -> ErrorCounts:
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise MissingDependencyError("error rates need rapidfuzz; run pip install 'vocable[metrics]'") from error
    numbers: dict[Hashable, int] = {}  # rapidfuzz compares hashes, which could collide; small integers cannot
    said, heard = ([numbers.setdefault(item, len(numbers)) for item in items] for items in (reference, hypothesis))
    kinds = [step.tag for step in Levenshtein.editops(said, heard)]
    substitutions, deletions, insertions = (kinds.count(kind) for kind in ("replace", "delete", "insert"))
    return ErrorCounts(
        hits=len(said) - substitutions - deletions,
        substitutions=substitutions,
        deletions=deletions,
        insertions=insertions,
        unit=unit,
    )
