"""Text to phones: by a dictionary, then by rules, then by a model."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, runtime_checkable

from vocable.errors import TextError
from vocable.text.letters import LettersToPhones
from vocable.text.lexicon import Lexicon, Phones, phones_by_rule
from vocable.text.normalize import PAUSES, to_words
from vocable.text.phonemes import SILENCE, PhonemeSet

_SHOWN = 5  # words of a lexicon in a warning
_LETTER_NAMES = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY",
    "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW",
    "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S",
    "y": "W AY", "z": "Z IY",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pronunciation:
    """A word with its phones, or a pause.

    Attributes:
        text: Word in lower case, or the punctuation mark of a pause; empty if only phones were given.
        phones: At least one phone; :data:`SILENCE` for a pause.
        source: Origin of the phones: ``given``, ``dictionary``, ``rule``, ``model`` or ``espeak``; ``mark`` for a
            pause.
    """

    text: str
    phones: Phones
    source: str

    @property
    def is_pause(self) -> bool:
        """True for a pause."""
        return self.phones == (SILENCE,)


@runtime_checkable
class Pronouncer(Protocol):
    """Converter from text to phones.

    Attributes:
        name: Name of its dictionary, model or version: equal names mean equal phones.
    """

    name: str

    def phones(self, text: str) -> list[Pronunciation]:
        """Return words with their phones, and pauses, in order.

        Raises:
            TextError: If the text has nothing to pronounce, or something that cannot be pronounced.
        """


def pronunciations_from_phones(phones: Sequence[str], phonemes: PhonemeSet, where: str = "") -> list[Pronunciation]:
    """Group phones, such as those of a manifest, into items: what lies between two silences is one item.

    Raises:
        TextError: If a phone is not in the set, or all are silence.

    Example:
        >>> [one.phones for one in pronunciations_from_phones("SIL HH AY1 SIL".split(), PhonemeSet.arpabet())]
        [('SIL',), ('HH', 'AY'), ('SIL',)]
    """
    names = phonemes.names(phonemes.ids(phones, where))
    if set(names) <= {SILENCE}:
        raise TextError(f"{where or 'phonemes'}: there is nothing in {list(phones)[:8]} to say; give phonemes")
    result: list[Pronunciation] = []
    for silent, run in groupby(names, key=lambda name: name == SILENCE):
        symbols = (SILENCE,) if silent else tuple(run)
        result.append(Pronunciation(text="," if silent else "", phones=symbols, source="given"))
    return result


class ArpabetPronouncer:
    """English text to ARPAbet phones without stress.

    A word is looked up in the dictionary. A word that the dictionary lacks is derived from its entries by rule
    (possessives, endings, compounds of long words). The letter-to-sound model pronounces all other words. A word has
    one pronunciation, whatever its context: ``read`` and ``the`` always sound the same.

    Args:
        lexicon: Path of a dictionary in the format of CMUdict. By default the dictionary inside the package
            pocketsphinx, or none if that is not installed.

    Attributes:
        name: Names of the dictionary and of the model.

    A dictionary of one's own may have words with accents, curly apostrophes and hyphens; a warning names words that no
    text leads to, such as ``mp3``.

    Raises:
        TextError: If the dictionary cannot be read.
        CheckpointError: If the model is missing or altered.

    Example:
        >>> pronouncer = ArpabetPronouncer()
        >>> [(one.text, " ".join(one.phones)) for one in pronouncer.phones("Hello, world")]
        [('hello', 'HH AH L OW'), (',', 'SIL'), ('world', 'W ER L D')]
        >>> [(one.text, one.source) for one in pronouncer.phones("A tokenizer's glorp")]
        [('a', 'dictionary'), ("tokenizer's", 'model'), ('glorp', 'model')]
    """

    phonemes = PhonemeSet.arpabet()

    def __init__(self, lexicon: str | os.PathLike[str] | None = None) -> None:
        self.lexicon = Lexicon.installed() if lexicon is None else Lexicon.read(lexicon)
        # entries with hyphens of the installed dictionary were never used, and models are trained on texts read so
        self._compounds = frozenset() if lexicon is None else self.lexicon.compounds
        if lexicon is not None and (unused := self.lexicon.unused):
            warnings.warn(
                f"lexicon {os.fspath(lexicon)}: {len(unused)} of {len(self.lexicon.words)} words are never used, such "
                f"as {', '.join(map(repr, unused[:_SHOWN]))}; write words with letters, apostrophes and hyphens",
                stacklevel=2,
            )
        self.model = LettersToPhones.bundled()
        self.name = f"{self.lexicon.name}, {self.model.name}"

    def phones(self, text: str) -> list[Pronunciation]:
        """Return words with their phones, and pauses; see :meth:`Pronouncer.phones`."""
        return [
            Pronunciation(text=word, phones=(SILENCE,), source="mark") if word in PAUSES else self.word(word)
            for word in to_words(text, self.lexicon, self._compounds)
        ]

    def word(self, word: str) -> Pronunciation:
        """Return the pronunciation of one word, as :func:`to_words` writes it.

        Raises:
            TextError: If the word has other characters than letters and apostrophes, or too many.
        """
        entry = self.lexicon.lookup(word)
        if entry is not None:
            return Pronunciation(text=word, phones=entry, source="dictionary")
        phones = _letter_name(word) or phones_by_rule(word, self._lookup)
        if phones is not None:
            return Pronunciation(text=word, phones=phones, source="rule")
        phones = phones_by_rule(word, self.model.phones) if word.endswith("'s") and len(word) > 2 else None
        return Pronunciation(text=word, phones=phones or self.model.phones(word), source="model")

    def _lookup(self, word: str) -> Phones | None:
        return self.lexicon.lookup(word) or _letter_name(word)


def _letter_name(word: str) -> Phones | None:
    """Return the phones of a letter's name, written ``b.`` or ``b``; ``a`` without a dot is the article."""
    if word == "a":
        return ("AH",)
    name = _LETTER_NAMES.get(word.removesuffix("."))
    return tuple(name.split()) if name else None
