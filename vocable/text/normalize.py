"""English text to spoken words and pauses: numbers, abbreviations and signs are written out.

This is the normalization for synthesis. :mod:`vocable.metrics.text` has the one for scoring, where ``12`` stays ``12``.
"""

import re
import unicodedata
from collections.abc import Callable, Container, Iterable, Iterator

from vocable.errors import TextError
from vocable.text import numbers

PAUSES = ",;:.?!"
"""Punctuation marks that are kept as pauses."""

_STRENGTH = {mark: strength for strength, mark in enumerate(PAUSES)}  # of adjacent marks, the strongest is kept
_TITLES = {
    "mr": "mister", "mrs": "missus", "ms": "ms", "dr": "doctor", "st": "saint", "prof": "professor", "rev": "reverend",
    "capt": "captain", "col": "colonel", "gen": "general", "lt": "lieutenant", "sgt": "sergeant", "gov": "governor",
    "sen": "senator", "mt": "mount",
}  # fmt: skip
_ABBREVIATIONS = {
    "jr": "junior", "sr": "senior", "vs": "versus", "etc": "etcetera", "approx": "approximately", "dept": "department",
    "co": "company", "corp": "corporation", "inc": "incorporated", "ltd": "limited", "ave": "avenue",
    "blvd": "boulevard", "rd": "road", "jan": "january", "feb": "february", "aug": "august", "sept": "september",
    "oct": "october", "nov": "november", "dec": "december",
}  # fmt: skip
_STREETS = {"st": "street", "dr": "drive"}
_LATIN = {"e.g.": "for example", "i.e.": "that is"}
_UNITS = {
    "km": "kilometers", "cm": "centimeters", "mm": "millimeters", "kg": "kilograms", "hz": "hertz", "khz": "kilohertz",
    "mph": "miles per hour", "lb": "pounds", "lbs": "pounds", "gb": "gigabytes", "mb": "megabytes",
}  # fmt: skip
_SIGNS = {"&": "and", "@": "at", "+": "plus", "=": "equals", "%": "percent", "°": "degrees", "#": "number"}
_AMOUNTS = {"%", "°"}  # signs after a number that is no year
_FOLDED = str.maketrans({
    **dict.fromkeys("’‘ʼ＇`´", "'"), **dict.fromkeys("‐‑‒−", "-"), **dict.fromkeys("–—―", ","), "…": ".",
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D",
    "ł": "l", "Ł": "L", "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th", "ı": "i",
})  # fmt: skip
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+"
_TOKEN = re.compile(
    rf"""
      (?P<time>(?<![\d.,:])(?:[01]?\d|2[0-3]):[0-5]\d(?![\d:]))
    | (?P<money>[$£€¥])\s?(?P<amount>{_NUMBER})(?:\s?(?P<scale>(?i:thousand|million|billion|trillion))\b)?
    | (?P<ordinal>\d{{1,3}}(?:,\d{{3}})+|\d+)(?i:st|nd|rd|th)\b
    | (?P<decade>1[1-9]\d0|20\d0)'?s\b | '?(?P<tens>[2-9]0)'?s\b
    | (?P<fraction>(?<![\d/])\d{{1,3}}/\d{{1,3}}(?![\d/]))
    | (?P<minus>(?<![\w)])-(?=\.?\d))
    | (?P<number>{_NUMBER})(?:\s?(?P<unit>(?i:{"|".join(sorted(_UNITS, key=len, reverse=True))}))\b)?
    | (?P<initials>(?:[A-Za-z]\.){{2,}}|\b[A-Z]\.)
    | (?P<word>'?[A-Za-z]+(?:'[A-Za-z]+)*'?)(?P<dot>\.)?
    | (?P<pause>[{PAUSES}()\[\]{{}}]|(?<=\s)--?(?=\s)|--+)
    | (?P<sign>[{"".join(_SIGNS)}])
    | (?P<ignored>[\s"“”„«»‹›'/_-])
    """,
    re.VERBOSE | re.ASCII,
)


def to_words(text: str, known: Container[str] = frozenset()) -> list[str]:
    """Return the words of a text in lower case, and its pauses.

    Numbers, amounts, times, common abbreviations and signs are written out. A number of four digits from 1100 to 2099
    is read as a year. Compounds are split at hyphens. A letter that is read by its name ends in a dot, as in the CMU
    dictionary. Such are initials, and unknown words in capitals of at most five letters, if the text has lower-case
    letters or the word has no vowel. Accents and quotation marks are dropped. Brackets and dashes become commas.

    Args:
        text: English text.
        known: Words of a dictionary, in lower case.

    Returns:
        Words of ``a`` to ``z`` and apostrophes; each pause is one of :data:`PAUSES`. The first item is a word. Of
        adjacent pauses only the strongest is kept.

    Raises:
        TextError: If the text has no words, or a symbol that cannot be read in English.

    Example:
        >>> to_words("Dr. Smith paid $5.50 -- on the 3rd!")
        ['doctor', 'smith', 'paid', 'five', 'dollars', 'fifty', 'cents', ',', 'on', 'the', 'third', '!']
        >>> to_words("The BBC's well-known Café, est. 1984", known={"est"})
        ['the', 'b.', 'b.', "c.'s", 'well', 'known', 'cafe', ',', 'est', '.', 'nineteen', 'eighty', 'four']
    """
    folded = _fold(text)
    mixed = any(character.islower() for character in folded)
    words: list[str] = []
    at = 0
    while at < len(folded):
        match = _TOKEN.match(folded, at)
        if match is None:
            raise TextError(
                f"text {text[:40]!r}: {folded[at]!r} (U+{ord(folded[at]):04X}) cannot be said in English; write it "
                "out in letters, take it away, or give the phonemes"
            )
        kind = next(name for name, value in match.groupdict().items() if value is not None)
        for word in _READERS[kind](match, known, mixed):
            if word not in _STRENGTH or (words and words[-1] not in _STRENGTH):
                words.append(word)
            elif words and _STRENGTH[word] > _STRENGTH[words[-1]]:
                words[-1] = word
        at = match.end()
    if not words:
        raise TextError(f"text {text[:40]!r}: there is nothing in it to say; give words")
    return words


