"""Pronouncing dictionaries in the format of CMUdict, and rules for words that are derived from their entries."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

from vocable.errors import TextError
from vocable.files import read_file
from vocable.text.fold import fold_latin
from vocable.text.phonemes import ARPABET, strip_stress

_MAX_LINE = 1_000  # characters
VARIANT = re.compile(r"\(\d+\)$")  # suffix of a second pronunciation: "read(2)"
_COMMENTS = (";;;", "#")
_PHONES = frozenset(ARPABET)

_COMPOUND = re.compile(r"[a-z]+(?:'[a-z]+)*(?:-[a-z]+(?:'[a-z]+)*)+")
_USABLE = re.compile(rf"'?[a-z]+(?:'[a-z]+)*'?|[a-z]\.(?:'[a-z]+)?|{_COMPOUND.pattern}")

Phones = tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    """Pronouncing dictionary.

    Attributes:
        name: Name of the dictionary in reports.
        words: Pronunciations of each word in lower case, the most usual first: phones without stress, separated by
            spaces.

    Example:
        >>> lexicon = Lexicon("example", {"tomato": ["T AH M EY T OW", "T AH M AA T OW"]})
        >>> lexicon.lookup("tomato"), lexicon.lookup("potato")
        (('T', 'AH', 'M', 'EY', 'T', 'OW'), None)
    """

    name: str
    words: dict[str, list[str]]

    def __contains__(self, word: object) -> bool:
        return word in self.words or word in self._variants

    @property
    def compounds(self) -> frozenset[str]:
        """Words with hyphens, as :func:`~vocable.text.normalize.to_words` writes them."""
        return frozenset(spelling for spelling in map(_spelling, self.words) if _COMPOUND.fullmatch(spelling))

    @property
    def unused(self) -> list[str]:
        """Words that no text leads to, because texts are read as letters of English, apostrophes and hyphens.

        Example:
            >>> Lexicon("example", {"café": ["K AH F EY"], "well-off": ["W EH L AO F"], "mp3": ["EH M"]}).unused
            ['mp3']
        """
        return [word for word in self.words if not _USABLE.fullmatch(_spelling(word))]

    @cached_property
    def _variants(self) -> dict[str, str]:
        """Words that texts spell in another way, with an accent or a curly apostrophe, by the spelling of texts."""
        spellings = ((_spelling(word), word) for word in self.words if not _USABLE.fullmatch(word))
        return {spelling: word for spelling, word in spellings if spelling not in self.words}

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Lexicon":
        """Read a dictionary file.

        Each line is a word and its phones. A second pronunciation is written as ``word(2)``. Comments begin with
        ``;;;`` or ``#``.

        Raises:
            TextError: If the file is missing or too large, or a line is malformed (the line is named).
        """
        file = Path(path)
        content = read_file(file, TextError, "give a lexicon with lines such as 'cat K AE T'")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")  # the encoding of CMUdict 0.7b
        words: dict[str, list[str]] = {}
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip() or line.startswith(_COMMENTS):
                continue
            where = f"lexicon {file}, line {number}"
            if len(line) > _MAX_LINE:
                raise TextError(f"{where}: has {len(line)} characters, more than {_MAX_LINE}; is this a lexicon?")
            word, *phones = line.split(" #")[0].split()
            phones = [strip_stress(phone) for phone in phones]
            wrong = next((phone for phone in phones if phone not in _PHONES), None)
            if wrong is not None or not phones:
                problem = "no phones" if wrong is None else f"{wrong[:20]!r}, which is no ARPAbet phone"
                raise TextError(
                    f"{where}: {word[:40]!r} has {problem}; write a word and its phones, as in 'cat K AE T'"
                )
            pronunciations = words.setdefault(VARIANT.sub("", word.lower()), [])
            if " ".join(phones) not in pronunciations:
                pronunciations.append(" ".join(phones))
        if not words:
            raise TextError(f"lexicon {file}: there is no word in it; write lines such as 'cat K AE T'")
        return cls(file.name, words)

    @classmethod
    def installed(cls) -> "Lexicon":
        """Return the CMU dictionary inside the package pocketsphinx, or an empty one if that is not installed.

        Source:
            CMUdict without stress, © Carnegie Mellon University, BSD licence.
        """
        try:
            import pocketsphinx
        except ImportError:
            return cls("none", {})
        file = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
        return cls(f"cmudict of pocketsphinx-{metadata.version('pocketsphinx')}", cls.read(file).words)

    def lookup(self, word: str) -> Phones | None:
        """Return the usual pronunciation of a word, or None if it is not in the dictionary."""
        pronunciations = self.words.get(word) or self.words.get(self._variants.get(word, ""))
        return tuple(pronunciations[0].split()) if pronunciations else None


def _spelling(word: str) -> str:
    """Return a word as :func:`~vocable.text.normalize.to_words` writes it."""
    return fold_latin(word).lower()


def phones_by_rule(word: str, lookup: Callable[[str], Phones | None]) -> Phones | None:
    """Derive the phones of an inflected or compound word from known words.

    Spelling changes before an ending are undone (a dropped e, y written as i, a doubled consonant). The sound of -s and
    -ed depends on the phone before it.

    Args:
        word: Word in lower case.
        lookup: Function from a word to its phones, or to None if it is unknown.

    Returns:
        Phones of the word, or None if no rule applies.

    Example:
        >>> lookup = Lexicon("example", {"fox": ["F AA K S"], "bake": ["B EY K"], "trot": ["T R AA T"]}).lookup
        >>> [" ".join(phones_by_rule(word, lookup)) for word in ("foxes", "fox's", "baked", "trotting")]
        ['F AA K S IH Z', 'F AA K S IH Z', 'B EY K T', 'T R AA T IH NG']
    """
    for ending, sound in _ENDINGS.items():
        if word.endswith(ending):
            for stem in _stem_candidates(word.removesuffix(ending), ending):
                phones = lookup(stem)
                if phones:
                    return phones + sound(phones[-1])
    return _compound(word, lookup)


def _s(last: str) -> Phones:
    if last in {"S", "Z", "SH", "ZH", "CH", "JH"}:
        return ("IH", "Z")
    return ("S",) if last in {"P", "T", "K", "F", "TH"} else ("Z",)


def _ed(last: str) -> Phones:
    if last in {"T", "D"}:
        return ("IH", "D")
    return ("T",) if last in {"P", "K", "F", "TH", "S", "SH", "CH"} else ("D",)


def _always(phones: str) -> Callable[[str], Phones]:
    return lambda last: tuple(phones.split())


_ENDINGS: dict[str, Callable[[str], Phones]] = {
    "'s": _s, "'d": lambda last: ("IH", "D") if last in {"T", "D"} else ("D",),
    "'ll": _always("AH L"), "'ve": _always("AH V"), "'re": _always("ER"), "ness": _always("N AH S"),
    "less": _always("L AH S"), "ful": _always("F AH L"), "ly": _always("L IY"), "ing": _always("IH NG"), "ed": _ed,
    "s": _s,
}  # fmt: skip
_MIN_STEM = 3  # letters of a word that takes an ending
_MIN_PART = 5  # letters of each part of a compound; below, the rule errs more than the model ("adopt" + "ion")


def _stem_candidates(rest: str, ending: str) -> list[str]:
    """Return words that the ending may have been added to, the likeliest first."""
    if ending.startswith("'"):
        return [rest]
    if len(rest) < _MIN_STEM or rest.endswith("'"):
        return []
    stems = [rest[:-1] + "y", rest] if rest.endswith("i") else [rest]
    if ending == "s":
        return _singular_candidates(rest)
    if ending == "ly":
        return [] if rest[-1] in "li" else stems  # "molly"; "hastily" has another vowel than "hasty"
    if ending in {"ing", "ed"}:  # they drop a final e and double a final consonant
        doubled = rest[-1] == rest[-2] and rest[-1] not in "aeiouls"
        return ([rest[:-1]] if doubled else []) + [rest + "e", *stems]
    return stems


def _singular_candidates(stem: str) -> list[str]:
    """Return candidate singular forms of a plural noun, given without its final "s"."""
    if stem.endswith("ie"):
        return [stem[:-2] + "y", stem]
    if stem.endswith(("se", "ze", "xe", "che", "she")):
        return [stem, stem[:-1]]
    return [] if stem[-1] in "sui" else [stem]  # "-ss", "-us" and "-is" are no plurals


def _compound(word: str, lookup: Callable[[str], Phones | None]) -> Phones | None:
    """Split a compound into two words of the lexicon, preferring the most even split; return their phones, or None."""
    cuts = sorted(range(_MIN_PART, len(word) - _MIN_PART + 1), key=lambda cut: (abs(2 * cut - len(word)), cut))
    for cut in cuts:
        first, second = lookup(word[:cut]), lookup(word[cut:])
        if first and second:
            return first + second
    return None
