"""Voices of transformers' x-vector models, from a small random checkpoint in a folder; as a judge and as a teacher."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError, ShapeError
from vocable.features.xvector import XVectorEncoder
from vocable.systems.guided.teachers import find_speaker_extractor

NOISE = Audio(np.random.default_rng(0).uniform(-0.1, 0.1, 20_000).astype(np.float32) + 0.02, 16_000)


def saved_voice(folder: Path, *, normalise: bool = True, rate: int = 16_000) -> Path:
    torch.manual_seed(0)
    config = transformers.WavLMConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, tdnn_dim=(8, 8, 8, 8, 16), xvector_output_dim=12,
    )  # fmt: skip
    transformers.WavLMForXVector(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise, sampling_rate=rate).save_pretrained(folder)
    return folder


def test_voices_are_those_of_transformers_and_of_each_clip_alone(tmp_path: Path) -> None:
    folder = saved_voice(tmp_path / "wavlm")
    encoder, model = XVectorEncoder.load(str(folder)), transformers.WavLMForXVector.from_pretrained(folder).eval()
    samples = torch.from_numpy(NOISE.samples)[None]
    normal = (samples - samples.mean()) / (samples.var(correction=0) + 1e-7).sqrt()
    with torch.no_grad():
        wanted = model(normal).embeddings
    assert (encoder.width, encoder.name, encoder.normalize) == (12, "wavlm", True)
    assert torch.allclose(encoder(samples), wanted, atol=1e-5)
    both = encoder(torch.cat([samples, 0.5 * samples.flip(1)]))
    assert torch.allclose(both[:1], wanted, atol=1e-5)
    with pytest.raises(ShapeError, match="x-vectors need 8000 samples or more, not 7999"):
        encoder(samples[:, :7_999])


def test_it_teaches_by_its_folder_and_another_is_another_teacher(tmp_path: Path) -> None:
    folder = saved_voice(tmp_path / "wavlm")
    teacher = find_speaker_extractor(str(folder))
    assert (teacher.name, teacher.width, teacher.frame_rate) == ("wavlm", 12, None)
    assert torch.equal(
        teacher.extract(NOISE), XVectorEncoder.load(str(folder))(torch.from_numpy(NOISE.samples)[None])[0]
    )
    assert find_speaker_extractor(str(folder)).digest == teacher.digest
    assert find_speaker_extractor(str(saved_voice(tmp_path / "other", normalise=False))).digest != teacher.digest
    with pytest.raises(AudioError, match=r"the clip has 0.40 s, wavlm needs 0.50 s"):
        teacher.extract(Audio(NOISE.samples[:6_400], 16_000))


def test_what_is_no_such_model_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("nobody/nothing", "speechbrain/nothing", "nowhere"):
        with pytest.raises(CheckpointError, match=f"{name}: no folder, not in the local cache"):
            find_speaker_extractor(name)
    with pytest.raises(CheckpointError, match="slow: takes 8000 Hz, not 16000"):
        find_speaker_extractor(str(saved_voice(tmp_path / "slow", rate=8_000)))
    plain = tmp_path / "plain"
    config = transformers.WavLMConfig.from_pretrained(saved_voice(tmp_path / "whole"))
    transformers.WavLMModel(config).save_pretrained(plain)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(plain)
    with pytest.raises(CheckpointError, match=r"plain: lacks \d+ parameters.*; give a model trained to verify"):
        find_speaker_extractor(str(plain))
