"""Phones back to words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.errors import TextError
from vocable.text.lexicon import Lexicon
from vocable.text.phonemes import ARPABET, SILENCE
from vocable.text.words import WordFinder

LEXICON = Lexicon(
    "mine",
    {
        "two": ["T UW"], "to": ["T UW", "T AH"], "cats": ["K AE T S"], "cat": ["K AE T"], "sit": ["S IH T"],
        "it": ["IH T"], "morning": ["M AO R N IH NG"],
    },
)  # fmt: skip
COSTS = {"to": 2.0, "two": 5.0, "cats": 8.0, "cat": 6.0, "sit": 7.0, "it": 3.0, "morning": 7.0}
FINDER = WordFinder(LEXICON, COSTS)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["to", "cat", "morning"]), max_size=8))
def test_words_that_sound_like_no_others_come_back(words: list[str]) -> None:
    phones = [phone for word in words for phone in LEXICON.words[word][0].split()]
    assert FINDER.words(phones) == words


def test_of_words_that_sound_alike_the_cheapest_is_taken() -> None:
    assert FINDER.words(["T", "UW"]) == ["to"]
    assert FINDER.words(["K", "AE", "T", "S", "IH", "T"]) == ["cats", "it"]  # 11 nats, and "cat sit" 13


def test_no_word_reaches_across_a_silence() -> None:
    assert FINDER.words(["K", "AE", "T", "SIL", "S", "IH", "T", "SIL"]) == ["cat", "sit"]
    assert FINDER.words([]) == FINDER.words([SILENCE]) == []


@pytest.mark.parametrize(
    "heard", ["M AO R L IH NG", "M AO R IH NG", "M AO R N ZH IH NG", "AO R N IH NG", "M AO1 R N IH0 NG"]
)
def test_a_phone_that_is_wrong_missing_or_too_many_is_forgiven(heard: str) -> None:
    assert FINDER.words(heard.split()) == ["morning"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([SILENCE, *ARPABET]), max_size=30))
def test_any_phones_give_words_of_the_dictionary(phones: list[str]) -> None:
    assert set(FINDER.words(phones)) <= set(LEXICON.words)


def test_other_symbols_and_a_missing_dictionary_are_refused() -> None:
    with pytest.raises(TextError, match="phones to words: phoneme 2 of 2, 'ʃ'"):
        FINDER.words(["T", "ʃ"])
    with pytest.raises(TextError, match="needs a dictionary"):
        WordFinder(Lexicon("none", {}))
