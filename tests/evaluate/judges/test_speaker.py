from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError
from vocable.evaluate.judges.base import SpeakerEncoder
from vocable.evaluate.judges.voice import EcapaEncoder, ResemblyzerEncoder, TransformersSpeakerEncoder
from vocable.features.ecapa import EcapaTdnn


@pytest.fixture(scope="module")
def wavlm(tmp_path_factory) -> Path:
    """A small random WavLM with x-vectors, saved as the hub holds it."""
    folder = tmp_path_factory.mktemp("wavlm") / "tiny-wavlm"
    torch.manual_seed(0)
    config = transformers.WavLMConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, tdnn_dim=(8, 8, 8, 8, 16), xvector_output_dim=8,
    )  # fmt: skip
    transformers.WavLMForXVector(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def noise() -> Audio:
    return Audio(np.random.default_rng(0).uniform(-0.1, 0.1, 20_000), 16_000)


def test_resemblyzer_hears_the_same_voice_at_any_level_above_its_own_and_at_another_rate(speech_data) -> None:
    clip = Audio.read(next((speech_data / "emo_emodb_de" / "audio").rglob("*.*")))
    encoder = ResemblyzerEncoder()
    voice = encoder.embed(clip)
    assert isinstance(encoder, SpeakerEncoder)
    assert encoder.name.startswith("resemblyzer-")
    assert np.linalg.norm(voice) == pytest.approx(1.0, abs=1e-5)
    quiet, quieter = (encoder.embed(Audio(clip.samples * gain, clip.sample_rate)) for gain in (0.01, 0.001))
    assert quiet @ quieter == pytest.approx(1.0, abs=1e-4)
    assert voice @ encoder.embed(clip.resample(22_050)) > 0.99


def test_what_cannot_be_judged_says_why(wavlm) -> None:
    for encoder in (ResemblyzerEncoder(), TransformersSpeakerEncoder(str(wavlm))):
        with pytest.raises(AudioError, match=r"^silent$"):
            encoder.embed(Audio(np.zeros(16_000), 16_000))
        with pytest.raises(AudioError, match=r"^shorter than 0\.\d s$"):
            encoder.embed(Audio(np.ones(10), 16_000))


def test_an_x_vector_model_is_read_from_a_folder_and_called_by_its_name(wavlm, noise) -> None:
    encoder = TransformersSpeakerEncoder(str(wavlm))
    voice = encoder.embed(noise)
    assert isinstance(encoder, SpeakerEncoder)
    assert encoder.name == "tiny-wavlm"
    assert voice.shape == (8,)
    assert np.linalg.norm(voice) == pytest.approx(1.0, abs=1e-5)
    model = transformers.WavLMForXVector.from_pretrained(wavlm).eval()
    heard = (noise.samples - noise.samples.mean()) / np.sqrt(noise.samples.var() + 1e-7)
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(model(torch.from_numpy(heard)[None]).embeddings)[0].numpy()
    np.testing.assert_allclose(voice, expected, atol=1e-5)


def test_a_model_without_a_head_for_speakers_is_refused(wavlm, tmp_path) -> None:
    config = transformers.WavLMConfig.from_pretrained(wavlm)
    transformers.WavLMModel(config).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="trained to verify speakers"):
        TransformersSpeakerEncoder(str(tmp_path))


def test_an_empty_folder_is_no_model(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="holds no model of this kind"):
        TransformersSpeakerEncoder(str(tmp_path))


def test_ecapa_hears_a_voice_with_speechbrains_weights(noise, tmp_path) -> None:
    torch.manual_seed(0)
    network = EcapaTdnn(width=16)
    save_file(network.state_dict(), tmp_path / "embedding_model.safetensors")
    encoder = EcapaEncoder(str(tmp_path))
    voice = encoder.embed(noise)
    assert isinstance(encoder, SpeakerEncoder)
    assert encoder.name == tmp_path.name
    wanted = torch.nn.functional.normalize(network(torch.from_numpy(noise.samples)[None]))[0].detach().numpy()
    np.testing.assert_allclose(voice, wanted, atol=1e-6)


def test_ecapa_that_is_not_at_hand_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="spkrec-ecapa-voxceleb: no folder, not in the local cache"):
        EcapaEncoder()
    with pytest.raises(CheckpointError, match=r"holds no embedding_model.safetensors and no embedding_model.ckpt"):
        EcapaEncoder(str(tmp_path))
