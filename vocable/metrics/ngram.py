"""N-gram language model of token ids: a lower bound on how well they can be modeled, which needs no training loop."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from vocable.errors import ConfigError, ShapeError

_Row = Int[ndarray, " _"]


def ngram_bits(
    training: Sequence[_Row], test: Sequence[_Row], codebook_size: int, order: int = 4
) -> list[Float[ndarray, " _"]]:
    """Return the bits of each test id under an interpolated Kneser-Ney n-gram fitted on other rows.

    A unigram (``order=1``) is the relative frequency with absolute discounting. In every order, the discounted mass
    goes to the order below, and below the unigram to a uniform distribution. Every id has a probability above 0.

    Args:
        training: Ids of the rows that the model is fitted on, in [0, K).
        test: Ids of the rows to score. Their first ids are predicted from a mark for the start of a row.
        codebook_size: Number of entries K.
        order: Length of an n-gram: an id and at most ``order - 1`` ids before it.

    Returns:
        Negative base-2 logarithm of the probability of each id, one array per test row.

    Raises:
        ConfigError: If ``order`` is under 1.
        ShapeError: If an id is outside [0, K), or there is nothing to fit on.

    Source:
        Kneser and Ney, ICASSP 1995; interpolated form and discount n1 / (n1 + 2 n2): Chen and Goodman,
        Computer Speech and Language 13(4), 1999.

    Example:
        >>> row = np.tile([0, 1, 2, 3], 50)
        >>> bits = {order: ngram_bits([row], [row], 4, order)[0].mean() for order in (1, 4)}
        >>> float(round(bits[1], 2)), bool(bits[4] < 0.1)
        (2.0, True)
    """
    if order < 1:
        raise ConfigError(f"an n-gram of order {order} holds no id; give at least 1")
    rows = [np.asarray(row, dtype=np.int64) for row in (*training, *test)]
    ids = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < codebook_size:
        raise ShapeError(
            f"ids lie in [{int(ids.min())}, {int(ids.max())}] but codebook_size is {codebook_size}; "
            "pass the K they were made with"
        )
    fitted = sum(row.size for row in rows[: len(training)])
    if not fitted:
        raise ShapeError("there is no id to fit an n-gram on; give rows of other clips")
    contexts = _number_contexts(rows, codebook_size, order)
    probability = np.full(ids.size - fitted, 1.0 / codebook_size)
    for length in range(order):
        counts = _kneser_ney_counts(contexts, ids, fitted, codebook_size, length, is_highest=length == order - 1)
        probability = _interpolate(contexts[length], ids, fitted, codebook_size, counts, probability)
    ends = np.cumsum([row.size for row in rows[len(training) :]])[:-1]
    return np.split(-np.log2(probability), ends) if test else []


def _number_contexts(rows: Sequence[_Row], codebook_size: int, order: int) -> list[_Row]:
    """Return for each context length the number of the context of each id; equal contexts have equal numbers."""
    contexts = [np.zeros(sum(row.size for row in rows), dtype=np.int64)]
    for length in range(1, order):
        # the id `length` places before; K marks the start of the row
        before = [
            np.concatenate([np.full(min(length, row.size), codebook_size), row[: -length or None]]) for row in rows
        ]
        before = [part[: row.size] for part, row in zip(before, rows, strict=True)]
        keys = contexts[-1] * (codebook_size + 1) + np.concatenate(before)
        contexts.append(np.unique(keys, return_inverse=True)[1].reshape(-1))
    return contexts


def _kneser_ney_counts(
    contexts: Sequence[_Row], ids: _Row, fitted: int, codebook_size: int, length: int, *, is_highest: bool
) -> tuple[_Row, _Row]:
    """Return the n-grams of the fitted rows with contexts of a length, as sorted keys, and their counts.

    The highest order counts occurrences. A lower one counts in how many different contexts of one id more an n-gram
    continues: a frequent id that only ever follows one other is unlikely in a new context.
    """
    keys = contexts[length][:fitted] * codebook_size + ids[:fitted]
    if not is_highest:
        longer = contexts[length + 1][:fitted] * codebook_size + ids[:fitted]
        keys = keys[np.unique(longer, return_index=True)[1]]
    return np.unique(keys, return_counts=True)


def _interpolate(
    contexts: _Row, ids: _Row, fitted: int, codebook_size: int, counts: tuple[_Row, _Row],
    lower: Float[ndarray, " T"],
) -> Float[ndarray, " T"]:  # fmt: skip
    """Return the probabilities of the test ids, given those of the order below."""
    ngrams, occurrences = counts
    once, twice = (int((occurrences == count).sum()) for count in (1, 2))
    discount = once / (once + 2 * twice) if once and twice else 0.75  # their estimate would be 0 or 1
    size = int(contexts.max()) + 1
    total = np.bincount(ngrams // codebook_size, weights=occurrences, minlength=size)[contexts[fitted:]]
    distinct = np.bincount(ngrams // codebook_size, minlength=size)[contexts[fitted:]]
    keys = contexts[fitted:] * codebook_size + ids[fitted:]
    place = np.searchsorted(ngrams, keys).clip(max=ngrams.size - 1)
    count = np.where(ngrams[place] == keys, occurrences[place], 0)
    seen = total > 0
    mass = np.where(seen, discount * distinct / np.where(seen, total, 1), 1.0)  # an unseen context adds nothing
    return np.maximum(count - discount, 0.0) / np.where(seen, total, 1) + mass * lower
