"""A rule of normalization: a pattern, and the words that its matches are read as."""

import re
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

from vocable.text import numbers

GROUPED = (
    r"\d{1,3}(?:,\d{3})+(?![\d])|\d{1,2}(?:,\d{2})+,\d{3}(?!\d)|\d{1,3}(?:['_]\d{3})+(?!\d)"
    r"|\d{1,3}(?:\ \d{3})*\ 000(?!\d)"
)
"""Pattern of a whole number with separators between groups of digits, also in the Indian and Swiss ways.

A plain space separates groups only if the last one is 000."""

NUMBER = rf"(?:(?:{GROUPED}|\d+)(?:\.\d+)?|(?<![.\d])\.\d+)"
"""Pattern of a number with or without separators and decimal point."""

SCALES = {
    "thousand": "thousand", "million": "million", "billion": "billion", "trillion": "trillion", "k": "thousand",
    "mn": "million", "mio": "million", "bn": "billion", "tn": "trillion", "m": "million", "b": "billion",
}  # fmt: skip
"""Words and abbreviations of powers of 1,000 after an amount of money, in lower case."""


@dataclass
class Context:
    """Dictionary and words so far, which a reader may look at beside its match.

    Attributes:
        known: Words of the dictionary.
        compounds: Words of the dictionary with hyphens.
        is_mixed: Whether the text has lower-case letters, so that capitals mean something.
        words: Words read so far.
        after_quantity: Whether the match before, but for white space, was a quantity.
    """

    known: Container[str] = frozenset()
    compounds: Container[str] = frozenset()
    is_mixed: bool = True
    words: list[str] = field(default_factory=list)
    after_quantity: bool = False

    @property
    def last(self) -> str:
        """Last word read so far, or nothing."""
        return self.words[-1] if self.words else ""


Reader = Callable[[re.Match[str], Context], Iterable[str] | None]


@dataclass(frozen=True)
class Rule:
    """A pattern that is tried at a position of the folded text, and its reader, which returns None to decline."""

    pattern: re.Pattern[str]
    read: Reader


def rule(pattern: str, read: Reader) -> Rule:
    """Make a rule of a verbose pattern in which only ASCII characters are digits and letters."""
    return Rule(re.compile(pattern, re.VERBOSE | re.ASCII), read)


def plain(number: str) -> str:
    """Return a number without the separators of its groups."""
    return re.sub("[,'_ ]", "", number)


def say(number: str) -> list[str]:
    """Return the words of a matched :data:`NUMBER`."""
    return numbers.decimal(plain(number))


def rest_of(match: re.Match[str]) -> str:
    """Return the text after a match, without white space before it."""
    return match.string[match.end() : match.end() + 80].lstrip()


def is_singular(number: str) -> bool:
    """Return True for the number that a noun in the singular stands after."""
    return number == "1"
