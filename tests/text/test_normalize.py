"""Text for speaking: what is said, spelt out, and where one pauses."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.errors import TextError
from vocable.text import numbers
from vocable.text.normalize import PAUSES, to_words

WORD = re.compile(r"[a-z]+('[a-z]+)*|[a-z]\.('[a-z]+)?")
KNOWN = {"nasa", "usa", "'em", "boys", "est"}

SAID = {
    "Dr. Smith, Elm Dr. near St. Paul St., No. 5": "doctor smith , elm drive near saint paul street , number five",
    "Mr Bean, Mrs. Dalloway & co. vs. Them": "mister bean , missus dalloway and company versus them",
    "It's 3:30 p.m., not 12:05 or 7:00": "it's three thirty p. m. , not twelve oh five or seven o'clock",
    "In 1984, 1905 and 2024; the 1980s and '90s": "in nineteen eighty four , nineteen oh five and twenty twenty four ; "
    "the nineteen eighties and nineties",
    "1,984 people, 1984% and 2500": "one thousand nine hundred eighty four people , "
    "one thousand nine hundred eighty four percent and two thousand five hundred",
    "$1, $5.50, £3.5 million": "one dollar , five dollars fifty cents , three point five million pounds",
    "€0.01": "one cent",
    "the 1st, 22nd and 40th": "the first , twenty second and fortieth",
    "-5° or 3.14 or .5": "minus five degrees or three point one four or zero point five",
    "007 and 12345678901234567": "zero zero seven and one two three four five six seven eight nine zero one two three "
    "four five six seven",
    "1/2, ¾, 24/7": "one half , three quarters , twenty four over seven",
    "10 km at 60mph": "ten kilometers at sixty miles per hour",
    "NASA and the XKCD's GPU": "nasa and the x. k. c. d.'s g. p. u.",
    "J. R. R. Tolkien": "j. r. r. tolkien",
    "e.g. this, i.e. that, etc.": "for example this , that is that , etcetera .",
    "“Don’t!” he said… ‘well-known’ (it’s) -- so": "don't ! he said . well known , it's , so",
    "give 'em boys' toys": "give 'em boys toys",
    "naïve Café, Straße, Łódź": "naive cafe , strasse , lodz",
    "snake_case/and a\u00adb\u200bc": "snake case and abc",
    "!?..., so?!": "so !",
}


@pytest.mark.parametrize("text", SAID)
def test_text_is_written_out_as_it_is_said(text: str) -> None:
    assert " ".join(to_words(text, KNOWN)) == SAID[text]


def test_a_text_in_capitals_has_no_acronyms_but_those_nobody_can_say() -> None:
    assert to_words("HE HOPED THERE'D BE STEW") == ["he", "hoped", "there'd", "be", "stew"]
    assert to_words("THE XKCD") == ["the", "x.", "k.", "c.", "d."]


@settings(deadline=None)
@given(st.text(max_size=60) | st.text("aAbI'’.,;:-$%&/ 0123456789()\n", max_size=40))
def test_every_text_is_words_and_single_pauses_or_a_named_error(text: str) -> None:
    try:
        words = to_words(text)
    except TextError:
        return
    assert words
    assert words[0] not in PAUSES
    assert all(word in PAUSES or WORD.fullmatch(word) for word in words)
    assert not any(one in PAUSES and other in PAUSES for one, other in pairwise(words))


@pytest.mark.parametrize("text", ["", "  \n", "?!", "“”", "..."])
def test_text_without_a_word_is_refused(text: str) -> None:
    with pytest.raises(TextError, match="nothing in it to say"):
        to_words(text)


@pytest.mark.parametrize(
    ("text", "symbol"), [("say 你好", "你"), ("hi 😀", "😀"), ("привет", "п"), ("a\0b", "U.0000"), ("٣", "٣")]
)
def test_a_symbol_that_is_not_english_is_named_with_the_remedy(text: str, symbol: str) -> None:
    with pytest.raises(TextError, match=rf"{symbol}.*write it out in letters"):
        to_words(text)


@settings(deadline=None)
@given(st.integers(0, 10**15 - 1))
def test_every_number_is_said_as_itself(number: int) -> None:
    assert value_of(numbers.cardinal(str(number))) == number


def value_of(words: list[str]) -> int:
    """The number that words say, by another way round."""
    small = {word: value for value, word in enumerate(numbers._ONES)}
    small |= {word: 10 * ten for ten, word in enumerate(numbers._TENS) if word}
    scales = {word: 1000**power for power, word in enumerate(numbers._THOUSANDS) if word}
    total = group = 0
    for word in words:
        if word in scales:
            total, group = total + group * scales[word], 0
        else:
            group = group * 100 if word == "hundred" else group + small[word]
    return total + group


def test_years_from_1100_to_2099_all_have_a_name() -> None:
    names = {" ".join(numbers.year(str(year))) for year in range(1100, 2100)}
    assert len(names) == 1000
