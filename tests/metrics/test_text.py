"""Error counts: equal to jiwer's, additive, undefined where nothing was said."""

import json
import math
import sys
from importlib import resources

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from vocable.errors import ConfigError, MissingDependencyError
from vocable.metrics.score import summarize
from vocable.metrics.text import (
    NORMALIZER,
    ErrorCounts,
    cer,
    edit_distance,
    english_normalizer_name,
    normalize,
    normalize_english,
    per,
    repeats_itself,
    wer,
)

WORDS = st.lists(st.sampled_from(["a", "b", "cat", "dog", "it's"]), max_size=12).map(" ".join)
PAIRS = st.lists(st.tuples(WORDS.filter(bool), WORDS), min_size=1, max_size=6)


def test_the_normaliser_does_what_its_name_promises() -> None:
    assert NORMALIZER == "vocable-text-2"  # a change of the rules changes the name
    pairs = {
        "": "",
        " \t\n—!? ": "",
        "HE HOPED THERE'D BE STEW": "he hoped there'd be stew",
        "It’s ‘quoted’, isnʼt it?": "it's quoted isn't it",
        "boys' 'em": "boys em",
        "well-known e.g. 3.5 km, 1,000!": "well known e g 3 5 km 1 000",
        "Straße ÄÖÜ naı\u0308ve": "straße äöü naı\u0308ve",
        "u\u0308ber \ufb01ne \uff21\uff22": "über fine ab",
        "co\u00adope\u200brate": "cooperate",
        "3½ cups, 10² Apple™ ⑤⑥ 100–200 5…6": "3 1 2 cups 10 2 apple 5 6 100 200 5 6",
        "1\u200b2 7\u00ad8 a\u200bb": "1 2 7 8 ab",
        "snake_case $5 50%": "snake case 5 50",
        "नमस्ते दुनिया": "नमस्ते दुनिया",
    }
    assert {text: normalize(text) for text in pairs} == pairs


def test_the_english_normalizer_is_that_of_whisper_and_never_glues_numbers() -> None:
    pairs = {
        "": "",
        "Mr. Brown won't": "mister brown will not",
        "it’s twenty-one": "it is 21",
        "the colour of, uh, grey [laughs]": "the color of gray",
        "3½": "3 one 2",  # Whisper writes a lone 1 as a word
        "10² ms": "10 2 ms",
        "Apple™ 100–200, 5…6": "apple 100 200 5 6",
        "3\u200b2": "3 2",
        "café": "cafe",
    }
    assert {text: normalize_english(text) for text in pairs} == pairs
    assert english_normalizer_name().startswith("whisper-normalizer-")


def test_the_english_normalizer_equals_that_of_transformers() -> None:
    theirs = EnglishTextNormalizer(
        json.loads((resources.files("whisper_normalizer") / "normalizers" / "english.json").read_text())
    )
    texts = (
        "Mrs. Smith's 3.5 million pounds, $20.50, and the thirty-first of May nineteen eighty four",
        "I'd have gone; he'll've been there. One oh one! (aside) five hundred and six",
        "HE HOPED THERE WOULD BE STEW FOR DINNER TURNIPS AND CARROTS",
    )
    for text in texts:
        assert normalize_english(text) == theirs(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no no no no", False),  # people do say that
        ("and so on " * 3, False),
        ("and so on " * 4, True),
        ("well, " * 8, True),
        ("I think. I THINK, I think; I think!", True),
        ("one two three four five six seven eight nine ten " * 4, True),
        ("the cat sat on the mat and the dog lay on the rug", False),
        ("", False),
    ],
)
def test_a_text_that_repeats_itself_is_found(text: str, expected: bool) -> None:
    assert repeats_itself(text) is expected
    assert repeats_itself(f"before all {text} after all") is expected


@given(st.text(max_size=40))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert once == " ".join(once.split())
    assert wer(text, once).total == cer(text, once).total == 0


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_words_and_characters_equal_jiwer(pairs: list[tuple[str, str]]) -> None:
    said, heard = ([pair[side] for pair in pairs] for side in (0, 1))
    for ours, theirs in ((wer, jiwer.process_words), (cer, jiwer.process_characters)):
        counts = [ours(*pair) for pair in pairs]
        upstream = theirs(said, heard)
        added = sum(counts[1:], counts[0])
        for name in ("hits", "substitutions", "deletions", "insertions"):
            assert getattr(added, name) == getattr(upstream, name)
        rate = upstream.wer if isinstance(upstream, jiwer.WordOutput) else upstream.cer
        assert added.rate == pytest.approx(rate, abs=1e-12)
        assert summarize([count.score() for count in counts], rounds=1).mean == pytest.approx(rate, abs=1e-12)


def test_each_kind_of_error_is_counted_as_itself() -> None:
    assert wer("a b c d", "a x c d e") == ErrorCounts(hits=3, substitutions=1, deletions=0, insertions=1)
    assert wer("a b c", "c") == ErrorCounts(hits=1, substitutions=0, deletions=2, insertions=0)
    assert wer("one", "two three").rate == 2.0
    assert cer("ab cd", "abcd") == ErrorCounts(hits=4, substitutions=0, deletions=1, insertions=0, unit="characters")
    counts = wer("a b c d", "a x c d e")
    assert (counts.reference, counts.total, counts.rate) == (4, 2, 0.5)
    assert wer("A b!", "a B", normalizer=str).rate == 1.0


def test_phones_are_whole_symbols_with_or_without_stress() -> None:
    said, heard = ["HH", "AH0", "L", "OW1"], ("HH", "AH", "L", "OW")
    assert per(said, heard).substitutions == 2
    assert per(said, heard, strip_stress=True).total == 0
    assert per(["p2", "1"], ["p", "1"], strip_stress=True).total == 0  # a phone that is a digit stays
    with pytest.raises(ConfigError, match=r"'HH AH0' is one text, but a list of phones is wanted"):
        per("HH AH0", ["HH", "AH0"])


def test_nothing_said_is_undefined_and_tells_what_was_inserted() -> None:
    for counts, reason in (
        (wer("...", "two words"), "the reference has no words; 2 were inserted"),
        (cer("", "ab"), "the reference has no characters; 2 were inserted"),
        (per([], []), "the reference has no phones; 0 were inserted"),
    ):
        assert math.isnan(counts.rate)
        assert counts.score().reason == reason
    figure = summarize([wer("a b", "a").score(), wer("", "x").score()])
    assert (figure.mean, figure.n, figure.excluded) == (0.5, 1, 1)


def test_different_units_do_not_add() -> None:
    with pytest.raises(ConfigError, match="errors in words and in characters do not add up"):
        wer("a", "a") + cer("a", "a")


def test_without_rapidfuzz_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vocable\[metrics\]'"):
        wer("a", "a")


def test_errors_are_counted_as_levenshtein_did() -> None:
    kitten, sitting = ([ord(letter) for letter in word] for word in ("kitten", "sitting"))
    assert [edit_distance(kitten, sitting), edit_distance([], [1, 2]), edit_distance([1, 2], [])] == [3, 2, 2]
