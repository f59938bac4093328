"""English text to spoken words and pauses: numbers, abbreviations and signs are written out.

This is the normalization for synthesis. :mod:`vocable.metrics.text` has the one for scoring, where ``12`` stays ``12``.
Both fold the text first (:mod:`vocable.text.fold`). The rules stand in the order in which they are tried:
:data:`~vocable.text.dates.DATES`, :data:`~vocable.text.addresses.ADDRESSES`,
:data:`~vocable.text.quantities.QUANTITIES`, :data:`~vocable.text.abbreviations.ABBREVIATIONS`, words, signs.
"""

import re
import unicodedata
from collections.abc import Container

from vocable.errors import TextError
from vocable.text.abbreviations import ABBREVIATIONS, WORDS
from vocable.text.addresses import ADDRESSES
from vocable.text.dates import DATES
from vocable.text.fold import fold_latin
from vocable.text.quantities import QUANTITIES, SIGNS
from vocable.text.rules import Context, Rule, rule

PAUSES = ",;:.?!"
"""Punctuation marks that are kept as pauses."""

_MAX_CHARACTERS = 100_000
_STRENGTH = {mark: strength for strength, mark in enumerate(PAUSES)}  # of adjacent marks, the strongest is kept
_GREEK = re.compile(r"GREEK (?:SMALL|CAPITAL) LETTER (?:FINAL )?([A-Z]+)")
_MARKS: tuple[Rule, ...] = (
    rule(
        rf"[{PAUSES}()\[\]{{}}–—]|(?<=\s)--?(?=\s)|--+",
        lambda match, _: [match[0] if match[0] in _STRENGTH else ","],
    ),
    rule(r"(?<!\S)[•‣◦▪·](?!\S)|(?<![^\n])\*(?=\s)", lambda *_: [","]),  # items of lists
    rule(f"[{''.join(SIGNS)}]", lambda match, _: SIGNS[match[0]].split()),
    rule(r"[\s\"'/_-]", lambda *_: []),
)
_RULES: tuple[tuple[Rule, bool], ...] = tuple(
    (one, rules in (DATES, QUANTITIES)) for rules in (DATES, ADDRESSES, QUANTITIES, ABBREVIATIONS, WORDS, _MARKS)
    for one in rules
)  # fmt: skip


def to_words(text: str, known: Container[str] = frozenset(), compounds: Container[str] = frozenset()) -> list[str]:
    """Return the words of a text in lower case, and its pauses.

    Numbers, ranges, fractions, exponents, amounts, units, dates, times, versions, telephone numbers, web addresses,
    Roman numerals, common abbreviations and signs are written out. A number of four digits from 1100 to 2099 is read
    as a year. A month before a day is assumed in dates such as 3/4/2024. Other compounds are split at hyphens. A
    letter that is read by its name ends in a dot, as in the CMU dictionary. Such are initials, and unknown words in
    capitals of at most five letters, if the text has lower-case letters or the word has no vowel. Accents, quotation
    marks and the signs of trademarks are dropped. Brackets and dashes become commas.

    Args:
        text: English text of at most 100,000 characters.
        known: Words of a dictionary, in lower case.
        compounds: Words with hyphens of a dictionary, in lower case, which are not split.

    Returns:
        Words of ``a`` to ``z`` and apostrophes, and compounds; each pause is one of :data:`PAUSES`. The first item is
        a word. Of adjacent pauses only the strongest is kept.

    Raises:
        TextError: If the text is too long or has no words, or a sign that cannot be read in English.

    Example:
        >>> to_words("Dr. Smith paid $5.50 -- on the 3rd!")
        ['doctor', 'smith', 'paid', 'five', 'dollars', 'fifty', 'cents', ',', 'on', 'the', 'third', '!']
        >>> to_words("The BBC's well-known Café, est. 1984", known={"est"})
        ['the', 'b.', 'b.', "c.'s", 'well', 'known', 'cafe', ',', 'est', '.', 'nineteen', 'eighty', 'four']
        >>> " ".join(to_words("100–200 km², 3½ at -$5, 10 AM"))
        'one hundred to two hundred square kilometers , three and a half at minus five dollars , ten a. m.'
    """
    if len(text) > _MAX_CHARACTERS:
        raise TextError(f"the text has {len(text)} characters, more than {_MAX_CHARACTERS}; cut it")
    folded = fold_latin(text)
    context = Context(known, compounds, any(character.islower() for character in folded))
    at = 0
    while at < len(folded):
        at, words, context.after_quantity = _read(folded, at, context, text)
        for word in words:
            _append(context.words, word)
    if not context.words:
        raise TextError(f"text {text[:40]!r}: there is nothing in it to say; give words")
    return context.words


def _read(folded: str, at: int, context: Context, text: str) -> tuple[int, list[str], bool]:
    """Return the end of what is read at a position, its words, and whether it is a quantity."""
    for one, is_quantity in _RULES:
        match = one.pattern.match(folded, at)
        if match is None or match.end() == at:
            continue
        try:
            words = one.read(match, context)
            if words is not None:
                return match.end(), list(words), context.after_quantity if match[0].isspace() else is_quantity
        except TextError as error:
            raise TextError(f"text {text[:40]!r}: {error}") from error
    name = _greek_letter(folded, at)
    if name is None:
        character = folded[at]
        called = unicodedata.name(character, "").lower()
        raise TextError(
            f"text {text[:40]!r}: {character!r} (U+{ord(character):04X}{called and ', '}{called}) cannot be said in "
            "English; write it out in letters, take it away, or give the phonemes"
        )
    return at + 1, [name], False


def _append(words: list[str], word: str) -> None:
    """Append a word, or a pause if it is stronger than the one before."""
    if word not in _STRENGTH or (words and words[-1] not in _STRENGTH):
        words.append(word)
    elif words and _STRENGTH[word] > _STRENGTH[words[-1]]:
        words[-1] = word


def _greek_letter(text: str, at: int) -> str | None:
    """Return the name of a Greek letter that stands alone, as in formulas; None for other characters."""
    match = _GREEK.fullmatch(unicodedata.name(text[at], ""))
    neighbors = text[max(0, at - 1) : at] + text[at + 1 : at + 2]
    if match is None or any("GREEK" in unicodedata.name(one, "") for one in neighbors):
        return None
    return {"lamda": "lambda"}.get(match[1].lower(), match[1].lower())
