"""VQalAttent on disk, and what it tells of itself."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.digits import digit
from tests.systems.vqalattent.conftest import ASKED, IDS
from vocable.errors import CheckpointError, ConfigError
from vocable.systems.registry import load
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.tokens import Tokens
from vocable.vocoders import GriffinLim


def test_a_saved_prior_draws_what_it_drew(speaker: VqalattentTokenizer, tmp_path: Path) -> None:
    speaker.save(tmp_path)
    again = load(tmp_path)
    assert isinstance(again, VqalattentTokenizer)
    assert again.digest == speaker.digest
    assert again.config == speaker.config
    one, two = (each.sample([ASKED, {}], seed=3) for each in (speaker, again))
    assert torch.equal(one.ids, two.ids)
    assert torch.equal(one.voice, two.voice)


def test_half_the_bits_are_another_tokenizer_whose_prior_still_speaks(
    speaker: VqalattentTokenizer, tmp_path: Path
) -> None:
    speaker.save(tmp_path / "half", half=True)
    half = load(tmp_path / "half")
    assert half.digest != speaker.digest
    assert half.sample([ASKED]).ids.shape == (1, 1, IDS)
    half.save(tmp_path / "again", half=True)
    again = load(tmp_path / "again")
    assert again.digest == half.digest
    assert torch.equal(again.sample([ASKED]).ids, half.sample([ASKED]).ids)


@pytest.mark.parametrize("at", [0.3, 0.6, 0.99])
def test_altered_weights_are_refused(speaker: VqalattentTokenizer, tmp_path: Path, at: float) -> None:
    speaker.save(tmp_path)
    file = tmp_path / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[int(at * len(data))] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="the weights are altered"):
        load(tmp_path)


def test_the_vocoder_is_the_one_that_was_named(speaker: VqalattentTokenizer, tmp_path: Path) -> None:
    speaker.save(tmp_path)
    again = VqalattentTokenizer.load(tmp_path, vocoder="griffin-lim")
    assert isinstance(again.vocoder, GriffinLim)
    tokens = speaker.encode(digit(1, 1, 1.0))
    assert np.array_equal(again.decode(tokens).samples, speaker.decode(tokens).samples)
    with pytest.raises(ConfigError, match="there is no vocoder 'nobody'"):
        VqalattentTokenizer.load(tmp_path, vocoder="nobody")


def test_facts_tell_what_may_be_asked_for(speaker: VqalattentTokenizer) -> None:
    model, _, asked = speaker.describe()
    rows = dict(model.rows)
    assert rows["digest"] == speaker.digest
    assert rows["prior"] == "trained"
    assert rows["vocoder"] == "griffin-lim"
    assert rows["ids of an utterance"] == "88 (8 × 11), 440 bit"
    assert dict(asked.rows) == {"digit": "0, 1, 2, 3, 4, 5, 6, 7, 8, 9", "speaker": "ann, bob"}


def test_tokens_come_back_from_a_file_and_decode_as_before(speaker: VqalattentTokenizer, tmp_path: Path) -> None:
    tokens = speaker.sample([ASKED] * 2)
    tokens.write(tmp_path / "a.tokens")
    again = Tokens.read(tmp_path / "a.tokens")
    for one, two in zip(speaker.decode_batch(tokens), speaker.decode_batch(again), strict=True):
        assert np.array_equal(one.samples, two.samples)
