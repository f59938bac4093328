"""Every subword of a text has its stretch of the recording, and together they are all of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import ndarray

from vocable.data.alignment import Alignment, Segment
from vocable.data.alignment.words import estimate_spans, subword_spans, word_spans
from vocable.errors import AlignmentError
from vocable.text.subwords import Subwords

SAID = Alignment((
    Segment("SIL", 0.0, 0.5), Segment("DH", 0.5, 0.6), Segment("AH", 0.6, 0.75), Segment("SIL", 0.75, 1.0),
    Segment("D", 1.0, 1.25), Segment("AO", 1.25, 1.5), Segment("G", 1.5, 1.75), Segment("SIL", 1.75, 2.0),
))  # fmt: skip


def split(*words: list[str]) -> Subwords:
    texts = [text for word in words for text in word]
    numbers = [number for number, word in enumerate(words) for _ in word]
    return Subwords(ids=tuple(range(len(texts))), word_ids=tuple(numbers), texts=tuple(texts))


def tiles(spans: ndarray, units: int) -> bool:
    starts, ends = spans.T
    return bool(starts[0] == 0 and ends[-1] == units and (starts[1:] == ends[:-1]).all() and (starts < ends).all())


def test_a_word_lasts_from_its_first_phone_to_its_last() -> None:
    assert word_spans(SAID, [["DH", "AH0"], ["D", "AO1", "G"]]) == [(0.5, 0.75), (1.0, 1.75)]
    assert word_spans(SAID, [["DH"], ["AH", "D", "AO", "G"]]) == [(0.5, 0.6), (0.6, 1.75)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([["DH", "AH"], ["D", "AO"]], "the alignment has 5 phones, the words have 4"),
        ([["DH", "AH"], ["D", "AA", "G"]], "are not the same"),
        ([], "the words have 0"),
        ([["DH", "AH"], [], ["D", "AO", "G"]], "word 2 of 3 has no phones"),
    ],
)
def test_phones_of_another_text_are_refused(words: list[list[str]], message: str) -> None:
    with pytest.raises(AlignmentError, match=message):
        word_spans(SAID, words)


def test_pieces_share_their_word_by_letters_and_silence_belongs_to_what_was_said_before() -> None:
    spans = subword_spans([(0.5, 0.75), (1.0, 1.75)], split(["the"], ["d", "og"]), units=50, rate=25.0)
    assert spans.tolist() == [[0, 25], [25, 31.25], [31.25, 50]]
    marked = subword_spans([(0.5, 0.75), (1.0, 1.75)], split(["the", ","], ["dog"]), units=50, rate=25.0)
    assert marked[1, 1] == 25, "the pause is the comma's"
    assert marked[1, 0] == pytest.approx((0.5 + 0.25 * 3 / 4) * 25)


def test_words_that_are_not_those_of_the_text_are_refused() -> None:
    with pytest.raises(AlignmentError, match="1 words are aligned, but the text has 2"):
        subword_spans([(0.0, 1.0)], split(["a"], ["b"]), units=9, rate=9.0)
    for spans in (lambda: subword_spans([(0.0, 1.0)], split(["a"]), 0, 9.0), lambda: estimate_spans(split(["a"]), 0)):
        with pytest.raises(AlignmentError, match="there are no units"):
            spans()


def test_a_guess_goes_by_letters() -> None:
    assert estimate_spans(split(["wh", "o"], ["a"]), 8).tolist() == [[0, 4], [4, 6], [6, 8]]


def test_a_word_behind_the_last_unit_still_has_a_stretch() -> None:
    spans = subword_spans([(0.0, 1.0), (1.01, 1.04)], split(["a"], ["b", "c"]), units=10, rate=10.0)
    assert tiles(spans, 10)


@settings(deadline=None)
@given(
    words=st.lists(st.lists(st.text("abc'", max_size=5), min_size=1, max_size=4), min_size=1, max_size=8),
    gaps=st.data(),
    room=st.integers(0, 40),
    rate=st.sampled_from([12.5, 25.0, 50.0]),
)
def test_stretches_tile_the_recording_whatever_the_alignment(
    words: list[list[str]], gaps: st.DataObject, room: int, rate: float
) -> None:
    text = split(*words)
    units = len(text.ids) + room
    times = np.cumsum([gaps.draw(st.sampled_from([0.001, 0.03, 0.4])) for _ in range(2 * len(words))])
    spans = [(float(start), float(end)) for start, end in times.reshape(-1, 2)]
    assert tiles(subword_spans(spans, text, units, rate), units)
    assert tiles(estimate_spans(text, units), units)
