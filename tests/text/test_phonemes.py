"""An alphabet: silence first, every id a symbol and back, and what is not in it is named with its place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vocable.errors import ConfigError, TextError
from vocable.text.phonemes import ARPABET, SILENCE, PhonemeSet, strip_stress

SYMBOLS = st.lists(st.text(st.characters(categories=["L", "Mn"]), min_size=1, max_size=3), unique=True, max_size=30)


def test_arpabet_is_silence_and_39_phones_in_order() -> None:
    phonemes = PhonemeSet.arpabet()
    assert len(phonemes) == 40
    assert phonemes.symbols == (SILENCE, *sorted(ARPABET))
    assert phonemes.ids([SILENCE]) == [0]


@given(SYMBOLS)
def test_any_alphabet_goes_to_ids_and_back_and_through_json(symbols: list[str]) -> None:
    phonemes = PhonemeSet((SILENCE, *(symbol for symbol in symbols if symbol != SILENCE)))
    assert phonemes.ids(phonemes.symbols) == list(range(len(phonemes)))
    assert tuple(phonemes.names(range(len(phonemes)))) == phonemes.symbols
    assert PhonemeSet(tuple(json.loads(json.dumps(list(phonemes.symbols))))) == phonemes


def test_stress_and_case_count_for_nothing_in_arpabet_and_for_all_elsewhere() -> None:
    assert PhonemeSet.arpabet().ids(["AH0", "ah1", "sil"]) == PhonemeSet.arpabet().ids(["AH", "AH", "SIL"])
    assert strip_stress(" ey2 ") == "EY"
    sampa = PhonemeSet((SILENCE, "n", "N", "a1", "a2"))
    assert sampa.ids(["N", "n", "a2"]) == [2, 1, 4]
    with pytest.raises(TextError, match="'A2'"):
        sampa.ids(["A2"])


def test_a_symbol_that_is_not_there_is_named_with_its_place_and_the_inventory() -> None:
    with pytest.raises(TextError, match=r"^a\.jsonl, line 3: phoneme 2 of 3, 'ʃ', is not among .*\(SIL AA .* ZH\); "):
        PhonemeSet.arpabet().ids(["HH", "ʃ", "T"], "a.jsonl, line 3")
    large = PhonemeSet((SILENCE, *map(chr, range(0x3041, 0x3041 + 80))))
    with pytest.raises(TextError) as caught:
        large.ids(["x" * 500])
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("number", [-1, 40])
def test_ids_of_another_set_are_refused(number: int) -> None:
    with pytest.raises(TextError, match=rf"id {number} is not in \[0, 40\)"):
        PhonemeSet.arpabet().names([1, number])


def test_one_text_is_no_list_of_phonemes() -> None:
    with pytest.raises(TextError, match=r"text\.split"):
        PhonemeSet.arpabet().ids("HH AY")


@pytest.mark.parametrize(
    "symbols", [(), ("AA",), (SILENCE, "A", "A"), (SILENCE, ""), (SILENCE, "A B"), (SILENCE, "\n")]
)
def test_what_is_no_alphabet_is_refused(symbols: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        PhonemeSet(symbols)
