"""Texts become subwords, the same ones whenever they are learnt, and no file can make them anything else."""

import json
import random
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from vocable.errors import CheckpointError, ConfigError, TextError
from vocable.text.subword_tokenizers import BytePairTokenizer, HubTokenizer, subword_tokenizer_from_json
from vocable.text.subwords import CASES, SubwordTokenizer, split_words

TEXTS = (
    "THE OTHER DOG DIDN'T BOTHER THE OTHER DOGS", "They didn’t go there, then. They went another way!",
    "then the weather was neither here nor there", "Well-known dogs don't bother; others do.", "über 12 Hunde",
)  # fmt: skip
LEARN = """
import sys, json
from vocable.text.subword_tokenizers import BytePairTokenizer
print(json.dumps(BytePairTokenizer.train(json.loads(sys.argv[1]), 120).to_json()))
"""


@pytest.fixture(scope="module")
def learnt() -> BytePairTokenizer:
    return BytePairTokenizer.train(TEXTS, 96)


@pytest.fixture(scope="module")
def whisper_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with subwords of bytes, as Whisper's are."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=sorted(alphabet), show_progress=False, special_tokens=["<|endoftext|>"]
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    folder = tmp_path_factory.mktemp("hub")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I DON'T KNOW", ["i", "don't", "know"]),
        ("'tis the dogs' rock’n’roll", ["tis", "the", "dogs", "rock'n'roll"]),
        ("well-known e.g. 3.5", ["well", "known", "e", "g", "3", "5"]),
        ("\u6771\u4eac tower", ["\u6771", "\u4eac", "tower"]),
        ("abc\u4e2d'\u6587", ["abc", "\u4e2d", "\u6587"]),
        ("cafe\u0301 \u0939\u093f\u0928\u094d\u0926\u0940", ["caf\u00e9", "\u0939\u093f\u0928\u094d\u0926\u0940"]),
        ("snake_case '' - ...", ["snake", "case"]),
        ("", []),
    ],
)
def test_what_a_word_is(text: str, words: list[str]) -> None:
    assert [word.letters for word in split_words(text, "lower")] == words


def test_marks_stay_with_the_word_before_them_where_the_case_keeps_them() -> None:
    text = "\"HELLO,\" SHE SAID -- 'Well-known'!"
    expected = {
        "lower": ["hello", "she", "said", "well", "known"],
        "sentence": ['Hello,"', "she", "said--'", "well-", "known'!"],
        "as_is": ['HELLO,"', "SHE", "SAID--'", "Well-", "known'!"],
    }
    assert {case: [one.letters + one.marks for one in split_words(text, case)] for case in CASES} == expected


def test_a_split_holds_every_letter_and_no_piece_of_two_words(learnt: BytePairTokenizer) -> None:
    subwords = learnt.tokenize("Others didn't bother, the dog")
    assert subwords.word_texts == ("others", "didn't", "bother", "the", "dog")
    assert subwords.num_words == 5
    assert len(subwords.ids) == len(subwords.word_ids) == len(subwords.texts) > 5
    assert isinstance(learnt, SubwordTokenizer)


@settings(deadline=None, max_examples=200)
@given(text=st.text(max_size=60), case=st.sampled_from(CASES))
def test_any_text_is_split_by_words_or_refused(text: str, case: str) -> None:
    subword_tokenizer = BytePairTokenizer.train(TEXTS, 96, case)
    words = split_words(text, case)
    if not words:
        with pytest.raises(TextError, match="there are no letters in it"):
            subword_tokenizer.tokenize(text)
        return
    subwords = subword_tokenizer.tokenize(text)
    assert subwords.word_texts == tuple(word.letters + word.marks for word in words)
    assert all(0 <= one < subword_tokenizer.size for one in subwords.ids)
    assert all(subwords.texts)


def test_a_letter_that_was_not_seen_is_one_unknown_piece(learnt: BytePairTokenizer) -> None:
    subwords = learnt.tokenize("the\u017e\u017e")
    assert subwords.ids[-2:] == (0, 0)
    assert subwords.texts[-2:] == ("\u017e", "\u017e")
    assert 0 not in learnt.tokenize(" ".join(TEXTS)).ids


def test_a_mark_has_a_piece_of_its_own() -> None:
    subword_tokenizer = BytePairTokenizer.train(TEXTS, 120, "as_is")
    subwords = subword_tokenizer.tokenize("They, they?")
    assert subwords.texts[-1] == "?"
    assert subwords.ids[-1] == 0, "no question was asked while learning"
    assert subwords.texts.count(",") == 1
    assert subwords.ids[subwords.texts.index(",")] > 0


def test_equal_texts_have_equal_pieces_in_every_process_and_order() -> None:
    shuffled = list(TEXTS)
    random.Random(1).shuffle(shuffled)
    results = [
        json.loads(
            subprocess.run([sys.executable, "-c", LEARN, json.dumps(texts)], capture_output=True, check=True).stdout
        )
        for texts in (list(TEXTS), shuffled, list(TEXTS))
    ]
    assert results[0] == results[1] == results[2]
    assert len(results[0]["merges"]) > 10


