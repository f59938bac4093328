"""One spelling for characters that look or read alike: the step before numbers are told from words.

Synthesis (:mod:`vocable.text.normalize`) and error rates (:mod:`vocable.metrics.text`) both begin with it. Unicode's
compatibility forms (NFKC) alone would make ``31⁄2`` of ``3½`` and ``102`` of ``10²``.
"""

import re
import unicodedata

_APOSTROPHES = dict.fromkeys("’‘ʼ＇`´‛", "'")
_QUOTES = dict.fromkeys("“”„‟«»‹›", '"')
_HYPHENS = {**dict.fromkeys("‐‑‒⁃", "-"), **dict.fromkeys("―⸺⸻", "—")}  # the minus sign and en dashes stay
_SIGNS = {"…": " ... ", "‥": " ... ", "™": " ", "℠": " ", "º": "°", "˚": "°", "\u2044": "/"}
_TABLE = str.maketrans({**_APOSTROPHES, **_QUOTES, **_HYPHENS, **_SIGNS})
_KEPT = frozenset("ªᵃ″‴′№")  # NFKC makes letters or pairs of them
_VISIBLE_FORMAT = re.compile("[\u0600-\u0605\u06dd\u070f\u0890-\u0891\u08e2\U000110bd\U000110cd]")  # Arabic signs
_INVISIBLE = re.compile("(?<=(.))[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+(?=(.))")
_VARIATIONS = re.compile("[\ufe00-\ufe0f]")  # selectors of text or picture
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ]+")
_SPLIT_FRACTION = re.compile("([⁰¹²³⁴⁵⁶⁷⁸⁹]+)[\u2044/]([₀₁₂₃₄₅₆₇₈₉]+)")
_ORDINAL_ENDINGS = {"ˢᵗ": "st", "ⁿᵈ": "nd", "ʳᵈ": "rd", "ᵗʰ": "th", "ᵉʳ": "er"}
_GROUP_SPACE = re.compile("(?<![\\d.,])(\\d{1,3})((?:[\u00a0\u2009\u202f]\\d{3})+)(?!\\d)")
_ONE_CHARACTER_NUMBERS = ("No", "Nl")  # categories: ½, ①, Ⅳ
_SYMBOLS = ("So", "Sc")  # categories: ㎏, ₨


def fold(text: str) -> str:
    r"""Return a text with one form of each quotation mark, space, dash, digit and number, in any language.

    Apostrophes become ``'`` and quotation marks ``"``. Full-width and styled letters and digits become plain. A
    superscript becomes ``^`` and its digits, a fraction of one character ``1/2``, and a number of one character (``①``,
    ``Ⅳ``) or a symbol that stands for letters (``㎏``) is set apart from its neighbors. Thin and no-break spaces
    between groups of three digits become commas. Trademarks, soft hyphens, joiners, marks of direction and other
    invisible characters vanish; between two digits they become a space. Letters keep case and accents.

    Example:
        >>> fold("3½ “ｋｍ”, 10² Apple™ it’s 5…6")
        '3 1/2 "km", 10^2 Apple  it\'s 5 ... 6'
        >>> fold("1\u200b2, 10\u202f000, co\u00adop")
        '1 2, 10,000, coop'
    """
    if text.isascii() and "`" not in text:
        return text
    text = _GROUP_SPACE.sub(lambda match: match[1] + re.sub(r"\s", ",", match[2]), text)
    text = _INVISIBLE.sub(lambda match: " " if all(map(_is_number, match.groups())) else "", text)
    text = _SPLIT_FRACTION.sub(lambda match: " " + unicodedata.normalize("NFKC", f"{match[1]}/{match[2]}"), text)
    for ending, letters in _ORDINAL_ENDINGS.items():
        text = text.replace(ending, letters)
    text = "".join(
        _apart(text, at, _expand(one))
        if unicodedata.category(one) in _SYMBOLS and _expand(one) != one
        else _expand(one)
        for at, one in enumerate(text)
    )
    text = _SUPERSCRIPTS.sub(lambda match: "^" + unicodedata.normalize("NFKC", match[0]).replace("−", "-"), text)
    text = "".join(_one_character(text, at) for at, character in enumerate(text) if not _VARIATIONS.match(character))
    return unicodedata.normalize("NFC", text.translate(_TABLE))


def _is_number(character: str) -> bool:
    """Return whether a character is a digit, a fraction, or another number of one character, but no exponent."""
    return unicodedata.category(character) in ("Nd", "Nl", "No") and not _SUPERSCRIPTS.match(character)


def fold_latin(text: str) -> str:
    """Return a folded text without accents on Latin letters, and with ``ss`` for ``ß``, ``ae`` for ``æ`` and so on.

    Example:
        >>> fold_latin("naïve Café, Straße")
        'naive Cafe, Strasse'
    """
    kept: list[str] = []
    for character in unicodedata.normalize("NFD", fold(text).translate(_LATIN)):
        is_accent = unicodedata.category(character) == "Mn"
        if not (is_accent and kept and kept[-1].isascii() and kept[-1].isalpha()):
            kept.append(character)
    return "".join(kept)


_LATIN = str.maketrans({
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D",
    "ł": "l", "Ł": "L", "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th", "ı": "i",
})  # fmt: skip


def _expand(character: str) -> str:
    """Expand a character that stands for several, such as ``㎡`` or ``℃``, and keep superscripts in it."""
    if character in _SIGNS or character in _APOSTROPHES:
        return character
    tag, _, codes = unicodedata.decomposition(character).partition(" ")
    if tag in ("<square>", "<compat>") and unicodedata.category(character) not in _ONE_CHARACTER_NUMBERS:
        parts = "".join(chr(int(code, 16)) for code in codes.split())
        if character not in _KEPT and parts.strip() and unicodedata.category(parts[0])[0] != "M":
            return "".join(map(_expand, parts))
    return character


def _one_character(text: str, at: int) -> str:
    """Return the plain form of a character, given what stands beside it."""
    character = text[at]
    category = unicodedata.category(character)
    if category == "Cf":
        return character if _VISIBLE_FORMAT.match(character) else ""
    if character in "№ª":
        return _apart(text, at, character)
    if character in _KEPT or character in _SIGNS or character in _APOSTROPHES:
        return character
    plain = unicodedata.normalize("NFKC", character)
    if category in _SYMBOLS and plain[:1].isalnum():
        return _apart(text, at, plain)
    if category in _ONE_CHARACTER_NUMBERS and plain != character:
        is_subscript = unicodedata.decomposition(character).startswith("<sub>")
        if is_subscript and not text[max(0, at - 1) : at].isdecimal():
            return plain  # H₂O
        return _apart(text, at, plain.replace("\u2044", "/"))
    return plain


def _apart(text: str, at: int, form: str) -> str:
    """Return a form of the character at a position with spaces between it and letters and digits beside it."""
    before, after = (" " if one.isalnum() else "" for one in (text[max(0, at - 1) : at], text[at + 1 : at + 2]))
    return before + form + after
