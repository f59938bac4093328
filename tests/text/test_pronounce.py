"""Text to phones: every word says where its phones come from."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.errors import TextError
from vocable.metrics.text import wer
from vocable.text.phonemes import ARPABET, SILENCE, PhonemeSet
from vocable.text.pronounce import ArpabetPronouncer, Pronouncer
from vocable.text.pronounce import pronunciations_from_phones as known
from vocable.text.words import WordFinder


@pytest.fixture(scope="module")
def english() -> ArpabetPronouncer:
    return ArpabetPronouncer()


@pytest.mark.slow
def test_words_come_from_the_dictionary_then_rules_then_the_model(english: ArpabetPronouncer) -> None:
    spoken = english.phones("Hello, the glorp's tokens: retweeting XKCD.")
    assert [(one.text, one.source) for one in spoken] == [
        ("hello", "dictionary"), (",", "mark"), ("the", "dictionary"), ("glorp's", "model"), ("tokens", "dictionary"),
        (":", "mark"), ("retweeting", "model"), ("x.", "dictionary"), ("k.", "dictionary"), ("c.", "dictionary"),
        ("d.", "dictionary"), (".", "mark"),
    ]  # fmt: skip
    assert spoken[0].phones == ("HH", "AH", "L", "OW")
    assert spoken[1].phones == (SILENCE,)
    assert spoken[1].is_pause
    assert spoken[3].phones[-1] in {"S", "Z"}
    assert english.word("glorp").phones == spoken[3].phones[:-1]
    assert english.word("zebra's").source == "rule"
    assert isinstance(english, Pronouncer)


def test_a_lexicon_of_ones_own_comes_before_all(tmp_path: Path) -> None:
    path = tmp_path / "mine.dict"
    path.write_text("glorp G L AO1 R P\nhello Y OW\n")
    mine = ArpabetPronouncer(path)
    spoken = mine.phones("hello glorps b.")
    assert [(one.source, one.phones) for one in spoken[:2]] == [
        ("dictionary", ("Y", "OW")), ("rule", ("G", "L", "AO", "R", "P", "S"))
    ]  # fmt: skip
    assert WordFinder(mine.lexicon).words(["G", "L", "AO", "R", "P", SILENCE, "Y", "OW"]) == ["glorp", "hello"]
    assert mine.name.startswith("mine.dict, g2p-en")


def test_without_a_dictionary_letters_have_names_and_the_model_says_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    alone = ArpabetPronouncer()
    spoken = alone.phones("A splat, the FBI.")
    assert [one.source for one in spoken] == ["rule", "model", "mark", "model", "rule", "rule", "rule", "mark"]
    assert spoken[0].phones == ("AH",)
    assert spoken[4].phones == ("EH", "F")
    with pytest.raises(TextError, match="needs a dictionary"):
        WordFinder(alone.lexicon)


@settings(max_examples=60, deadline=None)
@given(st.text("aeistrnLB'.,- 15$", min_size=1, max_size=30))
def test_all_that_is_said_is_in_the_inventory(english: ArpabetPronouncer, text: str) -> None:
    try:
        spoken = english.phones(text)
    except TextError:
        return
    assert all(one.phones for one in spoken)
    assert all(one.is_pause == (one.source == "mark") for one in spoken)
    assert {phone for one in spoken for phone in one.phones} <= {SILENCE, *ARPABET}


@pytest.mark.parametrize("text", ["", "?!", "你好", "fine 😀"])
def test_what_cannot_be_said_is_refused(english: ArpabetPronouncer, text: str) -> None:
    with pytest.raises(TextError):
        english.phones(text)


def test_given_phones_are_kept_and_checked() -> None:
    spoken = known(["SIL", "HH", "AY1", "SIL", "Y", "UW"], PhonemeSet.arpabet())
    assert [one.phones for one in spoken] == [("SIL",), ("HH", "AY"), ("SIL",), ("Y", "UW")]
    assert {one.source for one in spoken} == {"given"}
    with pytest.raises(TextError, match=r"^line 4: phoneme 2 of 2, 'QQ'"):
        known(["HH", "QQ"], PhonemeSet.arpabet(), "line 4")
    for silent in ([], [SILENCE]):
        with pytest.raises(TextError, match="nothing in"):
            known(silent, PhonemeSet.arpabet())


@pytest.mark.slow
def test_real_sentences_come_back_but_for_words_that_sound_alike(english: ArpabetPronouncer, speech_data: Path) -> None:
    lines = (speech_data / "read_librispeech" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [text for line in lines if (text := json.loads(line)["text"])][:8]
    assert len(texts) == 8
    finder = WordFinder(english.lexicon)
    errors = words = 0
    for text in texts:
        spoken = [one for one in english.phones(text) if not one.is_pause]
        found = finder.words([phone for one in spoken for phone in one.phones])
        counts = wer(" ".join(one.text for one in spoken), " ".join(found))
        errors, words = errors + counts.total, words + counts.reference
    assert errors / words < 0.15


def test_words_of_a_lexicon_with_accents_hyphens_and_curly_apostrophes_are_used(tmp_path: Path) -> None:
    path = tmp_path / "mine.dict"
    path.write_text("O’Hara OW HH EH R AH\ncafé K AE F EY\nwell-off W EH L AO F\nŁódź W UH CH\n", encoding="utf-8")
    spoken = ArpabetPronouncer(path).phones("O'Hara’s CAFÉ is well‑off in Łódź")
    assert [(one.text, one.source) for one in spoken] == [
        ("o'hara's", "rule"), ("cafe", "dictionary"), ("is", "model"), ("well-off", "dictionary"), ("in", "model"),
        ("lodz", "dictionary"),
    ]  # fmt: skip


def test_words_of_a_lexicon_that_no_text_leads_to_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.dict"
    path.write_text("mp3 EH M P IY TH R IY\ncat K AE T\nhello_there HH EH\n猫 K AE T\n", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"mine.dict: 3 of 4 words are never used, such as 'mp3', 'hello_there', '猫'"):
        pronouncer = ArpabetPronouncer(path)
    assert pronouncer.phones("cat")[0].source == "dictionary"
