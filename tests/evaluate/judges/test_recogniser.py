from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from vocable.audio import Audio
from vocable.data.manifest import read_manifest
from vocable.evaluate.judges.recognizer import PocketsphinxRecognizer, WhisperRecognizer
from vocable.interfaces import SpeechRecognizer
from vocable.metrics.text import wer


@pytest.fixture(scope="module")
def heard(speech_data: Path) -> list[tuple[Audio, str]]:
    """Three short clips of read English with their texts."""
    items = read_manifest(speech_data / "read_librispeech" / "manifest.jsonl", "test")
    short = sorted(items, key=lambda item: item.duration)[:3]
    return [(Audio.read(item.audio_path, 16_000), item.text) for item in short]


@pytest.fixture(scope="module")
def sphinx() -> PocketsphinxRecognizer:
    return PocketsphinxRecognizer()


@pytest.mark.slow
def test_words_are_recognised_and_do_not_depend_on_what_came_before(sphinx, heard) -> None:
    forth = [sphinx.transcribe(clip) for clip, _ in heard]
    sphinx.transcribe(Audio(heard[0][0].samples[::-1] * 0.01, 16_000))
    back = [sphinx.transcribe(clip) for clip, _ in reversed(heard)]
    alone = PocketsphinxRecognizer().transcribe(heard[-1][0])
    assert forth == back[::-1]
    assert alone == forth[-1]
    assert isinstance(sphinx, SpeechRecognizer)
    assert sum(wer(text, said).hits for (_, text), said in zip(heard, forth, strict=True)) >= 3
    for said in forth:
        assert said == " ".join(said.lower().split())
        assert "(" not in said


def test_another_rate_and_loudness_beyond_full_scale_are_taken(sphinx, heard) -> None:
    clip, text = heard[0]
    loud = Audio(clip.samples / np.abs(clip.samples).max() * 1.05, 16_000)
    for other in (clip.resample(44_100), loud):
        assert wer(sphinx.transcribe(clip), sphinx.transcribe(other)).rate <= 0.5, text


@pytest.mark.parametrize("samples", [np.zeros(16_000), np.ones(1), np.ones(100), np.full(16_000, 0.5)])
def test_nothing_is_heard_where_nothing_is(sphinx, samples) -> None:
    assert sphinx.transcribe(Audio(samples, 16_000)) == ""


@pytest.mark.parametrize("samples", [1600, 1601, 2000])
def test_a_tenth_of_a_second_of_noise_is_no_error(sphinx, samples) -> None:
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, samples)
    assert isinstance(sphinx.transcribe(Audio(noise, 16_000)), str)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory) -> Path:
    """A small random Whisper that knows the letters, saved as the hub holds it."""
    folder = tmp_path_factory.mktemp("whisper") / "tiny-whisper"
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]
    vocabulary = {token: at for at, token in enumerate([*special, *"abcdefghijklmnopqrstuvwxyzABCDEFG", "Ġ"])}
    transformers.WhisperProcessor(
        transformers.WhisperFeatureExtractor(),
        transformers.WhisperTokenizer(vocab=vocabulary, merges=[]),
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_target_positions=12,
        decoder_start_token_id=1, bos_token_id=0, eos_token_id=0, pad_token_id=0, suppress_tokens=None,
        begin_suppress_tokens=None,
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config)
    model.generation_config.max_length = 8
    model.generation_config.no_timestamps_token_id = 4
    model.save_pretrained(folder)
    return folder


def test_whisper_is_read_from_a_folder_and_hears_thirty_seconds_at_a_time(whisper) -> None:
    recogniser = WhisperRecognizer(str(whisper))
    assert isinstance(recogniser, SpeechRecognizer)
    assert recogniser.name == "tiny-whisper"
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 32 * 16_000)
    parts = [recogniser.transcribe(Audio(part, 16_000)) for part in (noise[: 30 * 16_000], noise[30 * 16_000 :])]
    assert all(parts)
    assert recogniser.transcribe(Audio(noise, 16_000)) == " ".join(parts)
    assert recogniser.transcribe(Audio(np.zeros(16_000), 16_000)) == ""
