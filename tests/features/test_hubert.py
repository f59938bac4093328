"""HuBERT and its kin, from small random checkpoints in a folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from vocable.audio import Audio
from vocable.errors import CheckpointError, ConfigError
from vocable.features.hubert import HubertEncoder

SIZES = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
NOISE = Audio(np.random.default_rng(0).uniform(-0.1, 0.1, 48_000).astype(np.float32) + 0.02, 16_000)


def saved(folder: Path, kind: str = "Hubert", *, normalise: bool = False, **sizes: object) -> Path:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**(SIZES | sizes))
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def hubert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("models") / "tiny-hubert")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Hubert", "WavLM", "Wav2Vec2"])
@pytest.mark.parametrize("normalise", [False, True])
def test_frames_are_those_of_transformers(tmp_path: Path, kind: str, normalise: bool) -> None:
    folder = saved(tmp_path / "model", kind, normalise=normalise)
    encoder = HubertEncoder.load(str(folder))
    model = getattr(transformers, f"{kind}Model").from_pretrained(folder).eval()
    extract = transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder)
    inputs = extract(NOISE.samples, sampling_rate=16_000, return_tensors="pt").input_values
    with torch.no_grad():
        hidden = model(inputs, output_hidden_states=True).hidden_states
    assert (encoder.name, encoder.width, encoder.depth) == ("model", 16, 2)
    assert torch.allclose(encoder.features(NOISE), hidden[-1][0], atol=1e-5)
    assert torch.allclose(encoder.features(NOISE, layers=(0, 1, 2)), torch.stack(hidden).mean(0)[0], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Hubert", "WavLM", "Wav2Vec2"])
def test_frames_of_a_batch_are_those_of_each_clip_up_to_rounding(tmp_path: Path, kind: str) -> None:
    encoder = HubertEncoder.load(str(saved(tmp_path / "model", kind, normalise=kind == "WavLM")))
    sizes = (48_000, 7_000, 16_001, 400)
    clips = [Audio(np.roll(NOISE.samples, size)[:size], 16_000) for size in sizes]
    for layers in ((-1,), (0, 1, 2)):
        for clip, frames in zip(clips, encoder.features_of_batch(clips, layers), strict=True):
            torch.testing.assert_close(frames, encoder.features(clip, layers), rtol=1e-4, atol=1e-5)
    assert len(encoder.features_of_batch([clips[0], Audio(NOISE.samples[:9], 16_000)])[1]) == 0


@pytest.mark.parametrize(("size", "frames"), [(48_000, 149), (400, 1), (719, 1), (720, 2), (399, 0), (1, 0)])
def test_a_frame_needs_400_samples(hubert: Path, size: int, frames: int) -> None:
    encoder = HubertEncoder.load(str(hubert))
    assert encoder.features(Audio(NOISE.samples[:size], 16_000)).shape == (frames, 16)


def test_a_digest_is_of_weights_and_of_how_they_are_used(hubert: Path, tmp_path: Path) -> None:
    digest = HubertEncoder.load(str(hubert)).digest
    assert HubertEncoder.load(str(hubert)).digest == digest
    assert HubertEncoder.load(str(saved(tmp_path / "louder", normalise=True))).digest != digest


def test_what_is_no_such_model_is_refused_by_name(hubert: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="nowhere: no folder, not in the local cache"):
        HubertEncoder.load(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="empty: holds no model of this kind"):
        HubertEncoder.load(str(tmp_path / "empty"))
    transformers.BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(CheckpointError, match="bert: is a bert, not one of hubert, wavlm, wav2vec2"):
        HubertEncoder.load(str(tmp_path / "bert"))
    with pytest.raises(CheckpointError, match="slow: a frame is 640 samples, not 320"):
        HubertEncoder.load(str(saved(tmp_path / "slow", conv_stride=(5, 2, 2, 2, 2, 2, 4))))
    folder = saved(tmp_path / "deeper")
    config = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": 3}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"deeper: lacks \d+ parameters, such as encoder.layers.2"):
        HubertEncoder.load(str(folder))
    with pytest.raises(ConfigError, match=r"has no layers \[3\]; it has 0 to 2"):
        HubertEncoder.load(str(hubert)).features(NOISE, layers=(3,))
