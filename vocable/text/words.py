"""Phones back to words: the cheapest way through a tree of pronunciations."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vocable.errors import TextError
from vocable.text.lexicon import Lexicon
from vocable.text.phonemes import SILENCE, PhonemeSet

_ERROR = 7.0  # nats that a phone costs which is another, missing, or too many
_RARE = 18.0  # nats that a word costs of which nothing is known
_BEAM = 15.0  # nats behind the best, beyond which a path is given up
_MOST = 400  # paths that are followed

_Path = tuple[float, tuple[Any, ...]]  # nats so far; the last word and, in the same way, those before


class WordFinder:
    """Parts a sequence of phones into words of a dictionary.

    Crude by intent: a word costs what its frequency says, a phone that is wrong, missing or too many costs 7 nats, and
    nothing is known of which words follow which, so that of words that sound alike the most frequent is always taken.
    Paths that fall behind are given up: the result is not always the cheapest. Words are not told apart at silences
    only, but never reach across one.

    Args:
        lexicon: Whose words may be found, with all their pronunciations.
        costs: Nats for words, minus the logarithm of their probability. By default those of the unigrams inside the
            package pocketsphinx, where the words are in it; other words cost 18.

    Raises:
        TextError: The dictionary is empty.

    Example:
        >>> lexicon = Lexicon("mine", {"a": ["AH"], "cat": ["K AE T"], "attic": ["AE T IH K"]})
        >>> finder = WordFinder(lexicon, costs={"a": 2.0, "cat": 6.0, "attic": 9.0})
        >>> finder.words("SIL AH K AE T SIL K AE".split())
        ['a', 'cat', 'cat']
    """

    def __init__(self, lexicon: Lexicon, costs: Mapping[str, float] | None = None) -> None:
        if not lexicon.words:
            raise TextError(
                "finding words needs a dictionary: give a lexicon, or run pip install pocketsphinx, which has one"
            )
        known = _unigrams(lexicon) if costs is None else costs
        self._children: list[dict[str, int]] = [{}]
        self._ends: dict[int, tuple[float, str]] = {}  # of a node: the cheapest word that ends there
        for word, said in lexicon.words.items():
            for phones in said:
                self._add(word, phones.split(), known.get(word, _RARE))

    def words(self, phones: Sequence[str]) -> list[str]:
        """The words of a sequence of phones, possibly none.

        Args:
            phones: ARPAbet, with or without stress and silence.

        Raises:
            TextError: A phone is no ARPAbet.
        """
        arpabet = PhonemeSet.arpabet()
        names = arpabet.names(arpabet.ids(phones, "phones to words"))
        found: list[str] = []
        start = 0
        for at, name in enumerate([*names, SILENCE]):
            if name == SILENCE:
                found += self._parted(names[start:at])
                start = at + 1
        return found

    def _parted(self, phones: list[str]) -> list[str]:
        """The words between two silences."""
        paths = self._closed({0: (0.0, ())})
        for phone in phones:
            moved: dict[int, _Path] = {}
            for node, (cost, words) in paths.items():
                _keep(moved, node, (cost + _ERROR, words))  # one too many
                for name, child in self._children[node].items():
                    _keep(moved, child, (cost + (0.0 if name == phone else _ERROR), words))
            paths = self._closed(moved)
        chain = paths[0][1]
        found: list[str] = []
        while chain:
            word, chain = chain
            found.append(word)
        return found[::-1]

    def _closed(self, paths: dict[int, _Path]) -> dict[int, _Path]:
        """With all that follows without another phone: words that end, phones that are missing; the worst given up."""
        best = sorted(paths, key=lambda node: (paths[node][0], node))[:_MOST]
        limit = paths[best[0]][0] + _BEAM
        waiting = [node for node in best if paths[node][0] <= limit]
        closed = {node: paths[node] for node in (*waiting, 0)}  # the start of a word is never given up
        while waiting:
            node = waiting.pop()
            cost, words = closed[node]
            if node in self._ends:
                price, word = self._ends[node]
                if _keep(closed, 0, (cost + price, (word, words))) and cost + price + _ERROR <= limit:
                    waiting.append(0)
            if cost + _ERROR <= limit:
                waiting += [
                    child for child in self._children[node].values() if _keep(closed, child, (cost + _ERROR, words))
                ]
        return closed

    def _add(self, word: str, phones: list[str], cost: float) -> None:
        node = 0
        for phone in phones:
            child = self._children[node].setdefault(phone, len(self._children))
            if child == len(self._children):
                self._children.append({})
            node = child
        self._ends[node] = min(self._ends.get(node, (math.inf, "")), (cost, word))


def _keep(paths: dict[int, _Path], node: int, path: _Path) -> bool:
    """Keep the cheaper of two ways to a node; whether it is the new one."""
    if node in paths and paths[node][0] <= path[0]:
        return False
    paths[node] = path
    return True


def _unigrams(lexicon: Lexicon) -> dict[str, float]:
    """What the words of a dictionary cost by pocketsphinx's English model; none where that is not installed."""
    try:
        import pocketsphinx
    except ImportError:
        return {}
    scale = pocketsphinx.LogMath()
    file = Path(pocketsphinx.get_model_path()) / "en-us" / "en-us.lm.bin"
    model = pocketsphinx.NGramModel(pocketsphinx.Config(loglevel="FATAL"), scale, str(file))
    nothing = scale.get_zero()
    logs = {word: model.prob([word]) for word in lexicon.words}
    return {word: -scale.log_to_ln(value) for word, value in logs.items() if value > nothing}
