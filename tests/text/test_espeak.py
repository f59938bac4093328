"""IPA through eSpeak NG."""

import sys

import pytest

from vocable.errors import MissingDependencyError, TextError
from vocable.text.espeak import EspeakPronouncer
from vocable.text.phonemes import SILENCE, PhonemeSet
from vocable.text.pronounce import Pronouncer


def test_without_phonemizer_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonemizer", None)
    monkeypatch.setitem(sys.modules, "phonemizer.backend", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vocable\[ipa\]'"):
        EspeakPronouncer("de")


def test_german_is_words_and_pauses_in_ipa() -> None:
    german = EspeakPronouncer("de")
    assert isinstance(german, Pronouncer)
    spoken = german.phones("Schöne Mädchen; um 3.5 Uhr!")
    assert [(one.text, one.source) for one in spoken] == [
        ("Schöne", "espeak"), ("Mädchen", "espeak"), (";", "mark"), ("um 3.5 Uhr", "espeak"), ("!", "mark")
    ]  # fmt: skip
    assert spoken[0].phones == ("ʃ", "øː", "n", "ə")
    assert spoken[2].phones == (SILENCE,)
    phonemes = PhonemeSet((SILENCE, *sorted({phone for one in spoken for phone in one.phones} - {SILENCE})))
    assert phonemes.names(phonemes.ids(spoken[1].phones)) == list(spoken[1].phones)


@pytest.mark.slow
def test_text_without_words_and_other_languages_are_refused() -> None:
    with pytest.raises(TextError, match="nothing in it to say"):
        EspeakPronouncer("de").phones(" ?! ")
    with pytest.raises(TextError, match="does not speak 'de-xx'; use one of de"):
        EspeakPronouncer("de-xx")
