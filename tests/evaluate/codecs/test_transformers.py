"""EnCodec, DAC, Mimi and X-codec: the real classes with small random weights from a folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError, MissingDependencyError
from vocable.evaluate.codecs import neural as module
from vocable.evaluate.codecs.find import find_codecs
from vocable.evaluate.codecs.neural import NETWORKS, TransformersCodec
from vocable.testing import speechlike

HUBERT = {
    "model_type": "hubert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "conv_dim": [16] * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
DAC = {
    "model_type": "dac", "encoder_hidden_size": 4, "decoder_hidden_size": 32, "downsampling_ratios": [8, 5, 4, 2],
    "upsampling_ratios": [8, 5, 4, 2], "hidden_size": 64,
}  # fmt: skip


def config(system: str, **more: Any) -> Any:
    """A small network of the usual frame rate."""
    if system == "encodec":
        return transformers.EncodecConfig(num_filters=4, hidden_size=16, num_lstm_layers=1, **more)
    if system == "dac":
        return transformers.DacConfig(
            encoder_hidden_size=4, decoder_hidden_size=32, downsampling_ratios=[2, 4, 5, 8], n_codebooks=12, **more
        )
    if system == "mimi":
        return transformers.MimiConfig(
            num_filters=4, hidden_size=16, codebook_dim=16, vector_quantization_hidden_dimension=16,
            num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, intermediate_size=16,
            upsample_groups=16, num_quantizers=9, **more,
        )  # fmt: skip
    return transformers.XcodecConfig(acoustic_model_config=DAC, semantic_model_config=HUBERT, **more)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for system in NETWORKS:
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(config(system))
        for name, buffer in model.named_buffers():
            if name.endswith("embed"):  # a fresh codebook holds zeros
                buffer.normal_()
        made[system] = tmp_path_factory.mktemp(system)
        model.save_pretrained(made[system])
    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "kilobits", "name", "hertz", "frames", "levels", "bits"),
    [
        ("encodec", None, "EnCodec 6k", 24_000, 75, 8, 10), ("encodec", 1.5, "EnCodec 1.5k", 24_000, 75, 2, 10),
        ("dac", None, "DAC 6k", 16_000, 50, 12, 10), ("dac", 1.0, "DAC 1k", 16_000, 50, 2, 10),
        ("mimi", None, "Mimi 1.1k", 24_000, 12.5, 8, 11), ("mimi", 0.1375, "Mimi 0.1375k", 24_000, 12.5, 1, 11),
        ("xcodec", None, "X-codec 2k", 16_000, 50, 4, 10), ("xcodec", 0.5, "X-codec 0.5k", 16_000, 50, 1, 10),
    ],
)  # fmt: skip
def test_bits_are_those_of_the_ids(
    folders: dict[str, Path], system: str, kilobits: float | None, name: str, hertz: int, frames: float, levels: int,
    bits: int,
) -> None:  # fmt: skip
    codec = TransformersCodec(system, str(folders[system]), kilobits)
    assert (codec.name, codec.kind) == (name, "codec")
    assert f"{hertz} Hz" in codec.note
    for samples, rate, seconds in ((4 * hertz, hertz, 4), (44_100 * 4, 44_100, 4)):
        coded = codec.code(speechlike(samples, rate), "a.wav")
        assert coded.payload_bits == frames * seconds * levels * bits
        assert (coded.audio.samples.size, coded.audio.sample_rate) == (samples, rate)


@pytest.mark.parametrize("system", NETWORKS)
def test_a_clip_is_what_the_network_itself_makes_of_it(folders: dict[str, Path], system: str) -> None:
    codec = TransformersCodec(system, str(folders[system]))
    model = transformers.AutoModel.from_pretrained(folders[system]).eval()
    rate = module._rate(model.config)
    clip = speechlike(rate, rate, 5)
    setting = {NETWORKS[system].setting: 8 if system == "mimi" else 12 if system == "dac" else codec.rate}
    coded = codec.code(clip, "a.wav")
    with torch.no_grad():
        hop = 1920 if system == "mimi" else 320
        samples = torch.nn.functional.pad(torch.from_numpy(clip.samples), (0, -clip.samples.size % hop))
        wanted = model(samples[None, None], **setting).audio_values.reshape(-1)[: clip.samples.size].numpy()
    assert np.abs(wanted).max() > 0
    assert clip.samples.size - wanted.size in (0, 8)  # DAC gives 8 samples less
    assert np.allclose(coded.audio.samples[: wanted.size], wanted, atol=1e-5)
    assert not coded.audio.samples[wanted.size :].any()


@pytest.mark.parametrize("system", NETWORKS)
@pytest.mark.parametrize("samples", [1, 319, 321])
def test_short_clips_are_coded(folders: dict[str, Path], system: str, samples: int) -> None:
    coded = TransformersCodec(system, str(folders[system])).code(speechlike(samples, 16_000, 2), "a.wav")
    assert coded.audio.samples.size == samples


def test_a_network_that_gives_up_on_a_clip_says_so_in_a_line(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(*_: object, **__: object) -> None:
        raise RuntimeError("not enough memory:\n  you tried to allocate 9 TB")

    codec = TransformersCodec("mimi", str(folders["mimi"]))
    monkeypatch.setattr(codec._loaded.model, "encode", give_up)
    with pytest.raises(
        AudioError, match=r"^Mimi 1.1k refuses a clip of 0.020 s \(not enough memory: you tried [^\n]*$"
    ):
        codec.code(speechlike(320), "a.wav")


def test_rates_that_are_not_there_are_listed(folders: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"EnCodec at 2 kbit/s: these weights work at 1.5, 3, 6, 12, 24"):
        TransformersCodec("encodec", str(folders["encodec"]), 2.0)
    with pytest.raises(ConfigError, match=r"DAC at nan kbit/s: these weights work at 0.5, 1, "):
        TransformersCodec("dac", str(folders["dac"]), float("nan"))


def test_folders_that_hold_something_else_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds dac of 1 channel.*, not a mono encodec"):
        TransformersCodec("encodec", str(folders["dac"]))
    transformers.AutoModel.from_config(config("encodec", audio_channels=2)).save_pretrained(tmp_path / "stereo")
    with pytest.raises(ConfigError, match=r"holds encodec of 2 channel.*, not a mono encodec"):
        TransformersCodec("encodec", str(tmp_path / "stereo"))
    config("encodec").save_pretrained(tmp_path / "empty")
    with pytest.raises(ConfigError, match=r"^[^\n]*empty: cannot be loaded [^\n]*config.json and model.safetensors$"):
        TransformersCodec("encodec", str(tmp_path / "empty"))
    torch.save({}, tmp_path / "empty" / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="cannot be loaded"):  # a pickle is not opened
        TransformersCodec("encodec", str(tmp_path / "empty"))
    (tmp_path / "empty" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        TransformersCodec("encodec", str(tmp_path / "empty"))
    weights = safetensors.torch.load_file(folders["encodec"] / "model.safetensors")
    weights.pop("encoder.layers.0.conv.bias")
    safetensors.torch.save_file(weights, tmp_path / "empty" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks encoder.layers.0.conv.bias and 0 more; copy it again"):
        TransformersCodec("encodec", str(tmp_path / "empty"))
    (tmp_path / "empty" / "config.json").write_text(json.dumps({"model_type": "no such"}))
    with pytest.raises(ConfigError, match="cannot be loaded"):
        TransformersCodec("encodec", str(tmp_path / "empty"))


def test_weights_that_are_not_at_hand_are_left_out_unless_they_were_named(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    codecs, left_out = find_codecs(["mimi", "dac:1"], models={"dac": str(folders["dac"])})
    assert [codec.name for codec in codecs] == ["DAC 1k", "identity", "noise"]
    assert len(left_out) == 1
    assert left_out[0].startswith("mimi left out: kyutai/mimi: no such folder, and the hub does not give it")
    for source in ("nobody/mimi", str(tmp_path / "missing"), "a\nb"):
        with pytest.raises(ConfigError, match="no such folder, and the hub does not give it"):
            find_codecs([], models={"mimi": source})


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"needs transformers: pip install 'vocable\[hf\]'"):
        TransformersCodec("mimi", "never/loaded")


def test_a_clip_at_full_scale_stays_audio(folders: dict[str, Path]) -> None:
    loud = Audio(np.sign(np.sin(np.arange(8_000))).astype(np.float32), 16_000)
    assert TransformersCodec("dac", str(folders["dac"])).code(loud, "a.wav").audio.samples.size == 8_000
