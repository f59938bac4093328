"""The best path: against every path there is, and an example worked by hand."""

from itertools import combinations, groupby, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from vocable.data.alignment.viterbi import BLANK, places_needed, spans, viterbi
from vocable.errors import AlignmentError


def spelt(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(one for one, _ in groupby(path) if one != BLANK)


@settings(deadline=None, max_examples=300)
@given(some.integers(0, 2**32 - 1), some.integers(1, 5), some.integers(2, 4), some.integers(1, 4))
def test_no_path_that_spells_the_sequence_is_likelier(seed: int, frames: int, classes: int, length: int) -> None:
    random = np.random.default_rng(seed)
    log_probs = 2 * random.standard_normal((frames, classes))
    ids = random.integers(1, classes, length).tolist()
    chosen = [place for place in range(length) if random.random() < 0.4]
    optional = [place for place in chosen if place - 1 not in chosen]
    ways = {
        tuple(one for place, one in enumerate(ids) if place not in left)
        for count in range(len(optional) + 1)
        for left in combinations(optional, count)
    }
    sums = [
        sum(log_probs[frame, one] for frame, one in enumerate(path))
        for path in product(range(classes), repeat=frames)
        if spelt(path) in ways
    ]
    if not sums:
        with pytest.raises(AlignmentError, match=f"{length} symbols do not fit into {frames} frames"):
            viterbi(log_probs, ids, optional)
        return
    path, total = viterbi(log_probs, ids, optional)
    assert total == pytest.approx(max(sums))
    taken = tuple(BLANK if place < 0 else ids[place] for place in path)
    assert spelt(taken) in ways
    assert sum(log_probs[frame, one] for frame, one in enumerate(taken)) == pytest.approx(total)
    assert sorted(place for place in path if place >= 0) == [place for place in path if place >= 0]


def test_an_example_by_hand() -> None:
    """Frames say C, C, blank, A, T with .8 each and .1 else, so CAT takes them as they are; CCAT needs the blank."""
    log_probs = np.log(np.full((5, 4), 0.1) + 0.7 * np.eye(4)[[1, 1, 0, 2, 3]])
    path, total = viterbi(log_probs, [1, 2, 3])
    assert (path, total) == ([0, 0, -1, 1, 2], pytest.approx(5 * np.log(0.8)))
    assert viterbi(log_probs, [1, 2, 3, 3]) == ([0, 1, 2, -1, 3], pytest.approx(2 * np.log(0.8) + 3 * np.log(0.1)))
    assert places_needed([1, 2, 3, 3]) == 5
    with pytest.raises(AlignmentError, match="5 symbols do not fit into 5 frames"):
        viterbi(log_probs, [1, 2, 3, 3, 3])
    with pytest.raises(AlignmentError, match="the sequence is empty"):
        viterbi(log_probs, [])


def test_blanks_are_halved_and_nothing_is_lost() -> None:
    assert spans([-1, -1, 0, 0, -1, -1, -1, 1, 2, -1]) == [(0, 0.0, 5.5), (1, 5.5, 8.0), (2, 8.0, 10.0)]


@given(some.lists(some.integers(1, 3), min_size=1, max_size=12), some.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_spans_cover_every_frame_in_order(ids: list[int], seed: int) -> None:
    log_probs = np.random.default_rng(seed).standard_normal((places_needed(ids) + 7, 4))
    found = spans(viterbi(log_probs, ids)[0])
    assert [place for place, _, _ in found] == list(range(len(ids)))
    assert (found[0][1], found[-1][2]) == (0.0, len(log_probs))
    assert all(one[2] == other[1] > one[1] for one, other in pairwise(found))
