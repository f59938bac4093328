"""A text as it is written, word by word; unlike ``vocable.text.normalize``, nothing is written out.

A word is a run of letters and digits, with the apostrophes inside it: ``don't`` is one word, ``well-known`` two. In
scripts without spaces, Chinese and Japanese, every character is one.
"""

import re
import unicodedata
from dataclasses import dataclass

from vocable.errors import ConfigError, TextError

CASES = ("lower", "sentence", "as_is")
"""What becomes of a text's letters. ``lower``: small ones, and no punctuation. ``sentence``: small ones but the first.
``as_is``: nothing. In the last two, marks stay with the word before them."""

_LONGEST = 100_000  # characters of a text
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ＇`´", "'"))
_ALONE = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SIGNS = "".join(sign for sign in map(chr, range(0x300, 0x1E00)) if unicodedata.category(sign)[0] == "M")
_LETTER = rf"[^\W_{_ALONE}]"
_TOKEN = re.compile(
    rf"(?P<space>\s*)(?:(?P<word>[{_ALONE}][{_SIGNS}]*|{_LETTER}(?:{_LETTER}|[{_SIGNS}]|'(?={_LETTER}))*)|(?P<mark>\S))"
)


@dataclass
class WrittenWord:
    """A word of a text.

    Attributes:
        letters: Of the word.
        spaced: Whether white space is before it.
        marks: What follows it up to the next word, without white space.
    """

    letters: str
    spaced: bool
    marks: str = ""


def written_words(text: str, case: str) -> list[WrittenWord]:
    """The words of a text, possibly none.

    Args:
        text: In any language.
        case: One of :data:`CASES`.

    Raises:
        ConfigError: There is no such case.
        TextError: The text is too long.

    Example:
        >>> [word.letters for word in written_words("'I DON’T,' she said", "lower")]
        ['i', "don't", 'she', 'said']
        >>> [word.letters + word.marks for word in written_words("A well-known, 東京!", "as_is")]
        ['A', 'well-', 'known,', '東', '京!']
    """
    check_case(case)
    if len(text) > _LONGEST:
        raise TextError(f"a text of {len(text)} characters: {_LONGEST} are the most; cut it")
    folded = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
    words: list[WrittenWord] = []
    for found in _TOKEN.finditer(folded if case == "as_is" else folded.lower()):
        if found["word"]:
            words.append(WrittenWord(found["word"], bool(found["space"])))
        elif words and case != "lower" and found["mark"].isprintable():
            words[-1].marks += found["mark"]
    if words and case == "sentence":
        words[0].letters = words[0].letters[0].upper() + words[0].letters[1:]
    return words


def check_case(case: str) -> None:
    """Refuse what is none of :data:`CASES`.

    Raises:
        ConfigError: It is none of them.
    """
    if case not in CASES:
        raise ConfigError(f"case is '{case}'; it is one of {', '.join(CASES)}")
