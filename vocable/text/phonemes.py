"""Phonemes and their ids: the 39 phones of the CMU dictionary, or any other alphabet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from vocable.errors import ConfigError, TextError

SILENCE = "SIL"
"""Symbol of a pause, and of the silence before and after an utterance. Its id is 0 in every set."""

ARPABET = (
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH", "K",
    "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
"""Phones of the CMU Pronouncing Dictionary in alphabetical order, without the stress of the vowels."""

_ARPABET = frozenset(ARPABET)


def strip_stress(symbol: str) -> str:
    """Return an ARPAbet phone in upper case without its stress mark (0, 1 or 2 at the end).

    vocable does not distinguish stress: the dictionary inside pocketsphinx and its alignments have none.

    Example:
        >>> strip_stress("AH0"), strip_stress("ey1"), strip_stress("sil")
        ('AH', 'EY', 'SIL')
    """
    return symbol.strip().upper().rstrip("012")


@dataclass(frozen=True)
class PhonemeSet:
    """Alphabet of phonemes; the id of a phoneme is its position.

    A set of ARPAbet phones ignores stress and case: ``AH0`` and ``ah`` are ``AH``. Other sets (IPA, X-SAMPA) compare
    symbols exactly.

    Attributes:
        symbols: Phonemes without white space, :data:`SILENCE` first, each once. ``list(symbols)`` is the set as JSON.

    Raises:
        ConfigError: If a symbol is invalid or repeated, or the first is not :data:`SILENCE`.

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
            raise ConfigError(f"phonemes begin with {self.symbols[:1]}, not with {SILENCE!r}; put it first")
        for symbol in self.symbols:
            if not isinstance(symbol, str) or not symbol or symbol.split() != [symbol]:
                raise ConfigError(f"phonemes: {symbol!r} is no symbol; write each without white space")
        if len(set(self.symbols)) < len(self.symbols):
            twice = next(symbol for symbol in self.symbols if self.symbols.count(symbol) > 1)
            raise ConfigError(f"phonemes: {twice!r} is in the set twice; list each once")

    @classmethod
    def arpabet(cls) -> "PhonemeSet":
        """Return silence and the 39 phones of :data:`ARPABET`."""
        return cls((SILENCE, *ARPABET))

    def ids(self, symbols: Sequence[str], where: str = "") -> list[int]:
        """Convert phonemes to ids; ``where`` (a file, line or key) opens the message of an error.

        Raises:
            TextError: If a phoneme is not in the set.
        """
        place = f"{where}: " if where else ""
        if isinstance(symbols, str):
            raise TextError(f"{place}{symbols[:40]!r} is one text, but a list of phonemes is needed; use text.split()")
        ids = []
        for number, symbol in enumerate(symbols, start=1):
            phoneme_id = self._ids.get(strip_stress(symbol) if self._is_arpabet else symbol)
            if phoneme_id is None:
                shown = " ".join(self.symbols if len(self) <= 40 else (*self.symbols[:30], "…"))
                raise TextError(
                    f"{place}phoneme {number} of {len(symbols)}, {symbol[:20]!r}, is not among the {len(self)} of this "
                    f"set ({shown}); use these"
                )
            ids.append(phoneme_id)
        return ids

    def names(self, ids: Iterable[int]) -> list[str]:
        """Convert ids to phonemes.

        Raises:
            TextError: If an id is not in [0, len).
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
    def _is_arpabet(self) -> bool:
        return _ARPABET.issuperset(self.symbols[1:])
