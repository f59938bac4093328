"""Rules for addresses and numbers that name something: web addresses, hashtags, telephone numbers, versions."""

import re
from collections.abc import Iterator

from vocable.text import numbers
from vocable.text.rules import Context, Rule, rule

_MARKS = {
    ".": "dot", "/": "slash", ":": "colon", "-": "dash", "_": "underscore", "@": "at", "?": "question mark",
    "=": "equals", "&": "and", "%": "percent", "+": "plus", "#": "hash", "~": "tilde",
}  # fmt: skip
_LAST_PARTS = (
    "com|org|net|edu|gov|mil|int|io|ai|co|uk|de|fr|ch|at|eu|us|ca|au|jp|cn|in|it|es|nl|se|no|info|dev|app|me|tv|xyz"
)
_PATH = r"(?:[/?#][\w\-.~/?#=&%+:@]*[\w/=~])?"
_HOST = rf"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+(?:{_LAST_PARTS})(?![\w-])"
_PARTS = re.compile(r"[A-Za-z]+|\d+|.")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ALONE = 2  # digits of a number in an address that is not read digit by digit


def read_address(match: re.Match[str], context: Context) -> Iterator[str]:
    """Yield the words of a web or mail address, its marks by their names."""
    for part in _PARTS.findall(match[0]):
        if part in _MARKS:
            yield from _MARKS[part].split()
        elif part.isdigit():
            yield from numbers.digits(part) if len(part) > _ALONE else numbers.cardinal(part)
        else:
            yield from address_word(part, context)


def address_word(part: str, context: Context) -> Iterator[str]:
    """Yield a word of an address, or the letters of a part that nobody can say, such as ``www``."""
    word = part.lower()
    if len(word) > 1 and (
        word in context.known or (set(word) & set("aeiouy") and word not in ("io", "ai", "uk", "edu"))
    ):
        yield word
    else:
        yield from (f"{letter}." for letter in word)


def read_tag(match: re.Match[str], context: Context) -> Iterator[str]:
    """Yield the words of a hashtag or of a name after an at sign; capitals begin words."""
    yield "hashtag" if match[0][0] == "#" else "at"
    for part in _CAMEL.findall(match["name"]):
        if part.isdigit():
            yield from numbers.cardinal(part) if len(part) <= _ALONE else _year_or_digits(part)
        else:
            yield from address_word(part, context)


def _year_or_digits(text: str) -> list[str]:
    return numbers.year(text) if re.fullmatch(r"(1[1-9]|20)\d\d", text) else numbers.digits(text)


def read_groups(match: re.Match[str], context: Context) -> Iterator[str]:
    """Yield each digit of a telephone number or another number in groups, with a pause between the groups."""
    if match[0].startswith("+"):
        yield "plus"
    for at, group in enumerate(re.findall(r"\d+", match[0])):
        if at:
            yield ","
        yield from numbers.digits(group)


def read_version(match: re.Match[str], context: Context) -> Iterator[str]:
    """Yield the words of a version or of an internet address: numbers with a word for each point."""
    parts = match["parts"].split(".")
    if match["mark"]:
        yield f"{match['mark'].lower()}."
    if len(parts) > 2 and len(parts[0]) <= 3 and all(len(part) == 3 for part in parts[1:]) and not match["mark"]:
        yield from numbers.cardinal("".join(parts))  # 1.234.567: points between groups, as in German
        return
    point = "dot" if len(parts) == 4 else "point"
    for at, part in enumerate(parts):
        if at:
            yield point
        yield from numbers.cardinal(part)


ADDRESSES: tuple[Rule, ...] = (
    rule(rf"(?<![\w@.])(?:(?i:https?|ftp)://[\w.-]*\w(?::\d+)?{_PATH}|www\.[\w.-]*\w{_PATH})", read_address),
    rule(r"(?<![\w@.])[A-Za-z0-9][\w.+-]*@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}", read_address),
    rule(rf"(?<![\w@.]){_HOST}{_PATH}(?!\()", read_address),
    rule(r"(?<![\w&])[#@](?P<name>[A-Za-z]\w*)", read_tag),
    # telephone numbers: +1 (555) 123-4567, (555) 123-4567, 555-123-4567, 020 7946 0958, 555-1234
    rule(
        r"(?<![\w.+,-])(?:\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){2,6}|(?:\d[ -])?(?:\(\d{2,5}\)[ -]?|\d{3}[.-])\d{3}"
        r"[ .-]\d{4}|0\d{2,4}(?:[ -]\d{3,4}){2,3}|[2-9]\d[1-9]-\d{2}(?:\d[1-9]|[1-9]\d))(?![\w-]|[.,]\d)",
        read_groups,
    ),
    rule(r"(?<![\w.+,-])\d-\d{3}(?=-[A-Z])", read_groups),
    rule(r"(?<![\w.,-])\d+(?:-\d+){2,}(?![\w-]|[.,]\d)", read_groups),
    rule(r"(?<![\w.,])(?P<mark>[vV](?=\d+\.\d))?(?P<parts>\d+(?:\.\d+){2,})(?![\d]|\.\d)", read_version),
    rule(r"(?<![\w.,])(?P<mark>[vV])(?P<parts>\d+(?:\.\d+)*)(?![\w]|\.\d)", read_version),
)
