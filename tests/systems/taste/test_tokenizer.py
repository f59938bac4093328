"""TASTE in use: the laws, what a text does, words that are swapped, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import vocable
from tests.models import ready, ready_ctap, with_levels
from tests.systems.taste.made import model_of
from vocable.apps.edit import edit
from vocable.apps.score import score
from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError, ShapeError, SpecError, TextError
from vocable.features.hub import WEIGHTS
from vocable.features.whisper import WhisperEncoder, load_encoder
from vocable.interfaces import Embedding, Tokenizer, WordEditor
from vocable.systems.taste.config import tiny
from vocable.systems.taste.tokenizer import TasteTokenizer
from vocable.systems.taste.unit_lm import Sampling
from vocable.systems.units import TokenizerUnits
from vocable.testing import check_tokenizer, speechlike
from vocable.tokens import pack, unpack

TEXT = "the dog and the other dog"


@pytest.mark.slow
def test_every_law(taste: TasteTokenizer) -> None:
    check_tokenizer(taste, text=TEXT)
    assert isinstance(taste, Tokenizer)
    assert isinstance(taste, Embedding)
    assert isinstance(taste, WordEditor)


def test_there_is_a_token_for_each_piece(taste: TasteTokenizer) -> None:
    subwords = taste.subword_tokenizer.tokenize(TEXT)
    tokens = taste.encode(speechlike(20_000), TEXT)
    assert tokens.ids.shape == (1, 2, len(subwords.ids))
    assert tokens.text == (TEXT,)
    assert taste.words(tokens) == TEXT.split()
    assert sum(taste.seconds(tokens)) == pytest.approx(20_000 / 16_000, abs=1e-3)


def test_more_than_thirty_seconds_are_heard_to_the_end(taste: TasteTokenizer) -> None:
    clip = speechlike(31 * 16_000)
    changed = clip.samples.copy()
    changed[-8_000:] = 0
    same = torch.equal(taste.encode(clip, TEXT).ids, taste.encode(Audio(changed, 16_000), TEXT).ids)
    keys = taste._example(clip, TEXT).keys
    assert keys.shape[0] == 31 * 50
    assert not same or not torch.equal(keys, taste._example(Audio(changed, 16_000), TEXT).keys)


@pytest.mark.parametrize("seconds", [0.2, 1.0])
def test_encoding_a_clip_takes_one_pass_of_whisper(
    weights: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setenv(WEIGHTS, str(weights))
    load_encoder.cache_clear()
    passes, hidden_states = [], WhisperEncoder.hidden_states

    def counted(encoder: WhisperEncoder, *arguments: Any) -> list[torch.Tensor]:
        passes.append(encoder.name)
        return hidden_states(encoder, *arguments)

    monkeypatch.setattr(WhisperEncoder, "hidden_states", counted)
    tokenizer, clip = vocable.load("taste-small"), speechlike(round(seconds * 16_000))
    tokens = tokenizer.encode(clip, TEXT)
    assert passes == ["openai/whisper-tiny.en"]
    alone = vocable.load("supervised-small").encode(clip)
    assert tokens.voice is not None
    assert torch.equal(tokens.voice, alone.voice)


def test_the_voice_is_quantized_where_that_of_the_units_is(taste: TasteTokenizer) -> None:
    units = with_levels(ready_ctap(), 16)
    subwords = taste.subword_tokenizer
    config = tiny(taste.config.encoder, TokenizerUnits(units, "voiced").spec, subwords.to_json(), subwords.size)
    voiced = TasteTokenizer(model_of(config), find=lambda name: units)
    clip = speechlike(20_000)
    tokens = voiced.encode(clip, TEXT)
    assert (tokens.voice_levels, voiced.format.voice_levels) == (16, 16)
    assert tokens.voice is not None
    assert torch.equal(tokens.voice[0], units.embed_voice(clip))
    assert unpack(pack(tokens)) == tokens
    rows = dict(row[:2] for table in voiced.describe() for row in table.rows)
    assert f"72 numbers of 16 levels, {4 * 72} bit a clip" in rows["beside the ids"]
    assert voiced.decode(tokens).samples.size == int(tokens.samples[0])


def test_units_are_drawn_alike_from_one_seed(taste: TasteTokenizer) -> None:
    tokens = taste.encode(speechlike(20_000), TEXT)
    first = taste.units(tokens, seed=1)
    assert torch.equal(first, taste.units(tokens, seed=1))
    assert not torch.equal(first, taste.units(tokens, seed=2))
    assert len(first) == -(-20_000 // taste.config.units.hop)
    likeliest = Sampling(temperature=0.0)
    assert not torch.equal(
        taste.units(tokens, sampling=likeliest), taste.units(tokens, sampling=likeliest, text_only=True)
    )


def test_what_is_looked_at_is_what_training_saw(taste: TasteTokenizer) -> None:
    clip = speechlike(20_000)
    look = taste.predict(clip, TEXT)
    units = taste.source.units(clip)
    assert torch.equal(look.units, units)
    assert look.logits.shape == (len(units) + 1, taste.config.lm.size + 1)
    assert look.attention is not None
    assert look.durations is not None
    torch.testing.assert_close(look.attention.sum(2), torch.ones(look.attention.shape[:2]))
    assert float(look.durations.sum()) == pytest.approx(len(units), rel=1e-4)
    score = taste.score(clip, TEXT)
    expected = -torch.nn.functional.cross_entropy(look.logits[:-1], units, reduction="none")
    torch.testing.assert_close(score, expected)
    alone = taste.predict(clip, TEXT, text_only=True)
    assert (alone.acoustic, alone.attention) == (None, None)
    assert not torch.allclose(alone.logits, look.logits)


def test_only_the_swapped_words_change(taste: TasteTokenizer) -> None:
    clip, donor = speechlike(20_000, seed=1), speechlike(32_000, seed=2)
    own, other = taste.encode(clip, TEXT), taste.encode(donor, TEXT)
    swapped = taste.swap_words(own, other, 2, 3)
    words = taste.subword_tokenizer.tokenize(TEXT).word_ids
    for place, word in enumerate(words):
        source = other if word in (1, 2) else own
        assert torch.equal(swapped.ids[..., place], source.ids[..., place])
    longer = sum(taste.seconds(other)[1:3]) - sum(taste.seconds(own)[1:3])
    assert int(swapped.samples[0]) == pytest.approx(20_000 + longer * 16_000, abs=2)
    assert taste.decode(swapped).samples.size == int(swapped.samples[0])


def test_editing_says_what_became_of_each_word(taste: TasteTokenizer) -> None:
    made = edit(taste, speechlike(20_000, seed=1), speechlike(32_000, seed=2), (2, 2), TEXT)
    assert made.words == tuple(TEXT.split())
    assert len(made.before) == len(made.after) == len(made.words)
    assert made.audio.duration == pytest.approx(sum(made.after), abs=0.01)
    assert made.unedited.duration == pytest.approx(1.25)


def test_an_edited_file_says_that_it_was_edited(taste: TasteTokenizer, tmp_path: Path) -> None:
    made = edit(taste, speechlike(20_000, seed=1), speechlike(32_000, seed=2), (2, 3), TEXT)
    made.write(tmp_path / "edited.flac")
    with soundfile.SoundFile(tmp_path / "edited.flac") as file:
        assert "Words 2 to 3 are said as in another recording." in file.comment
    assert np.abs(Audio.read(tmp_path / "edited.flac").samples - made.audio.samples.clip(-1, 1)).max() < 1e-4


def test_texts_are_scored_with_and_without_what_is_heard_the_likeliest_first(taste: TasteTokenizer) -> None:
    clip, texts = speechlike(20_000), [TEXT, "who is it then", TEXT + " then"]
    found = score(taste, clip, texts)
    assert sorted(one.text for one in found) == sorted(texts)
    assert [one.nats for one in found] == sorted((one.nats for one in found), reverse=True)
    for one in found:
        assert one.units == -(-20_000 // taste.config.units.hop)
        assert one.nats == pytest.approx(float(taste.score(clip, one.text).sum()))
        assert one.text_only_nats == pytest.approx(float(taste.score(clip, one.text, text_only=True).sum()))
        assert one.nats != one.text_only_nats
        assert one.nats < 0


def test_what_cannot_be_scored_is_refused(taste: TasteTokenizer) -> None:
    with pytest.raises(TextError, match="there is no text to score"):
        score(taste, speechlike(8_000), [])
    with pytest.raises(TextError, match="no letters"):
        score(taste, speechlike(8_000), [TEXT, "..."])
    with pytest.raises(SpecError, match="a GuidedTokenizer cannot score texts; take taste-small"):
        score(ready("spectral"), speechlike(8_000), [TEXT])


@pytest.mark.parametrize(
    ("words", "donor_text", "error", "message"),
    [
        ((0, 2), None, SpecError, "1 is the first"),
        ((3, 7), None, SpecError, "6 and 6 words"),
        ((3, 2), None, SpecError, "words 3:2"),
        ((1, 2), "the other dog is there too", TextError, "'the dog' in the recording and 'the other' in the donor"),
    ],
)
def test_words_that_cannot_be_swapped_are_named(
    taste: TasteTokenizer, words: tuple[int, int], donor_text: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        edit(taste, speechlike(16_000), speechlike(16_000), words, TEXT, donor_text)


def test_a_codec_edits_no_words() -> None:
    with pytest.raises(SpecError, match="are not aligned to words; take taste-small"):
        edit(ready("spectral"), speechlike(16_000), speechlike(16_000), (1, 1), TEXT)


@pytest.mark.parametrize("text", [None, "", "  "])
def test_a_text_is_needed(taste: TasteTokenizer, text: str | None) -> None:
    with pytest.raises(TextError, match=r"there is no text, .* --text or --recognise"):
        taste.encode(speechlike(16_000), text)


def test_what_does_not_belong_together_is_refused(taste: TasteTokenizer) -> None:
    clip = speechlike(16_000)
    tokens = taste.encode(clip, TEXT)
    with pytest.raises(SpecError, match="were made by tokenizer"):
        taste.decode(replace(tokens, tokenizer="sha256:another"))
    with pytest.raises(SpecError, match="one was altered"):
        taste.decode(replace(tokens, text=("the",)))
    with pytest.raises(SpecError, match="one clip with its text"):
        taste.decode(replace(tokens, text=None))
    with pytest.raises(SpecError, match="use decode_batch"):
        taste.decode(taste.encode_batch([clip, clip], [TEXT, TEXT]))
    with pytest.raises(ShapeError, match="got 1 texts for 2 clips"):
        taste.encode_batch([clip, clip], [TEXT])
    with pytest.raises(AudioError, match="empty"):
        taste.encode(Audio(np.zeros(0, dtype=np.float32), 16_000), TEXT)
    with pytest.raises(SpecError, match="take 1, 1 and 2"):
        taste.embed(tokens, levels=[2])


def test_units_of_another_model_are_refused(taste: TasteTokenizer) -> None:
    other = TasteTokenizer(taste.model, find=lambda name: ready("seanet"))
    with pytest.raises(SpecError, match="units of another model"):
        other.decode(taste.encode(speechlike(16_000), TEXT))
    with pytest.raises(CheckpointError, match=r"use vocable\.load"):
        _ = TasteTokenizer(taste.model).source


def test_another_whisper_is_refused(
    taste: TasteTokenizer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights_folder: Path
) -> None:
    monkeypatch.setenv(WEIGHTS, str(tmp_path))
    load_encoder.cache_clear()
    with pytest.raises(CheckpointError, match=f"not at hand.*{WEIGHTS}"):
        taste.encode(speechlike(16_000), TEXT)


def test_without_a_quantizer_there_are_no_tokens(taste: TasteTokenizer) -> None:
    from tests.systems.taste.made import model_of

    plain = TasteTokenizer(model_of(replace(taste.config, quantizer=None)), find=ready)
    with pytest.raises(SpecError, match="has no quantizer"):
        plain.encode(speechlike(16_000), TEXT)
    assert plain.predict(speechlike(16_000), TEXT).acoustic is not None
