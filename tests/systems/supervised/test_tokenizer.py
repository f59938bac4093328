"""In use: what needs Whisper and what does without it, voices, phones, long clips, hostile files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import vocable
from vocable.apps.vc import convert
from vocable.errors import AudioError, CheckpointError, ConfigError, SpecError
from vocable.features.whisper import load_encoder
from vocable.interfaces import Embedding, HasVoice, PhonemeRecognizer
from vocable.schema import parse, to_json
from vocable.systems.supervised import recipe as supervised
from vocable.systems.supervised.config import SupervisedConfig
from vocable.systems.supervised.tokenizer import SupervisedTokenizer
from vocable.testing import speechlike


def test_it_is_what_apps_and_probes_ask_for(tokenizer: SupervisedTokenizer) -> None:
    assert all(isinstance(tokenizer, kind) for kind in (HasVoice, Embedding, PhonemeRecognizer))
    assert (tokenizer.spec.frame_rate, tokenizer.spec.hop, tokenizer.spec.codebook_size) == (25.0, 640, 32)
    labels = [row[0] for table in tokenizer.describe() for row in table.rows]
    assert {"digest", "frozen encoder", "all parameters", "vocoder"} <= set(labels)


def test_decoding_does_without_whisper_and_encoding_says_where_to_look(
    tokenizer: SupervisedTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = tokenizer.encode(speechlike(16_000), text="six")
    tokenizer.save(tmp_path / "model")
    monkeypatch.delenv("VOCABLE_WEIGHTS")
    load_encoder.cache_clear()
    again = vocable.load(tmp_path / "model", vocoder="griffin-lim")
    assert np.array_equal(again.decode(tokens).samples, tokenizer.decode(tokens).samples)
    assert again.transcribe(tokens) == tokenizer.transcribe(tokens)
    assert tokens.text == ("six",)
    with pytest.raises(CheckpointError, match=r"whisper-random is not at hand .*VOCABLE_WEIGHTS"):
        again.encode(speechlike(16_000))


def test_a_long_clip_is_heard_in_pieces_of_30_seconds(tokenizer: SupervisedTokenizer) -> None:
    clip = speechlike(62 * 16_000)
    ids = tokenizer.encode(clip).ids
    pieces = [tokenizer.encode(vocable.Audio(part, 16_000)).ids for part in np.split(clip.samples, [480_000, 960_000])]
    assert [piece.shape[2] for piece in pieces] == [750, 750, 50]
    assert torch.equal(ids, torch.cat(pieces, dim=2))


def test_the_voice_is_beside_the_tokens(tokenizer: SupervisedTokenizer) -> None:
    tokens, other = tokenizer.encode(speechlike(24_000)), speechlike(24_000, seed=5)
    own, theirs = tokenizer.decode(tokens), tokenizer.decode(tokens, other)
    assert own.samples.size == theirs.samples.size == 24_000
    assert not np.allclose(own.samples, theirs.samples)
    assert torch.equal(tokenizer.voice_of(other), tokenizer.encode(other).voice[0])
    converted = convert(tokenizer, speechlike(24_000), other)
    assert np.array_equal(converted.samples, theirs.samples)
    with pytest.raises(AudioError, match=r"0\.10 s long, at least 0\.5 s are needed"):
        tokenizer.voice_of(speechlike(1_600))
    for voice in (None, torch.zeros(1, 3), torch.full((1, 8), torch.nan)):
        with pytest.raises(SpecError, match="carry no usable voice"):
            tokenizer.decode(replace(tokens, voice=voice))


def test_what_cannot_be_used_is_named(tokenizer: SupervisedTokenizer) -> None:
    tokens = tokenizer.encode_batch([speechlike(900), speechlike(2_000)])
    with pytest.raises(SpecError, match="use decode_batch"):
        tokenizer.decode(tokens)
    with pytest.raises(SpecError, match="clip by clip"):
        tokenizer.transcribe(tokens)
    with pytest.raises(SpecError, match="level 1 alone"):
        tokenizer.embed(tokens, levels=[2])
    with pytest.raises(SpecError, match="this tokenizer makes"):
        tokenizer.embed(replace(tokens, spec=replace(tokens.spec, hop=320)))
    assert not tokenizer.embed(tokens)[0, 2:].any()


def test_phones_are_read_off_the_path(tokenizer: SupervisedTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = tokenizer.encode(speechlike(3 * 640))
    scores = torch.nn.functional.one_hot(torch.tensor([[0, 1, 1, 0, 1, 2]]), 40).float()
    assert tokenizer.phoneme_path(tokens).shape == (6,)
    monkeypatch.setattr(tokenizer.model.recognizer, "forward", lambda latents, mask: scores)
    assert tokenizer.transcribe(tokens) == ["AA", "AA", "AE"]


def test_a_config_comes_back_from_json() -> None:
    for recipe in (supervised.small(), supervised.tiny()):
        values = json.loads(json.dumps(to_json(recipe.model)))
        assert parse(SupervisedConfig, values, "config") == recipe.model


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": {"width": 0}}, {"encoder": {"width": 1 << 20}}, {"encoder": {"layers": [9]}}, {"kernel": 4},
        {"encoder": {"layers": []}}, {"decoder": {"strides": [2]}}, {"decoder": {"strides": [2, 4]}}, {"mel": 3},
        {"whisper": {"name": "a"}}, {"whisper": None}, {"encoder": None}, {"codebook_size": 1.5}, {"dropout": 1.0},
        {"phonemes": ["AA"]}, {"more": 1}, {"voice": {"channels": []}}, {"recognizer": {"phones_per_token": 0}},
    ],
    ids=str,
)  # fmt: skip
def test_a_hostile_config_is_refused(
    change: dict[str, object], tokenizer: SupervisedTokenizer, tmp_path: Path, untyped: None
) -> None:
    with pytest.raises(ConfigError):
        parse(SupervisedConfig, to_json(supervised.tiny().model) | change, "config")
    tokenizer.save(tmp_path / "model")
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    card["config"] |= change
    (tmp_path / "model" / "model.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError):
        vocable.load(tmp_path / "model")


def test_the_recipe_for_the_box_fits_into_it() -> None:
    with torch.device("meta"):
        model = supervised.SupervisedModel(supervised.small().model)
    assert 2 * sum(one.numel() for one in model.parameters()) <= 20_000_000  # bytes of float16
