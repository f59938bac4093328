"""Letters to phones: the model in the box is small, whole and repeatable, and its network sees no padding."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.errors import CheckpointError, ConfigError, TextError
from vocable.folder import bundled
from vocable.text.letters import LETTERS, LettersConfig, LettersNetwork, LettersToPhones, collapse, ids_of_letters
from vocable.text.phonemes import ARPABET

FOLDER = bundled("letters")["g2p-en"]
WORDS = st.text(LETTERS, min_size=1, max_size=64)


@settings(max_examples=50, deadline=None)
@given(WORDS)
def test_every_word_has_the_same_phones_each_time_or_a_named_error(word: str) -> None:
    model = LettersToPhones.bundled()
    try:
        phones = model.phones(word)
    except TextError as error:
        assert word in str(error)  # most words have phones; what is left must be named  # noqa: PT017
        return
    assert phones == model.phones(word)
    assert 1 <= len(phones) <= 2 * len(word)
    assert set(phones) <= set(ARPABET)


def test_regular_words_are_said_as_they_are_spelt() -> None:
    model = LettersToPhones.bundled()
    assert model.phones("splat") == ("S", "P", "L", "AE", "T")
    assert model.phones("thinkering") == ("TH", "IH", "NG", "K", "ER", "IH", "NG")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(LETTERS, min_size=1, max_size=12), min_size=1, max_size=5))
def test_a_word_has_the_same_probabilities_alone_and_in_a_batch(words: list[str]) -> None:
    torch.manual_seed(0)
    network = LettersNetwork(LettersConfig(width=16, blocks=2)).eval()
    letters = [ids_of_letters(word) for word in words]
    padded = torch.nn.utils.rnn.pad_sequence(letters, batch_first=True, padding_value=-1)
    together = network(padded, padded >= 0)
    for row, each in zip(together, letters, strict=True):
        alone = network(each[None], torch.ones(1, len(each), dtype=torch.bool))[0]
        torch.testing.assert_close(row[: 2 * len(each)], alone, rtol=1e-4, atol=1e-5)


def test_slots_are_read_as_ctc_does() -> None:
    assert collapse([]) == collapse([0, 0]) == ()
    assert collapse([1, 1, 0, 1, 2, 2]) == (ARPABET[0], ARPABET[0], ARPABET[1])


@pytest.mark.parametrize("word", ["", "a" * 65, "café", "A", "two words", "b."])
def test_what_is_no_word_is_refused(word: str) -> None:
    with pytest.raises(TextError):
        LettersToPhones.bundled().phones(word)


def test_the_model_in_the_box_is_small_and_says_which_it_is(tmp_path: Path) -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 1_500_000
    model = LettersToPhones.bundled()
    assert model.aliases == (json.loads((FOLDER / "model.json").read_text())["digest"],)
    assert model.aliases[0] in (FOLDER / "README.md").read_text()
    model.save(tmp_path, half=True)
    again = LettersToPhones.load(tmp_path)
    assert again.digest == model.digest
    assert again.phones("vocable") == model.phones("vocable")


@pytest.mark.parametrize("config", [{"width": 0}, {"kernel": 4}, {"blocks": "6"}, {"depth": 1}, {"width": 10**9}])
def test_an_altered_model_is_refused(tmp_path: Path, config: dict[str, object]) -> None:
    shutil.copytree(FOLDER, tmp_path / "altered")
    card = json.loads((FOLDER / "model.json").read_text())
    card["config"] |= config
    (tmp_path / "altered" / "model.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError):
        LettersToPhones.load(tmp_path / "altered")


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="kernel is 2: it must be odd"):
        LettersConfig(kernel=2)
