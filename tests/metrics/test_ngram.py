"""N-grams of token ids: proper probabilities, equal to counting by hand, fitted on other rows alone."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vocable.errors import ConfigError, ShapeError
from vocable.metrics.ngram import ngram_bits

ROWS = st.lists(st.lists(st.integers(0, 4), max_size=12), min_size=1, max_size=4)


@given(rows=ROWS, history=st.lists(st.integers(0, 4), max_size=5), order=st.integers(1, 4))
def test_probabilities_of_all_ids_after_any_history_sum_to_one(
    rows: list[list[int]], history: list[int], order: int
) -> None:
    training = [np.array(row, dtype=np.int64) for row in [*rows, [0]]]
    test = [np.array([*history, last]) for last in range(5)]
    total = sum(2.0 ** -bits[-1] for bits in ngram_bits(training, test, 5, order))
    assert total == pytest.approx(1.0)


def test_a_bigram_is_what_counting_by_hand_gives() -> None:
    training, test = [0, 1, 0, 1, 0, 2], [0, 1]
    start = "start"
    bigrams = Counter(zip([start, *training], training, strict=False))
    kinds = Counter(last for _, last in bigrams)  # in how many contexts an id occurs
    once, twice = (sum(count == n for count in bigrams.values()) for n in (1, 2))
    assert (once, twice) == (2, 2)
    discount = once / (once + 2 * twice)
    lower_once, lower_twice = (sum(count == n for count in kinds.values()) for n in (1, 2))
    lower_discount = lower_once / (lower_once + 2 * lower_twice)

    def unigram(last: int) -> float:
        total = sum(kinds.values())
        return (kinds[last] - lower_discount) / total + lower_discount * len(kinds) / total / 3

    def bigram(first: object, last: int) -> float:
        after = [count for (context, _), count in bigrams.items() if context == first]
        return (bigrams[first, last] - discount) / sum(after) + discount * len(after) / sum(after) * unigram(last)

    expected = [-math.log2(bigram(start, 0)), -math.log2(bigram(0, 1))]
    (bits,) = ngram_bits([np.array(training)], [np.array(test)], 3, order=2)
    assert bits == pytest.approx(expected)


def test_an_unseen_context_falls_back_and_an_unseen_id_has_a_probability() -> None:
    training = [np.array([0, 1] * 20)]
    (bits,) = ngram_bits(training, [np.array([2, 3, 2])], 8)
    assert np.isfinite(bits).all()
    assert (bits > 3).all()  # rarer than one of eight


def test_order_tells_where_ids_follow_one_another_and_nothing_where_they_do_not() -> None:
    random = np.random.default_rng(0)
    chain = [np.cumsum(random.integers(1, 3, 500)) % 16 for _ in range(6)]  # one of two may follow
    noise = [random.integers(0, 16, 500) for _ in range(6)]
    for rows, after, alone in ((chain, 1.0, 4.0), (noise, 4.0, 4.0)):
        four, one = (np.concatenate(ngram_bits(rows[:5], rows[5:], 16, order)).mean() for order in (4, 1))
        assert after - 0.05 < four < after + 0.6  # what few data cost
        assert one == pytest.approx(alone, abs=0.1)


def test_rows_of_any_length_keep_their_length() -> None:
    rows = [np.array(row, dtype=np.int64) for row in ([], [1], [1, 2, 0])]
    assert [bits.size for bits in ngram_bits(rows, rows, 3)] == [0, 1, 3]
    assert ngram_bits(rows, [], 3) == []


@pytest.mark.parametrize(
    ("training", "test", "order", "error", "message"),
    [
        ([[0, 3]], [[0]], 4, ShapeError, r"\[0, 3\] but codebook_size is 3"),
        ([[0]], [[-1]], 4, ShapeError, r"\[-1, 0\]"),
        ([[0]], [[0]], 0, ConfigError, "order 0 holds no id"),
        ([], [[0]], 4, ShapeError, "no id to fit"),
        ([[]], [[0]], 4, ShapeError, "no id to fit"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    training: list[list[int]], test: list[list[int]], order: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ngram_bits([np.array(row, dtype=np.int64) for row in training], [np.array(row) for row in test], 3, order)
