"""Phonemes and their ids: the 39 phones of the CMU dictionary, or any other alphabet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from vocable.errors import ConfigError, TextError

SILENCE = "SIL"
"""Where nothing is said: a pause, and before and behind an utterance. Id 0 of every set."""

ARPABET = (
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH", "K",
    "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
"""The phones of the CMU Pronouncing Dictionary in alphabetical order, without the stress of the vowels."""

_ARPABET = frozenset(ARPABET)


def bare(symbol: str) -> str:
    """An ARPAbet phone without its stress (0, 1 or 2 at the end), in upper case.

    Stress is not told apart anywhere in vocable: the dictionary in pocketsphinx has none, nor have its alignments.

    Example:
        >>> bare("AH0"), bare("ey1"), bare("sil")
        ('AH', 'EY', 'SIL')
    """
    return symbol.strip().upper().rstrip("012")


@dataclass(frozen=True)
class PhonemeSet:
    """An alphabet of phonemes; a phoneme's id is its place.

    In a set of ARPAbet phones, stress and case do not count: ``AH0`` and ``ah`` are ``AH``. Elsewhere (IPA, X-SAMPA)
    symbols are taken as they are written.

    Attributes:
        symbols: :data:`SILENCE` first, all different, without white space. The set as JSON: ``list(symbols)``.

    Raises:
        ConfigError: The symbols are not like that.

    Example:
        >>> phonemes = PhonemeSet.arpabet()
        >>> len(phonemes), phonemes.ids(["SIL", "HH", "AH0", "L", "OW1"])
        (40, [0, 16, 3, 21, 25])
        >>> PhonemeSet(("SIL", "a", "ʃ", "tʃ")).names([3, 1])
        ['tʃ', 'a']
    """

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.symbols or self.symbols[0] != SILENCE:
            raise ConfigError(f"phonemes begin with {SILENCE!r}, not with {self.symbols[:1]}; put it first")
        for symbol in self.symbols:
            if not isinstance(symbol, str) or not symbol or symbol.split() != [symbol]:
                raise ConfigError(f"phonemes: {symbol!r} is no symbol; each is a text without white space")
        if len(set(self.symbols)) < len(self.symbols):
            twice = next(symbol for symbol in self.symbols if self.symbols.count(symbol) > 1)
            raise ConfigError(f"phonemes: {twice!r} is in the set twice; name each once")

    @classmethod
    def arpabet(cls) -> "PhonemeSet":
        """Silence and the 39 phones of :data:`ARPABET`."""
        return cls((SILENCE, *ARPABET))

    @classmethod
    def seen(cls, phones: Iterable[Iterable[str]]) -> "PhonemeSet":
        """Silence and every symbol of some texts, in order: for an alphabet that nobody has written down.

        Example:
            >>> PhonemeSet.seen([["ʃ", "øː", "n"], ["SIL", "ʃ"]]).symbols
            ('SIL', 'n', 'øː', 'ʃ')
        """
        return cls((SILENCE, *sorted({symbol for said in phones for symbol in said} - {SILENCE})))

    def ids(self, symbols: Sequence[str], where: str = "") -> list[int]:
        """Phonemes to ids.

        Args:
            symbols: Phonemes, :data:`SILENCE` among them.
            where: Begins the message of an error: a file, a line, a key.

        Raises:
            TextError: One of them is not in the set.
        """
        place = f"{where}: " if where else ""
        if isinstance(symbols, str):
            raise TextError(f"{place}{symbols[:40]!r} is one text, but a list of phonemes is wanted; use text.split()")
        found = []
        for number, symbol in enumerate(symbols, start=1):
            one = self._ids.get(bare(symbol) if self._folds else symbol)
            if one is None:
                raise TextError(
                    f"{place}phoneme {number} of {len(symbols)}, {symbol[:20]!r}, is not among the {len(self)} of this "
                    f"set ({self._brief()}); write it with these"
                )
            found.append(one)
        return found

    def names(self, ids: Iterable[int]) -> list[str]:
        """Ids to phonemes.

        Raises:
            TextError: An id is not in [0, len).
        """
        numbers = list(ids)
        wrong = next((number for number in numbers if not 0 <= number < len(self)), None)
        if wrong is not None:
            raise TextError(f"phoneme id {wrong} is not in [0, {len(self)}); these ids are of another set")
        return [self.symbols[number] for number in numbers]

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols)}

    @cached_property
    def _folds(self) -> bool:
        return _ARPABET.issuperset(self.symbols[1:])

    def _brief(self) -> str:
        shown = self.symbols if len(self) <= 40 else (*self.symbols[:30], "…")
        return " ".join(shown)
