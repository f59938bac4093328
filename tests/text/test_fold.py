"""Folding: one spelling for characters that look alike, before numbers are told from words."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vocable.text.fold import fold, fold_latin

FOLDED = {
    "3½": "3 1/2",
    "1¹⁄₂": "1 1/2",
    "10²": "10^2",
    "10⁻³": "10^-3",
    "㎡": "m^2",
    "5㎏, cat₨dog": "5 kg, cat Rs dog",
    "20℃": "20 °C",
    "5…6": "5 ... 6",
    "Apple™": "Apple ",
    "1\u200b2": "1 2",
    "3\u200b½": "3 1/2",
    "10\u2060²": "10^2",
    "Ⅳ\ufeff5": "IV 5",
    "1\u202d2": "1 2",
    "a\u200bb": "ab",
    "1\u20602 3\u00ad4 5\ufeff6": "1 2 3 4 5 6",
    "\u202e12\u202c": "12",
    "co\u00adop": "coop",
    "10\u202f000": "10,000",
    "5\u00a0km": "5 km",
    "１２，３４５％": "12,345%",
    "𝟏𝟐": "12",
    "ChapterⅣ": "Chapter IV",
    "a①b": "a 1 b",
    "H₂O": "H2O",
    "10₂": "10 2",
    "1ˢᵗ, 2ⁿᵈ, 2ⁿ": "1st, 2nd, 2^n",
    "“it’s” `x´": "\"it's\" 'x'",
    "5‐6 5‑6 5‒6": "5-6 5-6 5-6",
    "e\u0301": "é",
    "ﬁne": "fine",
    "©\ufe0f": "©",
    "٣": "٣",
}


@pytest.mark.parametrize("text", FOLDED)
def test_like_characters_become_one(text: str) -> None:
    assert fold(text) == FOLDED[text]


@given(st.text(max_size=30))
def test_folding_twice_changes_nothing(text: str) -> None:
    once = fold(text)
    assert fold(once) == once


@given(st.text(st.characters(max_codepoint=127, exclude_characters="`"), max_size=30))
def test_plain_text_is_unchanged(text: str) -> None:
    assert fold(text) == text


def test_accents_of_latin_letters_alone_are_dropped() -> None:
    assert fold_latin("Ñandú, Łódź, Straße, ﬀ, й") == unicodedata.normalize("NFD", "Nandu, Lodz, Strasse, ff, й")
