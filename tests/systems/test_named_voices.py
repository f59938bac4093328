"""Voices that come with a model: kept with it, used as a recording is, and refused where they are of another model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import vocable
from tests.models import ready, ready_ctap
from vocable.errors import ArgumentError, AudioError, CheckpointError, ConfigError, SpecError
from vocable.systems.named_voices import is_voice_name
from vocable.systems.voiced import VoicedTokenizer
from vocable.testing import speechlike

ANN, BOB, CLIP = (speechlike(16_000, 16_000, seed=seed) for seed in (1, 2, 3))
PHONEMES = ["HH", "AY"]


@pytest.fixture
def with_voices(monkeypatch: pytest.MonkeyPatch) -> Any:
    tokenizer = ready_ctap()
    monkeypatch.setattr(tokenizer, "voices", {})  # as it is afterwards: other tests have the same tokenizer
    tokenizer.add_voice("bob", [BOB])
    tokenizer.add_voice("ann", [ANN, CLIP])
    return tokenizer


def test_a_voice_is_the_mean_of_its_recordings_and_used_as_one(
    voiced: VoicedTokenizer[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voiced, "voices", {})
    voiced.add_voice("bob", [BOB])
    voiced.add_voice("ann", [ANN, CLIP])
    assert list(voiced.voices) == ["ann", "bob"]
    assert torch.equal(voiced.voices["bob"], voiced.voice_of(BOB))
    assert torch.allclose(voiced.voices["ann"], (voiced.voice_of(ANN) + voiced.voice_of(CLIP)) / 2, atol=1e-6)
    tokens = voiced.encode(CLIP)
    by_vector, by_recording = (voiced.decode(tokens, voice) for voice in (voiced.voices["bob"], BOB))
    assert (by_vector.samples == by_recording.samples).all()
    assert by_vector.mark is not None
    assert (vocable.convert(voiced, CLIP, voiced.voices["bob"]).samples == by_recording.samples).all()


def test_speech_is_synthesized_in_a_voice_of_the_model(with_voices: Any) -> None:
    made = [vocable.synthesize(with_voices, None, voice, phonemes=PHONEMES).samples
            for voice in (with_voices.voices["bob"], BOB, with_voices.voices["ann"])]  # fmt: skip
    assert made[0].tolist() == made[1].tolist() != made[2].tolist()


def test_voices_are_saved_with_the_model_and_change_no_digest(with_voices: Any, tmp_path: Path) -> None:
    with_voices.save(tmp_path / "a")
    again = vocable.load(tmp_path / "a")
    assert again.digest == with_voices.digest
    assert list(again.voices) == ["ann", "bob"]
    assert all(torch.equal(again.voices[name], voice) for name, voice in with_voices.voices.items())
    with_voices.save(tmp_path / "half", half=True)
    assert list(vocable.load(tmp_path / "half").voices) == ["ann", "bob"]
    with_voices.voices = {}
    with_voices.save(tmp_path / "a")
    assert not vocable.load(tmp_path / "a").voices


@pytest.mark.parametrize("name", ["", "Ann", "../ann", "a" * 65, "ann.wav", "an n"])
def test_other_names_are_refused(name: str, with_voices: Any, tmp_path: Path) -> None:
    assert not is_voice_name(name)
    with pytest.raises(ConfigError, match="take lower-case letters"):
        with_voices.add_voice(name, [ANN])
    with_voices.save(tmp_path)
    save_file({name: with_voices.voices["ann"]}, tmp_path / "voices.safetensors", {"tokenizer": with_voices.digest})
    with pytest.raises(CheckpointError, match="holds names that no voice may have; remove the file"):
        vocable.load(tmp_path)


def test_recordings_that_are_none_are_refused(with_voices: Any) -> None:
    with pytest.raises(ConfigError, match="needs at least one recording"):
        with_voices.add_voice("cara", [])
    with pytest.raises(AudioError, match=r"at least 0\.5 s are needed"):
        with_voices.add_voice("cara", [ANN, speechlike(800, 16_000)])
    assert "cara" not in with_voices.voices


@pytest.mark.parametrize(
    ("vector", "digest", "reason"),
    [
        (torch.zeros(72), "sha256:of another model", "the voices are of sha256:of another model, not of this model"),
        (torch.zeros(71), "", "the voice 'ann' is not 72 finite float32 numbers"),
        (torch.full((72,), torch.nan), "", "the voice 'ann' is not 72 finite float32 numbers"),
        (torch.zeros(72, dtype=torch.float64), "", "the voice 'ann' is not 72 finite float32 numbers"),
        (torch.zeros(1, 72), "", "the voice 'ann' is not 72 finite float32 numbers"),
    ],
)
def test_a_file_of_other_voices_is_refused(vector: Any, digest: str, reason: str, tmp_path: Path) -> None:
    tokenizer = ready_ctap()
    tokenizer.save(tmp_path)
    save_file({"ann": vector}, tmp_path / "voices.safetensors", {"tokenizer": digest or tokenizer.digest})
    with pytest.raises(CheckpointError, match=reason):
        vocable.load(tmp_path)


def test_vectors_of_another_model_are_refused(with_voices: Any) -> None:
    tokens = with_voices.encode(CLIP)
    with pytest.raises(SpecError, match="pass 72 finite numbers, as voice_of returns them"):
        with_voices.decode(tokens, torch.zeros(8))
    with pytest.raises(ArgumentError, match="voice"):
        vocable.convert(ready("spectral"), CLIP, with_voices.voices["ann"])


@pytest.mark.parametrize("name", ["ctap-small", "supervised-small"])
def test_the_bundled_voices_are_those_of_its_card(name: str) -> None:
    tokenizer = vocable.load(name, vocoder="griffin-lim")
    assert list(tokenizer.voices) == ["kathleen", "ljspeech"]