def test_learning_wants_letters_and_room_for_them() -> None:
    with pytest.raises(TextError, match="no letters to learn"):
        BytePairTokenizer.train(["...", ""], 100)
    with pytest.raises(ConfigError, match=r"size is 20: it must be at least \d+"):
        BytePairTokenizer.train(TEXTS, 20)
    with pytest.raises(ConfigError, match="case is 'upper'; it is one of lower, sentence, as_is"):
        BytePairTokenizer.train(TEXTS, 100, "upper")
    with pytest.raises(TextError, match="more than 100000"):
        BytePairTokenizer.train(["a" * 100_001], 100)


def test_pieces_come_back_from_json(learnt: BytePairTokenizer) -> None:
    again = subword_tokenizer_from_json(json.loads(json.dumps(learnt.to_json())))
    assert isinstance(again, BytePairTokenizer)
    for text in TEXTS:
        assert again.tokenize(text) == learnt.tokenize(text)
    assert again.to_json() == learnt.to_json()


def altered(values: dict[str, Any], key: str, change: Any) -> dict[str, Any]:
    copy = deepcopy(values)
    copy[key] = change(copy[key]) if callable(change) else change
    return copy


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("kind", "other", "no table of subwords"),
        ("case", 7, "no table of subwords"),
        ("case", "upper", "case is 'upper'"),
        ("vocabulary", {"<unk>": 0}, "no table of subwords"),
        ("vocabulary", ["<unk>"], "a table of 1 subwords"),
        ("vocabulary", lambda table: table[1:], "the first of them <unk>"),
        ("vocabulary", lambda table: [*table, "a"], "a duplicate"),
        ("vocabulary", lambda table: [*table, 7], "an entry that is invalid"),
        ("vocabulary", lambda table: [*table, ""], "an entry that is invalid"),
        ("vocabulary", lambda table: [*table, "##"], "an entry that is invalid"),
        ("vocabulary", lambda table: [*table, "a b"], "an entry that is invalid"),
        ("vocabulary", lambda table: [*table, "\ud800"], "an entry that is invalid"),
        ("vocabulary", lambda table: [*table, "x" * 65], "an entry that is invalid"),
        ("vocabulary", lambda table: [*table, *map(str, range(1 << 17))], "subwords: it needs 2 to 131072"),
        ("merges", None, "no table of subwords"),
        ("merges", lambda pairs: [*pairs, "th"], "it does not join two subwords"),
        ("merges", lambda pairs: [*pairs, ["t", 7]], "it does not join two"),
        ("merges", lambda pairs: [*pairs, ["t", "##t"]], "it does not join two"),
        ("merges", lambda pairs: [*pairs, ["t", "##h", "##e"]], "it does not join two"),
        ("merges", lambda pairs: [*pairs, pairs[0]], "have a duplicate pair"),
    ],
)
def test_a_hostile_table_is_refused(learnt: BytePairTokenizer, key: str, change: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=f"model.json: .*{message}"):
        subword_tokenizer_from_json(altered(learnt.to_json(), key, change), "model.json")


@pytest.mark.parametrize("values", [None, [], "x", 7, {}, {"kind": "hub"}, {"kind": ["hub"]}])
def test_what_is_no_table_is_refused(values: object) -> None:
    with pytest.raises(CheckpointError, match=r"model\.json: this"):
        subword_tokenizer_from_json(values, "model.json")


def test_pieces_of_another_model_are_grouped_by_words(whisper_like: Path) -> None:
    subword_tokenizer = HubTokenizer.load(str(whisper_like))
    text = "They didn't bother, 東京!"
    subwords = subword_tokenizer.tokenize(text)
    whole = Tokenizer.from_file(str(whisper_like / "tokenizer.json")).encode(text, add_special_tokens=False)
    assert list(subwords.ids) == whole.ids, "as the tokenizer itself splits it"
    assert subwords.num_words == 5
    assert subwords.word_texts[:2] == ("They", "didn't")
    assert max(subwords.ids) < subword_tokenizer.size
    assert isinstance(subword_tokenizer, SubwordTokenizer)
    lowered = HubTokenizer.load(str(whisper_like), "lower")
    assert lowered.tokenize("DON'T GO <|endoftext|>!").word_texts == ("don't", "go", "endoftext")


def test_pieces_of_another_model_are_found_again_and_must_be_the_same(whisper_like: Path, tmp_path: Path) -> None:
    subword_tokenizer = HubTokenizer.load(str(whisper_like), "lower")
    named = {**subword_tokenizer.to_json(), "name": "someone/model"}
    again = subword_tokenizer_from_json(named, located=lambda name: str(whisper_like))
    assert again.tokenize(TEXTS[0]) == subword_tokenizer.tokenize(TEXTS[0])
    with pytest.raises(
        CheckpointError, match=r"model\.json: .* has other subwords than those the model was trained with"
    ):
        subword_tokenizer_from_json({**subword_tokenizer.to_json(), "digest": "0"}, "model.json")
    with pytest.raises(CheckpointError, match="this is no table"):
        subword_tokenizer_from_json({**subword_tokenizer.to_json(), "case": "upper"})
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json that can be used"):
        HubTokenizer.load(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text('{"model": 7}')
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json that can be used"):
        HubTokenizer.load(str(tmp_path))
    with pytest.raises(ConfigError, match="case is 'upper'"):
        HubTokenizer.load(str(whisper_like), "upper")
