"""Phones to words: a beam search through a prefix tree of pronunciations."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vocable.errors import TextError
from vocable.text.lexicon import Lexicon
from vocable.text.phonemes import SILENCE, PhonemeSet

_PHONE_ERROR = 7.0  # cost in nats of a substituted, missing or extra phone
_UNKNOWN_WORD = 18.0  # cost in nats of a word without a known frequency
_BEAM = 15.0  # paths are pruned that cost this many nats more than the best
_MAX_PATHS = 400

_Path = tuple[float, tuple[Any, ...]]  # cost in nats; words as a linked list, the last first


class WordFinder:
    """Segmentation of phones into words of a dictionary.

    A word costs what its frequency says. A phone that is substituted, missing or extra costs 7 nats. There is no
    language model beyond unigrams: of words that sound alike, the most frequent always wins. The search is pruned, so
    the result is not always the cheapest. Words may begin anywhere, but never reach across a silence.

    Args:
        lexicon: Dictionary with all pronunciations of the words that can be found.
        costs: Negative log probability of each word, in nats. By default the unigrams inside the package pocketsphinx.
            Words without a cost cost 18 nats.

    Raises:
        TextError: If the dictionary is empty.

    Example:
        >>> lexicon = Lexicon("example", {"a": ["AH"], "cat": ["K AE T"], "attic": ["AE T IH K"]})
        >>> finder = WordFinder(lexicon, costs={"a": 2.0, "cat": 6.0, "attic": 9.0})
        >>> finder.words("SIL AH K AE T SIL K AE".split())
        ['a', 'cat', 'cat']
    """

    def __init__(self, lexicon: Lexicon, costs: Mapping[str, float] | None = None) -> None:
        if not lexicon.words:
            raise TextError(
                "finding words needs a dictionary; give a lexicon, or run pip install pocketsphinx, which contains one"
            )
        word_costs = _unigram_costs(lexicon) if costs is None else costs
        self._children: list[dict[str, int]] = [{}]
        self._ends: dict[int, tuple[float, str]] = {}  # node of the tree → the cheapest word that ends there
        for word, pronunciations in lexicon.words.items():
            for phones in pronunciations:
                self._add(word, phones.split(), word_costs.get(word, _UNKNOWN_WORD))

    def words(self, phones: Sequence[str]) -> list[str]:
        """Segment a sequence of phones into words, possibly none.

        Args:
            phones: ARPAbet phones, with or without stress and silence.

        Raises:
            TextError: If a phone is not ARPAbet.
        """
        arpabet = PhonemeSet.arpabet()
        names = arpabet.names(arpabet.ids(phones, "phones to words"))
        words: list[str] = []
        start = 0
        for at, name in enumerate([*names, SILENCE]):
            if name == SILENCE:
                words += self._segment(names[start:at])
                start = at + 1
        return words

    def _segment(self, phones: list[str]) -> list[str]:
        """Return the words between two silences."""
        paths = self._expand({0: (0.0, ())})
        for phone in phones:
            moved: dict[int, _Path] = {}
            for node, (cost, words) in paths.items():
                _keep(moved, node, (cost + _PHONE_ERROR, words))  # an extra phone
                for name, child in self._children[node].items():
                    _keep(moved, child, (cost + (0.0 if name == phone else _PHONE_ERROR), words))
            paths = self._expand(moved)
        chain = paths[0][1]
        segmented: list[str] = []
        while chain:
            word, chain = chain
            segmented.append(word)
        return segmented[::-1]

    def _expand(self, paths: dict[int, _Path]) -> dict[int, _Path]:
        """Prune paths, and add those that consume no phone: ends of words and missing phones."""
        best = sorted(paths, key=lambda node: (paths[node][0], node))[:_MAX_PATHS]
        limit = paths[best[0]][0] + _BEAM
        waiting = [node for node in best if paths[node][0] <= limit]
        closed = {node: paths[node] for node in (*waiting, 0)}  # the start of a word is never pruned
        while waiting:
            node = waiting.pop()
            cost, words = closed[node]
            if node in self._ends:
                price, word = self._ends[node]
                if _keep(closed, 0, (cost + price, (word, words))) and cost + price + _PHONE_ERROR <= limit:
                    waiting.append(0)
            if cost + _PHONE_ERROR <= limit:
                waiting += [
                    child
                    for child in self._children[node].values()
                    if _keep(closed, child, (cost + _PHONE_ERROR, words))
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
    """Keep the cheaper of two paths to a node; return whether it is the new one."""
    if node in paths and paths[node][0] <= path[0]:
        return False
    paths[node] = path
    return True


def _unigram_costs(lexicon: Lexicon) -> dict[str, float]:
    """Return costs of words by the unigrams of pocketsphinx; none if that is not installed."""
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
