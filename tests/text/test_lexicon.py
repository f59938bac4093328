"""Dictionaries: what a file may hold, and words made of known ones."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.errors import TextError
from vocable.text.lexicon import Lexicon, phones_by_rule
from vocable.text.phonemes import ARPABET

KNOWN = {
    "cat": "K AE T", "dog": "D AO G", "bus": "B AH S", "fly": "F L AY", "hope": "HH OW P", "hop": "HH AA P",
    "need": "N IY D", "happy": "HH AE P IY", "care": "K EH R", "judge": "JH AH JH", "letters": "L EH T ER Z",
    "sound": "S AW N D", "slow": "S L OW",
}  # fmt: skip
LEXICON = Lexicon("mine", {word: [phones] for word, phones in KNOWN.items()})


def write(folder: Path, content: bytes) -> Path:
    path = folder / "words.dict"
    path.write_bytes(content)
    return path


def test_a_file_is_words_variants_and_comments(tmp_path: Path) -> None:
    path = write(
        tmp_path, b";;; notes\n# more\nREAD  R IY1 D\nread(2) R EH1 D\r\nread(3) R EH0 D\n\ncaf\xe9 K AH F EY # yes\n"
    )
    lexicon = Lexicon.read(path)
    assert lexicon.words == {"read": ["R IY D", "R EH D"], "café": ["K AH F EY"]}
    assert lexicon.lookup("read") == ("R", "IY", "D")
    assert lexicon.lookup("red") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "there is no word in it"),
        (b"\n;;; only notes\n", "there is no word in it"),
        (b"cat K AE T\ndog\n", "line 2: 'dog' has no phones"),
        (b"cat K AE T\n\ndog D XX G\n", "line 3: 'dog' has 'XX', which is no ARPAbet phone"),
        (bytes(range(256)), "no ARPAbet phone|has no phones"),
        ("猫 neko".encode(), "'NEKO', which is no ARPAbet phone"),
        (b"cat " + b"K " * 10_000, "line 1: has 20004 characters"),
        (b"x" * (64 * 2**20 + 1), "larger than 64 MiB"),
    ],
    ids=["empty", "notes", "word", "phone", "binary", "other", "line", "size"],
)
def test_a_file_that_is_no_lexicon_is_refused_with_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(TextError, match=message) as caught:
        Lexicon.read(write(tmp_path, content))
    assert len(str(caught.value)) < 400


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="cannot be read"):
        Lexicon.read(tmp_path / "none.dict")
    with pytest.raises(TextError, match="cannot be read"):
        Lexicon.read(tmp_path)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_whatever_a_file_holds_it_is_words_or_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    try:
        lexicon = Lexicon.read(write(tmp_path_factory.mktemp("lexicon"), content))
    except TextError:
        return
    assert all(set(phones.split()) <= set(ARPABET) for said in lexicon.words.values() for phones in said)


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("cat's", "K AE T S"),
        ("dog's", "D AO G Z"),
        ("bus's", "B AH S IH Z"),
        ("cat'd", "K AE T IH D"),
        ("dog'll", "D AO G AH L"),
        ("cats", "K AE T S"),
        ("flies", "F L AY Z"),
        ("judges", "JH AH JH IH Z"),
        ("judged", "JH AH JH D"),
        ("hoping", "HH OW P IH NG"),
        ("hopping", "HH AA P IH NG"),
        ("hoped", "HH OW P T"),
        ("needed", "N IY D IH D"),
        ("happiness", "HH AE P IY N AH S"),
        ("careless", "K EH R L AH S"),
        ("slowly", "S L OW L IY"),
        ("soundletters", "S AW N D L EH T ER Z"),
    ],
)
def test_words_of_known_ones_are_said_by_rule(word: str, phones: str) -> None:
    assert phones_by_rule(word, LEXICON.lookup) == tuple(phones.split())


@pytest.mark.parametrize("word", ["glorp", "catdog", "s", "'s", "ing", "buss", "cat''s", ""])
def test_where_no_rule_applies_there_is_none(word: str) -> None:
    assert phones_by_rule(word, LEXICON.lookup) is None


@settings(deadline=None)
@given(st.text("acdogst'", max_size=12))
def test_a_rule_only_ever_gives_phones(word: str) -> None:
    assert set(phones_by_rule(word, LEXICON.lookup) or ()) <= set(ARPABET)
