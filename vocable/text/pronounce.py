"""Text to phones: a dictionary, then rules, then a model."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Protocol, runtime_checkable

from vocable.errors import TextError
from vocable.text.letters import LettersToPhones
from vocable.text.lexicon import Lexicon, Phones, phones_by_rule
from vocable.text.normalize import PAUSES, to_words
from vocable.text.phonemes import SILENCE, PhonemeSet
from vocable.text.words import WordFinder

_NAMES = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY",
    "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW",
    "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S",
    "y": "W AY", "z": "Z IY",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A word and how it is said, or a pause.

    Attributes:
        text: The word in lower case, or the mark of a pause; empty where only phones were given.
        phones: At least one; of a pause :data:`SILENCE`.
        source: ``given``; ``dictionary``, ``rule`` or ``model``; ``espeak``; of a pause ``mark``.
    """

    text: str
    phones: Phones
    source: str

    @property
    def is_pause(self) -> bool:
        """Whether nothing is said here.

        Example:
            >>> given(["HH", "AY", "SIL"], PhonemeSet.arpabet())[1].is_pause
            True
        """
        return self.phones == (SILENCE,)


@runtime_checkable
class Pronouncer(Protocol):
    """Text to phones.

    Attributes:
        name: What it rests on: of equal names, equal phones.
    """

    name: str

    def phones(self, text: str) -> list[Spoken]:
        """Words with their phones, and pauses, in order.

        Raises:
            TextError: Nothing in it can be said, or something in it cannot.
        """
        ...


def given(phones: Sequence[str], phonemes: PhonemeSet, where: str = "") -> list[Spoken]:
    """Phones that are known, as a manifest has them: what lies between silences is one item.

    Args:
        phones: One at least that is not :data:`SILENCE`.
        phonemes: Which they are from.
        where: Begins the message of an error.

    Raises:
        TextError: A phone is not in the set, or all is silence.

    Example:
        >>> [one.phones for one in given("SIL HH AY1 SIL".split(), PhonemeSet.arpabet())]
        [('SIL',), ('HH', 'AY'), ('SIL',)]
    """
    names = phonemes.names(phonemes.ids(phones, where))
    if set(names) <= {SILENCE}:
        raise TextError(f"{where or 'phonemes'}: there is nothing in {list(phones)[:8]} to say; give phonemes")
    spoken: list[Spoken] = []
    for silent, run in groupby(names, key=lambda name: name == SILENCE):
        said = (SILENCE,) if silent else tuple(run)
        spoken.append(Spoken(text="," if silent else "", phones=said, source="given"))
    return spoken


class ArpabetPronouncer:
    """English text to ARPAbet phones without stress.

    A word is looked up; one that the dictionary lacks is made of known ones by rule (possessives, endings, compounds of
    long words); what is left the letter-to-sound model says. A word is always said in its usual way: ``read`` and
    ``the`` are one pronunciation each, whatever stands around them.

    Args:
        lexicon: A file in the format of CMUdict. By default the dictionary inside the package pocketsphinx, or none
            where that is not installed.

    Attributes:
        name: The dictionary's and the model's.

    Raises:
        TextError: The file cannot be used.
        CheckpointError: The model is missing or altered.

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
        self.model = LettersToPhones.bundled()
        self.name = f"{self.lexicon.name}, {self.model.name}"

    def phones(self, text: str) -> list[Spoken]:
        """Words with their phones, and pauses, in order.

        Raises:
            TextError: Nothing in the text can be said, or a symbol is not English.
        """
        return [
            Spoken(text=word, phones=(SILENCE,), source="mark") if word in PAUSES else self.word(word)
            for word in to_words(text, self.lexicon.words)
        ]

    def word(self, word: str) -> Spoken:
        """One word as :func:`to_words` writes it.

        Raises:
            TextError: It has other characters than letters and apostrophes, or too many.
        """
        usual = self.lexicon.usual(word)
        if usual is not None:
            return Spoken(text=word, phones=usual, source="dictionary")
        phones = _letter(word) or phones_by_rule(word, self._known)
        if phones is not None:
            return Spoken(text=word, phones=phones, source="rule")
        phones = phones_by_rule(word, self.model.phones) if word.endswith("'s") and len(word) > 2 else None
        return Spoken(text=word, phones=phones or self.model.phones(word), source="model")

    def words_of(self, phones: Sequence[str]) -> list[str]:
        """The words that phones may stand for; see :class:`~vocable.text.words.WordFinder`.

        Raises:
            TextError: A phone is no ARPAbet, or there is no dictionary.

        Example:
            >>> ArpabetPronouncer().words_of("SIL G UH D M AO R N IH NG W ER L D".split())
            ['good', 'morning', 'world']
        """
        return self._finder.words(phones)

    def _known(self, word: str) -> Phones | None:
        return self.lexicon.usual(word) or _letter(word)

    @cached_property
    def _finder(self) -> WordFinder:
        return WordFinder(self.lexicon)


def _letter(word: str) -> Phones | None:
    """The name of a letter, ``b.`` or ``b``; ``a`` without a dot is the article."""
    if word == "a":
        return ("AH",)
    name = _NAMES.get(word.removesuffix("."))
    return tuple(name.split()) if name else None