def _fold(text: str) -> str:
    """Unify compatible forms, apostrophes and dashes; drop invisible characters and accents on Latin letters."""
    folded = unicodedata.normalize("NFKC", text.translate(_FOLDED)).replace("\u2044", "/").translate(_FOLDED)
    kept: list[str] = []
    for character in unicodedata.normalize("NFD", folded):
        category = unicodedata.category(character)
        if category == "Cf" or (category == "Mn" and kept and kept[-1].isascii() and kept[-1].isalpha()):
            continue
        kept.append(character)
    return "".join(kept)


_READERS: dict[str, Callable[[re.Match[str], Container[str], bool], Iterable[str]]] = {
    "time": lambda match, *_: numbers.clock(*match["time"].split(":")),
    "money": lambda match, *_: numbers.money(
        match["money"], match["amount"].replace(",", ""), (match["scale"] or "").lower()
    ),
    "ordinal": lambda match, *_: numbers.ordinal(match["ordinal"].replace(",", "")),
    "decade": lambda match, *_: numbers.plural(numbers.year(match["decade"])),
    "tens": lambda match, *_: numbers.plural(numbers.cardinal(match["tens"])),
    "fraction": lambda match, *_: numbers.fraction(*match["fraction"].split("/")),
    "minus": lambda *_: ["minus"],
    "number": lambda match, *_: _number(match),
    "initials": lambda match, *_: _initials(match),
    "word": lambda match, known, mixed: _word(match, known, mixed),
    "pause": lambda match, *_: [match["pause"] if match["pause"] in _STRENGTH else ","],
    "sign": lambda match, *_: [_SIGNS[match["sign"]]],
    "ignored": lambda *_: [],
}


def _number(match: re.Match[str]) -> Iterator[str]:
    text = match["number"]
    next_character = match.string[match.end() :].lstrip()[:1]
    may_be_year = len(text) == 4 and text.isdigit() and "1100" <= text <= "2099"
    if may_be_year and not match["unit"] and next_character not in _AMOUNTS:
        yield from numbers.year(text)
    else:
        yield from numbers.decimal(text.replace(",", ""))
    if match["unit"]:
        yield from _UNITS[match["unit"].lower()].split()


def _initials(match: re.Match[str]) -> Iterator[str]:
    text = match["initials"]
    if text.lower() in _LATIN:
        yield from _LATIN[text.lower()].split()
    else:
        yield from (f"{letter.lower()}." for letter in text if letter != ".")
    if not match.string[match.end() :].strip():
        yield "."


def _word(match: re.Match[str], known: Container[str], mixed: bool) -> Iterator[str]:
    text, dotted = match["word"], match["dot"] is not None
    word = text.lower()
    rest = match.string[match.end() :].lstrip()
    before_name = rest[:1].isupper() and (mixed or dotted)
    expansion = None
    if word in _TITLES and (dotted or (text[0].isupper() and before_name)):
        expansion = _TITLES[word] if before_name or word not in _STREETS else _STREETS[word]
    elif word == "no" and dotted and rest[:1].isdigit():
        expansion = "number"
    elif word in _ABBREVIATIONS and dotted:
        expansion = _ABBREVIATIONS[word]
    if expansion is not None:
        yield expansion
    else:
        yield from _plain_word(text, known, mixed)
    if dotted and (expansion is None or not rest):
        yield "."


def _plain_word(text: str, known: Container[str], mixed: bool) -> Iterator[str]:
    """Yield the word without outer apostrophes, or its letters if it is an abbreviation in capitals."""
    word = text.lower()
    stripped = word.strip("'")
    variants = (word, word.rstrip("'"), word.lstrip("'"), stripped)
    variant = next((one for one in variants if one in known), stripped)
    stem, _, ending = text.strip("'").partition("'")
    if variant in known or not stem.isupper() or not 2 <= len(stem) <= 5 or stem.lower() in known:
        yield variant
    elif mixed or not set(stem) & set("AEIOUY"):
        *letters, last = (f"{letter.lower()}." for letter in stem)
        yield from letters
        yield f"{last}'{ending.lower()}" if ending else last
    else:
        yield variant
