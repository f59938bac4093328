"""Trigram language model of words, with backoff: it scores words, and is trained, read, mixed and pruned here."""

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from vocable.errors import ConfigError, TextError
from vocable.schema import read_lines

START, END = "<s>", "</s>"
"""Marks of the start and the end of a sentence, which are words of every vocabulary."""

ORDER = 3
_MAX_ARPA_BYTES = 1 << 30
_IMPOSSIBLE = -99.0 * np.log(10)  # natural logarithm of the probability of a start within a sentence, as ARPA files say
_MIN_LEFT = 1e-6  # probability that is left to unknown n-grams at least
_Floats = Float[ndarray, " _"]
_Ints = Int[ndarray, " _"]

Context = tuple[int, ...]
"""Numbers of the last words, as many as a model can use: at most two."""


@dataclass(frozen=True, eq=False)
class NgramModel:
    """Trigram language model of words.

    Attributes:
        vocabulary: Words V, :data:`START` and :data:`END` among them.
        keys: Sorted keys of bigrams and of trigrams: ``context · len(vocabulary) + word``. The context of a bigram is
            the word before, that of a trigram the place of the bigram before among the bigrams.
        log_probs: Natural logarithm of the probability of each unigram, bigram and trigram after its context.
        backoffs: Natural logarithm of the weight of the order below, after each unigram and bigram.

    Source:
        Katz, Estimation of probabilities from sparse data, IEEE TASSP 35(3), 1987: the backoff.

    Example:
        >>> model = train_ngram(["the cat sat", "the cat ran", "a dog ran"])
        >>> _, context = model.score(model.start, model.ids["the"])
        >>> model.score(context, model.ids["cat"])[0] > model.score(context, model.ids["dog"])[0]
        True
    """

    vocabulary: tuple[str, ...]
    keys: tuple[_Ints, _Ints]
    log_probs: tuple[_Floats, _Floats, _Floats]
    backoffs: tuple[_Floats, _Floats]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Number of each word."""
        return {word: number for number, word in enumerate(self.vocabulary)}

    @cached_property
    def start(self) -> Context:
        """Context at the start of a sentence."""
        return (self.ids[START],)

    def score(self, context: Context, word: int) -> tuple[float, Context]:
        """Return the natural logarithm of the probability of a word, and the context after it.

        Args:
            context: :attr:`start`, or what this method returned.
            word: Number of the word.
        """
        backoff = 0.0
        if len(context) == 2:
            pair = self._find(0, *context)
            place = self._find(1, pair, word)
            if place >= 0:
                return float(self.log_probs[2][place]), self._shorten(context[1], word)
            backoff = float(self.backoffs[1][pair])
        if context:
            place = self._find(0, context[-1], word)
            if place >= 0:
                return backoff + float(self.log_probs[1][place]), (context[-1], word)
            backoff += float(self.backoffs[0][context[-1]])
        return backoff + float(self.log_probs[0][word]), (word,)

    def score_many(self, contexts: Int[ndarray, "N 2"], words: _Ints) -> _Floats:
        """Return the natural logarithm of the probability of each word after two others, of which -1 is none."""
        first, second = contexts.T
        pairs = self.places(0, first, second)
        scores = self.log_probs[0][words] + np.where(second >= 0, self.backoffs[0][second], 0.0)
        bigrams = self.places(0, second, words)
        scores = np.where(bigrams >= 0, _take(self.log_probs[1], bigrams), scores)
        scores = scores + np.where(pairs >= 0, _take(self.backoffs[1], pairs), 0.0)
        trigrams = self.places(1, pairs, words)
        return np.where(trigrams >= 0, _take(self.log_probs[2], trigrams), scores)

    def places(self, order: int, contexts: _Ints, words: _Ints) -> _Ints:
        """Return the places of bigrams (``order`` 0) or trigrams (1) in :attr:`keys`; -1 where one is unknown."""
        keys, wanted = self.keys[order], contexts.astype(np.int64) * len(self.vocabulary) + words
        found = np.minimum(np.searchsorted(keys, wanted), max(0, len(keys) - 1))
        return np.where((contexts >= 0) & (_take(keys, found) == wanted), found, -1)

    def cross_entropy(self, texts: Iterable[str]) -> float:
        """Return the mean negative log-probability of the words of texts, and their ends, in nats a word.

        Words that are not in the vocabulary are left out.
        """
        scores = []
        for text in texts:
            context = self.start
            for word in (*text.split(), END):
                number = self.ids.get(word)
                if number is None:
                    context = ()
                else:
                    score, context = self.score(context, number)
                    scores.append(score)
        return -sum(scores) / max(1, len(scores))

    def _find(self, order: int, context: int, word: int) -> int:
        keys, wanted = self._views[order], context * len(self.vocabulary) + word
        place = bisect_left(keys, wanted)
        return place if place < len(keys) and keys[place] == wanted else -1

    def _shorten(self, before: int, word: int) -> Context:
        return (before, word) if self._find(0, before, word) >= 0 else (word,)

    @cached_property
    def _views(self) -> tuple[memoryview, memoryview]:  # read faster one by one than arrays are
        return self.keys[0].astype(np.int64).data, self.keys[1].astype(np.int64).data


def train_ngram(texts: Iterable[str], vocabulary: Iterable[str] = ()) -> NgramModel:
    """Train a trigram model by interpolated Kneser-Ney smoothing.

    Args:
        texts: Sentences of words that are separated by spaces.
        vocabulary: Words that are known beside those of the texts.

    Raises:
        TextError: If there is no word.

    Source:
        Kneser and Ney, ICASSP 1995; interpolated form and discount n1 / (n1 + 2 n2): Chen and Goodman,
        Computer Speech and Language 13(4), 1999.
    """
    sentences = [[START, *text.split(), END] for text in texts]
    words = sorted({word for sentence in sentences for word in sentence} | {START, END, *vocabulary})
    if len(words) == 2:
        raise TextError("there is no word to train a language model on; give texts")
    ids = {word: number for number, word in enumerate(words)}
    rows = [[ids[word] for word in sentence] for sentence in sentences]
    counts = [Counter(gram for row in rows for gram in zip(*(row[n:] for n in range(order)))) for order in (1, 2, 3)]  # noqa: B905
    for order in (1, 0):  # below the highest order: the number of words before
        kept = {gram: count for gram, count in counts[order].items() if gram[0] == ids[START]}
        counts[order] = Counter(gram[1:] for gram in counts[order + 1]) + Counter(kept)
    del counts[0][ids[START],]
    probs: list[dict[tuple[int, ...], float]] = []
    weights: list[dict[tuple[int, ...], float]] = []
    for order in range(ORDER):
        discount, totals, kinds = _discount(counts[order]), Counter[tuple[int, ...]](), Counter[tuple[int, ...]]()
        for gram, count in counts[order].items():
            totals[gram[:-1]] += count
            kinds[gram[:-1]] += 1
        weights.append({context: discount * kinds[context] / totals[context] for context in totals})
        floor = 1 / (len(words) - 1)
        probs.append({
            gram: max(0.0, count - discount) / totals[gram[:-1]]
            + weights[order][gram[:-1]] * (probs[order - 1][gram[1:]] if order else floor)
            for gram, count in counts[order].items()
        })  # fmt: skip
        if not order:
            probs[0] |= {(word,): weights[0][()] * floor for word in ids.values() if (word,) not in probs[0]}
    probs[0][ids[START],] = 0.0
    return _from_tables(words, probs, weights[1:])


def read_arpa(path: str | os.PathLike[str]) -> NgramModel:
    """Read a language model of at most three orders in the ARPA format; n-grams of other words are left out.

    Raises:
        TextError: If the file cannot be read, or a line is not of the format (the line is named).
    """
    probs: list[dict[tuple[int, ...], float]] = [{} for _ in range(ORDER)]
    weights: list[dict[tuple[int, ...], float]] = [{} for _ in range(ORDER)]
    ids: dict[str, int] = {}
    order = 0
    advice = "give a language model in the ARPA format"
    for number, line in enumerate(read_lines(path, TextError, advice, limit=_MAX_ARPA_BYTES), 1):
        if line.startswith("\\"):
            order = int(line[1]) if line[1:2].isdigit() else 0
            continue
        parts = line.split()
        if not order or not parts:
            continue
        try:
            if order > ORDER:
                raise ValueError(f"order {order} is over {ORDER}")
            if order == 1:
                ids.setdefault(parts[1], len(ids))
            gram = tuple(ids[word] for word in parts[1 : order + 1])
            probability = 10 ** float(parts[0])
            if len(gram) < order or not 0 <= probability <= 1:
                raise ValueError(f"{len(gram)} words of probability {probability:g}")
            probs[order - 1][gram] = probability
            if len(parts) > order + 1:
                weights[order - 1][gram] = 10 ** float(parts[order + 1])
        except (ValueError, IndexError, KeyError, OverflowError) as error:
            raise TextError(f"{path}, line {number}: {line[:60]!r} is no n-gram ({error}); {advice}") from error
    if not {START, END} <= set(ids):
        raise TextError(f"{path}: the vocabulary lacks {START} or {END}; {advice}")
    return _from_tables(list(ids), probs, weights[:2])


def mix(models: Sequence[NgramModel], weights: Sequence[float], vocabulary: Sequence[str]) -> NgramModel:
    """Return one model that is the weighted mean of others, over the words of a vocabulary.

    Args:
        models: Models.
        weights: Weight of each; their sum is 1.
        vocabulary: Words of the result. A word that a model lacks has there the probability of its rarest word.

    Raises:
        ConfigError: If the weights are not one for each model, or their sum is not 1.
    """
    if len(weights) != len(models) or abs(sum(weights) - 1) > 1e-6 or min(weights) < 0:
        raise ConfigError(f"weights are {list(weights)}: give one for each of {len(models)} models, with sum 1")
    words = sorted({*vocabulary, START, END})
    size, parts = len(words), [_restrict(model, words) for model in models]
    pairs = np.unique(np.concatenate([part.keys[0] for part in parts]))
    bigrams = np.stack(np.divmod(pairs, size), axis=1)
    triples = np.unique(np.concatenate([_trigrams(part) for part in parts]), axis=0)
    number_of_pair = np.searchsorted(pairs, triples[:, 0] * size + triples[:, 1])
    none = np.full(len(pairs), -1)

    def blend(contexts: Int[ndarray, "N 2"], last: _Ints) -> _Floats:
        scores = [np.exp(part.score_many(contexts, last)) for part in parts]
        return np.log(sum(weight * score for weight, score in zip(weights, scores, strict=True)))

    log_probs = (
        blend(np.full((size, 2), -1), np.arange(size)),
        blend(np.stack([none, bigrams[:, 0]], axis=1), bigrams[:, 1]),
        blend(triples[:, :2], triples[:, 2]),
    )
    keys = pairs, number_of_pair * size + triples[:, 2]
    return _with_backoffs(NgramModel(tuple(words), keys, log_probs, (np.zeros(size), np.zeros(len(pairs)))))


def prune(model: NgramModel, bigrams: int, trigrams: int) -> NgramModel:
    """Return a model with the n-grams whose loss would change its probabilities most.

    Args:
        model: Model.
        bigrams: Number of bigrams to keep at most, beside those that trigrams need.
        trigrams: Number of trigrams to keep at most.

    Source:
        Seymore and Rosenfeld, Scalable backoff language models, ICSLP 1996: the weighted difference.
    """
    size = len(model.vocabulary)
    context, last = np.divmod(model.keys[0], size)
    pair, third = np.divmod(model.keys[1], size)
    joint = model.log_probs[0][context] + model.log_probs[1]
    lower = model.backoffs[0][context] + model.log_probs[0][last]
    gain = np.exp(joint) * (model.log_probs[1] - lower)
    without = np.stack([np.full(len(pair), -1), last[pair]], axis=1)
    lower = model.backoffs[1][pair] + model.score_many(without, third)
    gains = np.exp(joint[pair] + model.log_probs[2]) * (model.log_probs[2] - lower)
    kept3 = np.sort(np.argsort(-gains, kind="stable")[:trigrams])
    kept2 = np.union1d(np.argsort(-gain, kind="stable")[:bigrams], pair[kept3])
    keys = model.keys[0][kept2], np.searchsorted(kept2, pair[kept3]) * size + third[kept3]
    log_probs = model.log_probs[0], model.log_probs[1][kept2], model.log_probs[2][kept3]
    return _with_backoffs(NgramModel(model.vocabulary, keys, log_probs, (np.zeros(size), np.zeros(len(kept2)))))


def _discount(counts: Counter[tuple[int, ...]]) -> float:
    once, twice = (sum(count == number for count in counts.values()) for number in (1, 2))
    return once / (once + 2 * twice) if once and twice else 0.5


def _from_tables(
    words: Sequence[str], probs: Sequence[dict[tuple[int, ...], float]], weights: Sequence[dict[tuple[int, ...], float]]
) -> NgramModel:
    """Return a model of probabilities by n-gram, and of backoff weights by context."""
    size = len(words)
    singles = [probs[0].get((word,), 0.0) for word in range(size)]
    pairs = sorted(probs[1])
    place = {pair: number for number, pair in enumerate(pairs)}
    triples = sorted((place[gram[:2]], gram[2], gram) for gram in probs[2] if gram[:2] in place)
    return NgramModel(
        tuple(words),
        (
            np.array([first * size + second for first, second in pairs], dtype=np.int64),
            np.array([pair * size + third for pair, third, _ in triples], dtype=np.int64),
        ),
        (_log(singles), _log([probs[1][pair] for pair in pairs]), _log([probs[2][gram] for *_, gram in triples])),
        (
            _log([weights[0].get((word,), 1.0) for word in range(size)]),
            _log([weights[1].get(pair, 1.0) for pair in pairs]),
        ),
    )


def _restrict(model: NgramModel, words: Sequence[str]) -> NgramModel:
    """Return a model with the words of another vocabulary; its backoffs stay as they are."""
    size, old = len(words), len(model.vocabulary)
    numbers = {word: number for number, word in enumerate(words)}
    new = np.array([numbers.get(word, -1) for word in model.vocabulary])
    rarest = model.log_probs[0][model.log_probs[0] > _IMPOSSIBLE / 2].min()
    singles, backoff = np.full(size, rarest), np.zeros(size)
    singles[new[new >= 0]], backoff[new[new >= 0]] = model.log_probs[0][new >= 0], model.backoffs[0][new >= 0]
    first, second = (new[part] for part in np.divmod(model.keys[0], old))
    kept = np.flatnonzero((first >= 0) & (second >= 0))
    order = kept[np.argsort(first[kept] * size + second[kept])]
    place = np.full(len(first), -1)
    place[order] = np.arange(len(order))
    pair, third = np.divmod(model.keys[1], old)
    pair, third = place[pair], new[third]
    kept3 = np.flatnonzero((pair >= 0) & (third >= 0))
    order3 = kept3[np.argsort(pair[kept3] * size + third[kept3])]
    return NgramModel(
        tuple(words), (first[order] * size + second[order], pair[order3] * size + third[order3]),
        (singles, model.log_probs[1][order], model.log_probs[2][order3]), (backoff, model.backoffs[1][order]),
    )  # fmt: skip


def _trigrams(model: NgramModel) -> Int[ndarray, "N 3"]:
    pair, third = np.divmod(model.keys[1], len(model.vocabulary))
    return np.column_stack([*np.divmod(model.keys[0][pair], len(model.vocabulary)), third])


def _with_backoffs(model: NgramModel) -> NgramModel:
    """Return a model whose probabilities after each context have the sum 1."""
    size = len(model.vocabulary)
    singles = model.log_probs[0] - np.log(np.exp(model.log_probs[0]).sum())
    context, last = np.divmod(model.keys[0], size)
    first = _left(context, model.log_probs[1], singles[last], size)
    pair, third = np.divmod(model.keys[1], size)
    half = NgramModel(
        model.vocabulary, model.keys, (singles, *model.log_probs[1:]), (first, np.zeros_like(model.backoffs[1]))
    )
    lower = half.score_many(np.stack([np.full(len(pair), -1), last[pair]], axis=1), third)
    second = _left(pair, model.log_probs[2], lower, len(model.keys[0]))
    return NgramModel(model.vocabulary, model.keys, half.log_probs, (first, second))


def _left(contexts: _Ints, log_probs: _Floats, lower: _Floats, count: int) -> _Floats:
    """Return the backoff of each context: what is left of 1, over what is left of the order below."""
    used = np.bincount(contexts, np.exp(log_probs), count)
    used_below = np.bincount(contexts, np.exp(lower), count)
    return np.log(np.maximum(1 - used, _MIN_LEFT) / np.maximum(1 - used_below, _MIN_LEFT))


def _log(values: Sequence[float]) -> _Floats:
    array = np.array(values, dtype=np.float64)
    return np.where(array > 0, np.log(np.maximum(array, 1e-300)), _IMPOSSIBLE)


def _take(values: ndarray, places: ndarray) -> ndarray:
    """Return values at places; any value where there are none."""
    return values[places] if len(values) else np.zeros(len(places), dtype=values.dtype)
