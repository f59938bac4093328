"""Words from the label probabilities of a recognizer: CTC prefix beam search in a lexicon, with a language model.

Labels are phonemes or letters. A word is one of its spellings in labels, and words follow one another as the language
model says.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pydantic import Field

from vocable.errors import ConfigError, ShapeError
from vocable.schema import config
from vocable.text.ngram import END, Context, NgramModel

_SURE = math.log(0.999)  # of the blank: other labels are not tried there
_NEVER = -math.inf

Spelling = tuple[int, ...]
"""Labels of a word, in order; none is 0, the blank."""
_Chain = tuple[Any, int, int, int]  # words so far, the last first: the chain before or None, word, start, end


@config
class WordSearchConfig:
    """Settings of a search for words.

    Attributes:
        lm_weight: Factor of the log-probabilities of the language model.
        word_bonus: Score in nats that each word adds.
        blank_penalty: Nats that the blank's log-probabilities lose; over 0 for models that leave out too many labels.
        beam: Number of hypotheses that are kept at each position.
        threshold: Nats under the best hypothesis at which others are dropped.
    """

    lm_weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    word_bonus: Annotated[float, Field(ge=-100, le=100)] = 0.0
    blank_penalty: Annotated[float, Field(ge=-100, le=100)] = 0.0
    beam: Annotated[int, Field(ge=1, le=10_000)] = 100
    threshold: Annotated[float, Field(gt=0, le=1_000)] = 16.0


class FoundWord(NamedTuple):
    """A word, and the positions of its first and behind its last label."""

    text: str
    start: int
    end: int


@dataclass(slots=True)
class _Score:
    """Log-probabilities of a hypothesis, by whether the last position is a blank, with those of its words added."""

    blank: float = _NEVER
    label: float = _NEVER
    chain: _Chain | None = None
    best: float = _NEVER  # of the part that came with the chain
    start: int = 0  # position at which the word at hand began

    @property
    def total(self) -> float:
        return _add(self.blank, self.label)


_Key = tuple[Context, int, int]  # context of the language model, node of the tree, last label


class WordSearch:
    """Search for the words of a recording in the probabilities of its labels.

    Hypotheses are extended position by position. Two with the same last words, the same place in the lexicon and the
    same last label are one, with the words of the more probable. A word's cost counts from its first label on, by the
    most frequent word that can still follow.

    Args:
        spellings: Spellings of each word. Words that the language model does not know are left out.
        lm: Language model.
        settings: Settings.
        separator: Label that may stand between words, such as the space of letters; None if there is none.

    Raises:
        ConfigError: If no word is left, or a spelling is empty or has the blank in it.

    Source:
        Hannun et al., First-pass large vocabulary continuous speech recognition using bi-directional recurrent DNNs,
        arXiv:1408.2873, algorithm 1: prefix beam search; in a tree of words as in Collobert et al., Wav2Letter,
        arXiv:1609.03193, section 2.4.

    Example:
        >>> from vocable.text.ngram import train_ngram
        >>> lm = train_ngram(["a cat", "a cat", "the cab"])
        >>> search = WordSearch({"a": [(1,)], "cat": [(2, 1, 3)], "cab": [(2, 1, 4)]}, lm)
        >>> likely = np.array([[0.1, 0.8, 0.1, 0.0, 0.0], [0.1, 0.0, 0.9, 0.0, 0.0], [0.1, 0.8, 0.0, 0.0, 0.1],
        ...                    [0.0, 0.0, 0.0, 0.5, 0.5]])
        >>> [word.text for word in search.find(np.log(np.maximum(likely, 1e-9)))]
        ['a', 'cat']
    """

    def __init__(
        self, spellings: Mapping[str, Iterable[Spelling]], lm: NgramModel, settings: WordSearchConfig | None = None, *,
        separator: int | None = None,
    ) -> None:  # fmt: skip
        self.lm, self.settings, self.separator = lm, settings or WordSearchConfig(), separator
        self._children: list[dict[int, int]] = [{}]
        self._words: list[list[int]] = [[]]
        self._costs: list[float] = [_NEVER]  # log-probability of the most frequent word below a node
        self._num_labels = 1
        for word, variants in spellings.items():
            if word in lm.ids:
                for spelling in variants:
                    self._insert(lm.ids[word], spelling)
        if len(self._children) == 1:
            raise ConfigError(
                "the language model knows no word of the lexicon; give one that was trained on such words"
            )
        self._costs[0] = 0.0
        self._cache: dict[tuple[Context, int], tuple[float, Context]] = {}

    def with_settings(self, settings: WordSearchConfig) -> "WordSearch":
        """Return a search with other settings, which shares the lexicon."""
        other = object.__new__(WordSearch)
        other.__dict__.update(self.__dict__, settings=settings)
        return other

    def find(self, log_probs: Float[ndarray, "P L"]) -> list[FoundWord]:
        """Return the most probable words.

        Args:
            log_probs: Natural logarithm of the probability of each label at each position; label 0 is the blank.

        Raises:
            ShapeError: If there are fewer labels than in the lexicon, or a value is not a number.
        """
        if log_probs.ndim != 2 or log_probs.shape[1] < self._num_labels or np.isnan(log_probs).any():
            raise ShapeError(
                f"log_probs have shape {log_probs.shape}: (P, L) with L ≥ {self._num_labels} and no NaN is needed"
            )
        scores: dict[_Key, _Score] = {(self.lm.start, 0, 0): _Score(blank=0.0, best=0.0)}
        penalty = self.settings.blank_penalty
        for position, row in enumerate(log_probs.tolist()):
            sure = row[0] > _SURE
            row[0] -= penalty
            scores = self._rest(scores, row[0]) if sure else self._prune(self._step(scores, row, position))
        return self._finish(scores)

    def _insert(self, word: int, spelling: Spelling) -> None:
        if not spelling or min(spelling) < 1:
            raise ConfigError(f"the spelling of {self.lm.vocabulary[word]!r} is {spelling}: give labels from 1 on")
        node, cost = 0, float(self.lm.log_probs[0][word])
        for label in spelling:
            child = self._children[node].setdefault(label, len(self._children))
            if child == len(self._children):
                self._children.append({})
                self._words.append([])
                self._costs.append(_NEVER)
            node = child
            self._costs[node] = max(self._costs[node], cost)
        if word not in self._words[node]:
            self._words[node].append(word)
        self._num_labels = max(self._num_labels, max(spelling) + 1)

    def _rest(self, scores: dict[_Key, _Score], blank: float) -> dict[_Key, _Score]:
        """Take the blank alone."""
        for score in scores.values():
            score.blank, score.label, score.best = score.total + blank, _NEVER, score.best + blank
        return scores

    def _step(self, scores: dict[_Key, _Score], row: list[float], position: int) -> dict[_Key, _Score]:
        """Extend all hypotheses by one position."""
        weight, bonus = self.settings.lm_weight, self.settings.word_bonus
        top = max(score.total for score in scores.values())
        limit = top + max(row) - self.settings.threshold
        likely = {label: value for label, value in enumerate(row) if label and value > limit - top}
        new: dict[_Key, _Score] = {}
        for key, score in scores.items():
            context, node, last = key
            total = score.total
            _merge(new, key, total + row[0], score.chain, score.start, blank=True)
            if last:
                _merge(new, key, score.label + row[last], score.chain, score.start)
            children = self._children[node]
            shared = likely if len(likely) < len(children) else children
            for label in shared:
                child, base = children.get(label), (score.blank if label == last else total) + row[label]
                if child is not None:
                    ahead = base + weight * (self._costs[child] - self._costs[node])
                    if ahead > limit:
                        start = position if node == 0 else score.start
                        if self._children[child]:
                            _merge(new, (context, child, label), ahead, score.chain, start)
                        for word in self._words[child]:
                            cost, after = self._lm_score(context, word)
                            value = base + weight * (cost - self._costs[node]) + bonus
                            _merge(new, (after, 0, label), value, (score.chain, word, start, position + 1), 0)
                elif node == 0 and label == self.separator and base > limit:
                    _merge(new, (context, 0, label), base, score.chain, position)
        return new

    def _lm_score(self, context: Context, word: int) -> tuple[float, Context]:
        key = context, word
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) > 1 << 20:
                self._cache.clear()
            found = self._cache[key] = self.lm.score(context, word)
        return found

    def _prune(self, scores: dict[_Key, _Score]) -> dict[_Key, _Score]:
        ranked = sorted(scores.items(), key=lambda item: -item[1].total)[: self.settings.beam]
        limit = ranked[0][1].total - self.settings.threshold
        return {key: score for key, score in ranked if score.total >= limit}

    def _finish(self, scores: dict[_Key, _Score]) -> list[FoundWord]:
        """Return the words of the best hypothesis that ends with a whole word, or else of the best."""
        end, weight = self.lm.ids[END], self.settings.lm_weight
        whole = {
            score.total + weight * self._lm_score(context, end)[0]: score
            for (context, node, _), score in scores.items() if node == 0
        }  # fmt: skip
        best = whole[max(whole)] if whole else max(scores.values(), key=lambda score: score.total)
        found, chain = [], best.chain
        while chain is not None:
            chain, word, start, stop = chain
            found.append(FoundWord(self.lm.vocabulary[word], start, stop))
        return found[::-1]


def _merge(
    scores: dict[_Key, _Score], key: _Key, value: float, chain: _Chain | None, start: int, *, blank: bool = False
) -> None:
    """Add a hypothesis's probability to those of the same key, which keep the words of the most probable."""
    score = scores.get(key)
    if score is None:
        score = scores[key] = _Score()
    if value > score.best:
        score.best, score.chain, score.start = value, chain, start
    if blank:
        score.blank = _add(score.blank, value)
    else:
        score.label = _add(score.label, value)


def _add(one: float, other: float) -> float:
    """Return the logarithm of the sum of two probabilities."""
    high, low = (one, other) if one > other else (other, one)
    return high if low == _NEVER else high + math.log1p(math.exp(low - high))
