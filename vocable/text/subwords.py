"""Texts as words and subwords: the positions that text-aligned tokens follow.

A word is a run of letters and digits, with the apostrophes inside it: ``don't`` is one word, ``well-known`` two. In
scripts without spaces, such as Chinese and Japanese, every character is one. No subword reaches across words. Numbers
and abbreviations stay as they are written; :mod:`vocable.text.normalize` is the module that writes them out.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from vocable.errors import ConfigError, TextError

CASES = ("lower", "sentence", "as_is")
"""Treatments of case and punctuation. ``lower``: lower case, without punctuation. ``sentence``: lower case except for
the first letter. ``as_is``: unchanged. In the last two, punctuation stays with the word before it."""

_MAX_CHARACTERS = 100_000
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ＇`´", "'"))
_IDEOGRAMS = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_COMBINING = "".join(sign for sign in map(chr, range(0x300, 0x1E00)) if unicodedata.category(sign)[0] == "M")
_LETTER = rf"[^\W_{_IDEOGRAMS}]"
_TOKEN = re.compile(
    rf"(?P<space>\s*)(?:(?P<word>[{_IDEOGRAMS}][{_COMBINING}]*|{_LETTER}(?:{_LETTER}|[{_COMBINING}]|'(?={_LETTER}))*)"
    r"|(?P<mark>\S))"
)


@dataclass
class TextWord:
    """A word of a text.

    Attributes:
        letters: Letters and digits of the word.
        spaced: Whether white space precedes the word.
        marks: Punctuation between this word and the next, without white space.
    """

    letters: str
    spaced: bool
    marks: str = ""


@dataclass(frozen=True)
class Subwords:
    """A text as U subwords.

    Attributes:
        ids: Id of each subword.
        word_ids: Index of the word that each subword belongs to; starts at 0 and never decreases.
        texts: Letters of each subword.
    """

    ids: tuple[int, ...]
    word_ids: tuple[int, ...]
    texts: tuple[str, ...]

    @property
    def num_words(self) -> int:
        """Number of words."""
        return self.word_ids[-1] + 1

    @property
    def word_texts(self) -> tuple[str, ...]:
        """Letters of each word.

        Example:
            >>> Subwords(ids=(5, 6, 7), word_ids=(0, 0, 1), texts=("hel", "lo", "you")).word_texts
            ('hello', 'you')
        """
        words = [""] * self.num_words
        for word, text in zip(self.word_ids, self.texts, strict=True):
            words[word] += text
        return tuple(words)


@runtime_checkable
class SubwordTokenizer(Protocol):
    """A vocabulary of subwords and the rule that splits texts into them."""

    @property
    def size(self) -> int:
        """Size of the vocabulary: ids are in [0, size)."""

    def tokenize(self, text: str) -> Subwords:
        """Split a text into at least one subword.

        Raises:
            TextError: If the text has no letters, is too long, or has letters that no subword of the vocabulary has.
        """

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that :func:`~vocable.text.subword_tokenizers.subword_tokenizer_from_json` reads."""


def split_words(text: str, case: str) -> list[TextWord]:
    """Split a text into words, possibly none.

    Args:
        text: Text in any language, of at most 100,000 characters.
        case: One of :data:`CASES`.

    Raises:
        ConfigError: If the case is unknown.
        TextError: If the text is too long.

    Example:
        >>> [word.letters for word in split_words("'I DON’T,' she said", "lower")]
        ['i', "don't", 'she', 'said']
        >>> [word.letters + word.marks for word in split_words("A well-known, 東京!", "as_is")]
        ['A', 'well-', 'known,', '東', '京!']
    """
    check_case(case)
    if len(text) > _MAX_CHARACTERS:
        raise TextError(f"the text has {len(text)} characters, more than {_MAX_CHARACTERS}; cut it")
    folded = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
    words: list[TextWord] = []
    for match in _TOKEN.finditer(folded if case == "as_is" else folded.lower()):
        if match["word"]:
            words.append(TextWord(match["word"], bool(match["space"])))
        elif words and case != "lower" and match["mark"].isprintable():
            words[-1].marks += match["mark"]
    if words and case == "sentence":
        words[0].letters = words[0].letters[0].upper() + words[0].letters[1:]
    return words


def require_words(text: str, case: str) -> list[TextWord]:
    """Split a text into at least one word; see :func:`split_words`.

    Raises:
        TextError: If the text has no letters, or is too long.
        ConfigError: If the case is unknown.
    """
    words = split_words(text, case)
    if not words:
        raise TextError(f"text {text[:40]!r}: there are no letters in it; give words")
    return words


def check_case(case: str) -> None:
    """Check that a treatment of case is one of :data:`CASES`.

    Raises:
        ConfigError: If the case is unknown.
    """
    if case not in CASES:
        raise ConfigError(f"case is '{case}'; it is one of {', '.join(CASES)}")
