"""A text in pieces of words, whatever the pieces are."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from vocable.errors import TextError
from vocable.text.written import WrittenWord, written_words


@dataclass(frozen=True)
class Split:
    """A text in U pieces.

    Attributes:
        ids: Of the pieces.
        words: Which word each piece belongs to, from 0 on; never less than the one before.
        texts: The letters of each piece.
    """

    ids: tuple[int, ...]
    words: tuple[int, ...]
    texts: tuple[str, ...]

    @property
    def n_words(self) -> int:
        """How many words there are."""
        return self.words[-1] + 1

    @property
    def word_texts(self) -> tuple[str, ...]:
        """The words.

        Example:
            >>> Split(ids=(5, 6, 7), words=(0, 0, 1), texts=("hel", "lo", "you")).word_texts
            ('hello', 'you')
        """
        found = [""] * self.n_words
        for word, text in zip(self.words, self.texts, strict=True):
            found[word] += text
        return tuple(found)


@runtime_checkable
class Pieces(Protocol):
    """A table of pieces, and how a text is made of them."""

    @property
    def size(self) -> int:
        """Entries of the table: ids are in [0, size)."""
        ...

    def split(self, text: str) -> Split:
        """A text in pieces, one at least.

        Raises:
            TextError: There are no letters in it.
        """
        ...

    def to_json(self) -> dict[str, Any]:
        """What :func:`pieces_from_json` makes these pieces of."""
        ...


def words_to_split(text: str, case: str) -> list[WrittenWord]:
    """The words of a text, one at least.

    Raises:
        TextError: There are none, or too many letters.
        ConfigError: There is no such case.
    """
    words = written_words(text, case)
    if not words:
        raise TextError(f"text {text[:40]!r}: there are no letters in it; give words")
    return words
