"""English text to the words that are said, and the marks one pauses at.

For speaking, where :func:`vocable.metrics.text.normalise` is for scoring: there ``12`` stays ``12``.
"""

import re
import unicodedata
from collections.abc import Callable, Container, Iterator

from vocable.errors import TextError
from vocable.text import numbers

PAUSES = ",;:.?!"
"""Marks that are kept as pauses, each an item of its own."""

_STRENGTH = {mark: strength for strength, mark in enumerate(PAUSES)}  # the strongest of neighbours stays
_TITLES = {
    "mr": "mister", "mrs": "missus", "ms": "ms", "dr": "doctor", "st": "saint", "prof": "professor", "rev": "reverend",
    "capt": "captain", "col": "colonel", "gen": "general", "lt": "lieutenant", "sgt": "sergeant", "gov": "governor",
    "sen": "senator", "mt": "mount",
}  # fmt: skip
_SHORT = {
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
_AMOUNTS = {"%", "°"}  # signs behind a number that is no year
_ALIKE = str.maketrans({
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
    | (?P<nothing>[\s"“”„«»‹›'/_-])
    """,
    re.VERBOSE | re.ASCII,
)


def to_words(text: str, known: Container[str] = frozenset()) -> list[str]:
    """The words of a text in lower case, and its pauses.

    Numbers, amounts, times, common abbreviations and signs are written out; a number of four digits from 1100 to 2099
    is read as a year. Compounds are parted at hyphens. Letters said by their names end in a dot, as in the CMU
    dictionary: initials, and words in capitals that are not known, if they have five letters at most and stand in a
    text with small letters, or have no vowel. Accents are dropped. Quotation marks are nothing; brackets and dashes are
    commas.

    Args:
        text: English.
        known: Words that a dictionary has, in lower case.

    Returns:
        Words of ``a`` to ``z`` and apostrophes, each pause one of :data:`PAUSES`. It begins with a word, and of
        neighbouring pauses only the strongest is left.

    Raises:
        TextError: Nothing in it can be said, or it has a symbol that is none of these.

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
        found = _TOKEN.match(folded, at)
        if found is None:
            raise TextError(
                f"text {_brief(text)}: {folded[at]!r} (U+{ord(folded[at]):04X}) cannot be said in English; write it "
                "out in letters, take it away, or give the phonemes"
            )
        for word in _READERS[str(_kind(found))](found, known, mixed):
            if word not in _STRENGTH or (words and words[-1] not in _STRENGTH):
                words.append(word)
            elif words and _STRENGTH[word] > _STRENGTH[words[-1]]:
                words[-1] = word
        at = found.end()
    if not words:
        raise TextError(f"text {_brief(text)}: there is nothing in it to say; give words")
    return words


def _fold(text: str) -> str:
    """Compatible forms, one shape of apostrophe and dash, no invisible characters, no accents on Latin letters."""
    alike = unicodedata.normalize("NFKC", text.translate(_ALIKE)).replace("\u2044", "/").translate(_ALIKE)
    kept: list[str] = []
    for character in unicodedata.normalize("NFD", alike):
        category = unicodedata.category(character)
        if category == "Cf" or (category == "Mn" and kept and kept[-1].isascii() and kept[-1].isalpha()):
            continue
        kept.append(character)
    return "".join(kept)


def _kind(found: re.Match[str]) -> str:
    return next(name for name, value in found.groupdict().items() if value is not None)


Reader = Callable[[re.Match[str], Container[str], bool], Iterator[str]]
_READERS: dict[str, Reader] = {
    "time": lambda found, *_: iter(numbers.clock(*found["time"].split(":"))),
    "money": lambda found, *_: iter(
        numbers.money(found["money"], found["amount"].replace(",", ""), (found["scale"] or "").lower())
    ),
    "ordinal": lambda found, *_: iter(numbers.ordinal(found["ordinal"].replace(",", ""))),
    "decade": lambda found, *_: iter(numbers.plural(numbers.year(found["decade"]))),
    "tens": lambda found, *_: iter(numbers.plural(numbers.cardinal(found["tens"]))),
    "fraction": lambda found, *_: iter(numbers.fraction(*found["fraction"].split("/"))),
    "minus": lambda *_: iter(["minus"]),
    "number": lambda found, *_: _number(found),
    "initials": lambda found, *_: _initials(found),
    "word": lambda found, known, mixed: _word(found, known, mixed),
    "pause": lambda found, *_: iter([found["pause"] if found["pause"] in _STRENGTH else ","]),
    "sign": lambda found, *_: iter([_SIGNS[found["sign"]]]),
    "nothing": lambda *_: iter([]),
}


def _number(found: re.Match[str]) -> Iterator[str]:
    text = found["number"]
    after = found.string[found.end() :].lstrip()[:1]
    four = len(text) == 4 and text.isdigit() and "1100" <= text <= "2099"
    if four and not found["unit"] and after not in _AMOUNTS:
        yield from numbers.year(text)
    else:
        yield from numbers.decimal(text.replace(",", ""))
    if found["unit"]:
        yield from _UNITS[found["unit"].lower()].split()


def _initials(found: re.Match[str]) -> Iterator[str]:
    text = found["initials"]
    if text.lower() in _LATIN:
        yield from _LATIN[text.lower()].split()
    else:
        yield from (f"{letter.lower()}." for letter in text if letter != ".")
    if not found.string[found.end() :].strip():
        yield "."


def _word(found: re.Match[str], known: Container[str], mixed: bool) -> Iterator[str]:
    text, dotted = found["word"], found["dot"] is not None
    word = text.lower()
    after = found.string[found.end() :].lstrip()
    names = after[:1].isupper() and (mixed or dotted)
    full = None
    if word in _TITLES and (dotted or (text[0].isupper() and names)):
        full = _TITLES[word] if names or word not in _STREETS else _STREETS[word]
    elif word == "no" and dotted and after[:1].isdigit():
        full = "number"
    elif word in _SHORT and dotted:
        full = _SHORT[word]
    if full is not None:
        yield full
    else:
        yield from _plain(text, known, mixed)
    if dotted and (full is None or not after):
        yield "."


def _plain(text: str, known: Container[str], mixed: bool) -> Iterator[str]:
    word = text.lower()
    bare = word.strip("'")
    shapes = (word, word.rstrip("'"), word.lstrip("'"), bare)
    shape = next((shape for shape in shapes if shape in known), bare)
    stem, _, ending = text.strip("'").partition("'")
    if shape in known or not stem.isupper() or not 2 <= len(stem) <= 5 or stem.lower() in known:
        yield shape
    elif mixed or not set(stem) & set("AEIOUY"):
        *before, last = (f"{letter.lower()}." for letter in stem)
        yield from before
        yield f"{last}'{ending.lower()}" if ending else last
    else:
        yield shape


def _brief(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
