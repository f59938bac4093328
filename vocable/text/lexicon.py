"""Pronouncing dictionaries in the format of CMUdict."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from vocable.errors import TextError
from vocable.text.phonemes import ARPABET, bare

_LARGEST = 64 * 2**20  # bytes; CMUdict has 4 MB
_LONGEST = 1_000  # characters of a line
_VARIANT = re.compile(r"\(\d+\)$")  # of a word's pronunciations: "read(2)"
_COMMENTS = (";;;", "#")
_PHONES = frozenset(ARPABET)

Phones = tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    """Words and how they are said.

    Attributes:
        name: Where it comes from.
        words: Pronunciations of each word in lower case, the usual one first, phones between spaces, without stress.

    Example:
        >>> lexicon = Lexicon("mine", {"tomato": ["T AH M EY T OW", "T AH M AA T OW"]})
        >>> lexicon.usual("tomato"), lexicon.usual("potato")
        (('T', 'AH', 'M', 'EY', 'T', 'OW'), None)
    """

    name: str
    words: dict[str, list[str]]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Lexicon":
        """Read a file: a word and its phones on each line, variants as ``word(2)``, comments behind ``;;;`` or ``#``.

        Raises:
            TextError: It is missing, no text, too large, or a line is not like that; the line is named.
        """
        file = Path(path)
        words: dict[str, list[str]] = {}
        for number, line in enumerate(_text_of(file).split("\n"), start=1):
            if not line.strip() or line.startswith(_COMMENTS):
                continue
            where = f"lexicon {file}, line {number}"
            if len(line) > _LONGEST:
                raise TextError(f"{where}: has {len(line)} characters, more than {_LONGEST}; is this a lexicon?")
            word, *phones = line.split(" #")[0].split()
            phones = [bare(phone) for phone in phones]
            wrong = next((phone for phone in phones if phone not in _PHONES), None)
            if wrong is not None or not phones:
                found = "no phones" if wrong is None else f"{wrong[:20]!r}, which is no ARPAbet phone"
                raise TextError(f"{where}: {word[:40]!r} has {found}; write a word and its phones, as in 'cat K AE T'")
            said = words.setdefault(_VARIANT.sub("", word.lower()), [])
            if " ".join(phones) not in said:
                said.append(" ".join(phones))
        if not words:
            raise TextError(f"lexicon {file}: there is no word in it; write lines such as 'cat K AE T'")
        return cls(file.name, words)

    @classmethod
    def installed(cls) -> "Lexicon":
        """The CMU dictionary inside the package pocketsphinx; an empty one where that is not installed.

        Source:
            CMUdict without stress, © Carnegie Mellon University, BSD licence.
        """
        try:
            import pocketsphinx
        except ImportError:
            return cls("none", {})
        file = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
        return cls(f"cmudict of pocketsphinx-{metadata.version('pocketsphinx')}", cls.read(file).words)

    def usual(self, word: str) -> Phones | None:
        """The first pronunciation of a word; None where it has none."""
        said = self.words.get(word)
        return tuple(said[0].split()) if said else None


def phones_by_rule(word: str, base: Callable[[str], Phones | None]) -> Phones | None:
    """How a word is said that is made of known ones: with an ending, or of two.

    Endings are 's, s, ed, ing, ly, ness, less, ful, and 'd, 'll, 've, 're; what they do to spelling (e that is lost, y
    that becomes i, consonants that are doubled) is undone, and how -s and -ed sound follows the phone before.

    Args:
        word: In lower case.
        base: The phones of known words, None of others.

    Returns:
        None where no rule applies.

    Example:
        >>> known = Lexicon("mine", {"fox": ["F AA K S"], "bake": ["B EY K"], "trot": ["T R AA T"]}).usual
        >>> [" ".join(phones_by_rule(word, known)) for word in ("foxes", "fox's", "baked", "trotting")]
        ['F AA K S IH Z', 'F AA K S IH Z', 'B EY K T', 'T R AA T IH NG']
    """
    for ending, sound in _ENDINGS.items():
        if word.endswith(ending):
            for stem in _stems(word.removesuffix(ending), ending):
                phones = base(stem)
                if phones:
                    return phones + sound(phones[-1])
    return _compound(word, base)


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
_SHORTEST = 3  # letters of a word that takes an ending
_PART = 5  # letters of a word in a compound; with shorter ones the rule errs more than the model ("adopt" + "ion")


def _stems(rest: str, ending: str) -> list[str]:
    """Words that may stand before an ending, the likeliest first."""
    if ending.startswith("'"):
        return [rest]
    if len(rest) < _SHORTEST or rest.endswith("'"):
        return []
    stems = [rest[:-1] + "y", rest] if rest.endswith("i") else [rest]
    if ending == "s":
        return _singulars(rest)
    if ending == "ly":
        return [] if rest[-1] in "li" else stems  # "molly"; "hastily" has another vowel than "hasty"
    if ending in {"ing", "ed"}:  # before which e is lost and consonants are doubled
        doubled = rest[-1] == rest[-2] and rest[-1] not in "aeiouls"
        return ([rest[:-1]] if doubled else []) + [rest + "e", *stems]
    return stems


def _singulars(rest: str) -> list[str]:
    """Words of which something is the plural, without its s."""
    if rest.endswith("ie"):
        return [rest[:-2] + "y", rest]
    if rest.endswith(("se", "ze", "xe", "che", "she")):
        return [rest, rest[:-1]]
    return [] if rest[-1] in "sui" else [rest]  # "-ss", "-us" and "-is" are no plurals


def _compound(word: str, base: Callable[[str], Phones | None]) -> Phones | None:
    """Of all ways to part a word in two known ones that with the longest shorter part."""
    cuts = sorted(range(_PART, len(word) - _PART + 1), key=lambda cut: (abs(2 * cut - len(word)), cut))
    for cut in cuts:
        first, second = base(word[:cut]), base(word[cut:])
        if first and second:
            return first + second
    return None


def _text_of(file: Path) -> str:
    try:
        if file.exists() and not file.is_file():
            raise TextError(f"lexicon {file}: is a folder or a device; name a file")
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except OSError as error:
        raise TextError(f"lexicon {file}: cannot be read ({error.strerror}); check the path") from error
    if len(content) > _LARGEST:
        raise TextError(f"lexicon {file}: has more than {_LARGEST // 2**20} MiB; is this a lexicon?")
    if b"\0" in content:
        raise TextError(f"lexicon {file}: is no text; give a file with lines such as 'cat K AE T'")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # as CMUdict 0.7b is written
