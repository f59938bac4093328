"""Tokenizers that quantize the voice: vectors, rates, files, shards, units and settings follow the levels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import vocable
from tests.models import with_levels
from vocable.corpus.shard import TokenShard
from vocable.corpus.shard_format import ShardRow
from vocable.corpus.shard_writer import shard_header, write_shard
from vocable.errors import ConfigError, SpecError
from vocable.evaluate.codecs.tokenizer import TokenizerCodec
from vocable.evaluate.describe import describe
from vocable.schema import to_json
from vocable.systems import registry
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.systems.units import TokenizerUnits, check_source
from vocable.systems.voiced import VoicedTokenizer
from vocable.testing import check_tokenizer, speechlike
from vocable.tokens import Tokens
from vocable.train.settings import change_settings, list_settings
from vocable.voices import round_voice

CLIP = speechlike(24_000)


@pytest.fixture
def tokenizer(voiced: VoicedTokenizer[Any]) -> VoicedTokenizer[Any]:
    return with_levels(voiced, 16)


def test_without_levels_configuration_and_digest_are_as_before(voiced: VoicedTokenizer[Any]) -> None:
    assert with_levels(voiced, None).digest == voiced.digest != with_levels(voiced, 16).digest
    assert "levels" not in to_json(voiced.config.voice)
    assert to_json(with_levels(voiced, 16).config.voice)["levels"] == 16
    tokens = voiced.encode(CLIP)
    assert tokens.voice_levels is voiced.format.voice_levels is None
    assert tokens.voice is not None
    assert not torch.equal(round_voice(tokens.voice, 16), tokens.voice)


def test_vectors_are_at_the_levels_and_ids_do_not_change(
    voiced: VoicedTokenizer[Any], tokenizer: VoicedTokenizer[Any]
) -> None:
    tokens, before = tokenizer.encode(CLIP), voiced.encode(CLIP)
    assert tokens.voice is not None
    assert before.voice is not None
    assert torch.equal(tokens.ids, before.ids)
    assert tokens.voice_levels == 16
    assert torch.equal(tokens.voice, round_voice(before.voice, 16))
    for vector in (tokenizer.voice_of(CLIP), tokenizer.embed_voice(CLIP)):
        assert torch.equal(vector, tokens.voice[0])
    check_tokenizer(tokenizer)


def test_the_stated_rate_counts_the_bits_that_are_stored(tokenizer: VoicedTokenizer[Any], tmp_path: Path) -> None:
    width = tokenizer.format.voice_width
    tokens, bits = tokenizer.encode(CLIP), 4 * width
    assert tokenizer.format.voice_bits == bits
    assert tokenizer.format.bit_rate(10.0) == tokenizer.spec.bit_rate + bits / 10
    for tables in (tokenizer.describe(), tokenizer.describe_config(tokenizer.config)):
        rows = dict(row[:2] for row in tables[0].rows)
        assert rows["beside the ids"] == f"{width} numbers of 16 levels, {bits:,} bit a clip"
        assert rows["bit rate with it"] == tokenizer.format.rate_text()
    coded = TokenizerCodec("a", tokenizer).code(CLIP, "clip")
    ids = tokens.ids.numel() * (tokenizer.spec.codebook_size - 1).bit_length()
    assert coded.payload_bits == 8 * -(-ids // 8) + bits
    tokens.write(tmp_path / "a.tokens")
    [row] = [row for row in describe(str(tmp_path / "a.tokens"))[0].rows if row[0] == "contents"]
    assert f"{bits} of voices" in row[1]


def test_files_and_shards_give_the_same_speech(tokenizer: VoicedTokenizer[Any], tmp_path: Path) -> None:
    tokens = tokenizer.encode(CLIP)
    tokens.write(tmp_path / "a.tokens")
    again = Tokens.read(tmp_path / "a.tokens")
    assert again == tokens
    write_shard(tmp_path / "a.shard", [(ShardRow(id="a"), tokens)], shard_header(tokenizer))
    stored = TokenShard.open(tmp_path / "a.shard").tokens(0)
    speech = tokenizer.decode(tokens).samples
    for read in (again, stored):
        assert (tokenizer.decode(read).samples == speech).all()


def test_a_folder_keeps_the_levels(tokenizer: VoicedTokenizer[Any], tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "model")
    loaded = vocable.load(tmp_path / "model", vocoder="griffin-lim")
    assert (loaded.digest, loaded.format.voice_levels) == (tokenizer.digest, 16)


def test_a_vector_of_the_caller_is_rounded(tokenizer: VoicedTokenizer[Any]) -> None:
    tokens = tokenizer.encode(CLIP)
    vector = 0.5 * torch.randn(1, tokenizer.format.voice_width, generator=torch.Generator().manual_seed(0))
    assert torch.equal(tokenizer.spectra(tokens, vector), tokenizer.spectra(tokens, round_voice(vector, 16)))
    loose = replace(tokens, voice=vector, voice_levels=None)  # as tokens of float32 numbers
    assert (
        tokenizer.decode(loose).samples == tokenizer.decode(replace(loose, voice=round_voice(vector, 16))).samples
    ).all()
    if isinstance(tokenizer, CtapTokenizer):
        spoken = tokenizer.speak(["SIL", "AA", "SIL"], vector[0], durations=[4, 8, 4])
        assert spoken.voice is not None
        assert torch.equal(spoken.voice, round_voice(vector, 16))
        assert spoken.voice_levels == 16
    converted = tokenizer.decode(tokens, CLIP)
    assert converted.samples.size == int(tokens.samples[0])


def test_tokens_of_other_levels_are_refused(voiced: VoicedTokenizer[Any], tokenizer: VoicedTokenizer[Any]) -> None:
    voice = torch.full((1, tokenizer.format.voice_width), 4.0)
    tokens = replace(tokenizer.encode(CLIP), voice=voice, voice_levels=8)
    with pytest.raises(
        SpecError, match="the voice of these tokens has 8 levels, this tokenizer keeps 16 levels; encode"
    ):
        tokenizer.decode(tokens)
    with pytest.raises(SpecError, match="has 16 levels, this tokenizer keeps float32 numbers; encode again"):
        voiced.decode(replace(voiced.encode(CLIP), voice=voice, voice_levels=16))


def test_units_carry_the_levels(voiced: VoicedTokenizer[Any], tokenizer: VoicedTokenizer[Any]) -> None:
    source, loose = TokenizerUnits(tokenizer, "a"), TokenizerUnits(voiced, "a")
    assert (source.spec.voice_levels, loose.spec.voice_levels) == (16, None)
    units, voice = source.units(CLIP), source.voice(CLIP)
    assert voice is not None
    assert (source.speech(units, voice).samples == source.speech(units, voice + 0.01).samples).all()
    assert "voice_levels" not in to_json(loose.spec)
    check_source(source, source.spec)
    with pytest.raises(SpecError, match="one of the two was altered"):
        check_source(source, replace(source.spec, voice_levels=None))


def test_levels_are_a_setting_of_recipes() -> None:
    run = registry.find_recipe("supervised-tiny")
    setting = next(one for one in list_settings(run) if one.name == "model.voice.levels")
    assert (setting.value, setting.type) == ("null", "int | null ≥ 2, ≤ 65536")
    assert change_settings(run, {"model.voice.levels": 16}).model.voice.levels == 16
    for wrong in (1, 0, -1, 1 << 17, 2.5, "16", True):
        with pytest.raises(ConfigError, match=r"model\.voice\.levels"):
            change_settings(run, {"model.voice.levels": wrong})
    with pytest.raises(ConfigError, match="no setting is named"):
        change_settings(run, {"model.voice.limit": 4})
