"""Whisper's encoder: OpenAI's spectra, transformers' frames, and the same frames alone and in company."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models import save_whisper
from vocable.audio import Audio
from vocable.data.targets import FeatureExtractor
from vocable.errors import AudioError, CheckpointError, ConfigError, ShapeError
from vocable.features.spectrogram import mel_filters
from vocable.features.whisper import EncoderSpec, WhisperEncoder, WhisperLayers, load_encoder, log_mel


@pytest.fixture(scope="module")
def folder(weights: Path) -> Path:
    return weights / "whisper-tiny.en"


@pytest.fixture(scope="module")
def encoder(folder: Path) -> WhisperEncoder:
    return WhisperEncoder.load(str(folder))


@pytest.fixture(scope="module")
def clip(speech_data: Path) -> Audio:
    return Audio.read(speech_data / "emo_emodb_de" / "audio" / "03a01Fa.flac")


def noise(size: int, seed: int = 0) -> torch.Tensor:
    return torch.empty(size).uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(seed))


def openai_log_mel(samples: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """As whisper/audio.py computes it, written down from there."""
    padded = torch.nn.functional.pad(samples, (0, 480_000 - len(samples)))
    spectrum = torch.stft(padded, 400, 160, window=torch.hann_window(400), return_complex=True)[:, :-1]
    mel = torch.clamp(filters @ spectrum.abs().square(), min=1e-10).log10()
    return (torch.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0


def test_the_filters_are_openais(folder: Path) -> None:
    with np.load(folder / "mel_filters.npz", allow_pickle=False) as filters:
        for mels in (80, 128):
            ours = mel_filters(16_000, 400, mels).numpy().T
            np.testing.assert_allclose(ours, filters[f"mel_{mels}"], atol=1e-8)


def test_the_spectra_are_openais(folder: Path, clip: Audio) -> None:
    with np.load(folder / "mel_filters.npz", allow_pickle=False) as filters:
        mel_80 = torch.from_numpy(filters["mel_80"])
    speech = torch.from_numpy(clip.samples)
    for samples in (speech, speech[:5_001], noise(320), noise(1), torch.zeros(999)):
        ours = log_mel(samples[None], torch.tensor([len(samples)]))[0].T
        assert ours.shape[1] == 2 * -(-len(samples) // 320)
        torch.testing.assert_close(ours, openai_log_mel(samples, mel_80)[:, : ours.shape[1]], atol=1e-5, rtol=0)


@pytest.mark.slow
def test_frames_are_those_of_transformers(encoder: WhisperEncoder, folder: Path, tmp_path: Path, clip: Audio) -> None:
    """Weights given to transformers come back as they were, and both networks hear the same in 30 s."""
    import transformers

    config = transformers.WhisperConfig(
        d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536, num_mel_bins=80,
        decoder_layers=1, decoder_attention_heads=6, decoder_ffn_dim=64, vocab_size=60, max_target_positions=8,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    model = transformers.WhisperModel(config).eval()
    model.save_pretrained(tmp_path / "random-whisper")
    ours = WhisperEncoder.load(str(tmp_path / "random-whisper"))
    assert (ours.name, ours.width, ours.depth) == ("random-whisper", 384, 4)
    assert ours.digest != encoder.digest
    samples = torch.nn.functional.pad(torch.from_numpy(clip.samples), (0, 480_000 - len(clip.samples)))[None]
    mel = log_mel(samples, torch.tensor([480_000]))
    with torch.no_grad():
        theirs = model.encoder(mel.mT, output_hidden_states=True).hidden_states
        for one, other in zip(ours.hidden_states(samples), theirs, strict=True):
            torch.testing.assert_close(one, other, atol=2e-4, rtol=0)


def test_a_clip_has_the_same_frames_alone_and_in_company(encoder: WhisperEncoder, clip: Audio) -> None:
    clips = [torch.from_numpy(clip.samples), noise(1), noise(48_000), noise(321), torch.zeros(5_000)]
    lengths = torch.tensor([len(one) for one in clips])
    padded = torch.full((len(clips), 60_000), 0.7)  # what lies behind a clip is no silence
    for row, one in zip(padded, clips, strict=True):
        row[: len(one)] = one
    together = encoder(padded, lengths, layers=(0, 2, -1))
    for row, one in zip(together, clips, strict=True):
        count = -(-len(one) // 320)
        torch.testing.assert_close(row[:count], encoder(one[None], layers=(0, 2, -1))[0], atol=2e-3, rtol=1e-3)
        assert not row[count:].any()


@pytest.mark.slow
def test_clips_of_any_length_and_rate_are_heard(encoder: WhisperEncoder) -> None:
    for size, rate, count in ((1, 16_000, 1), (321, 16_000, 2), (24_000, 24_000, 50), (31 * 16_000, 16_000, 1_550)):
        frames = encoder.features(Audio(noise(size).numpy(), rate))
        assert frames.shape == (count, 384)
        assert frames.isfinite().all()
        assert not frames.requires_grad
    long = noise(31 * 16_000)
    whole = encoder.features(Audio(long.numpy(), 16_000))
    assert torch.equal(whole[1_500:], encoder.features(Audio(long[480_000:].numpy(), 16_000)))
    assert (encoder.sample_rate, encoder.hop, encoder.frame_rate, encoder.name) == (
        16_000,
        320,
        50.0,
        "whisper-tiny.en",
    )
    with pytest.raises(ShapeError, match=r"takes 1 to 480000 samples at a time, not 496000 .* features\(\) cuts"):
        encoder(long[None])
    with pytest.raises(ShapeError, match="takes 1 to 480000"):
        encoder(long[None, :100], torch.tensor([0]))


def test_layers_are_their_mean_and_gradients_reach_the_waveform(encoder: WhisperEncoder) -> None:
    samples = noise(3_200)[None].requires_grad_()
    hidden = encoder.hidden_states(samples)
    assert len(hidden) == encoder.depth + 1
    mean = encoder(samples, layers=(1, 3))
    torch.testing.assert_close(mean, (hidden[1] + hidden[3]) / 2)
    mean.square().mean().backward()
    assert samples.grad is not None
    assert samples.grad.abs().sum() > 0
    assert not encoder.training
    assert not any(one.requires_grad for one in encoder.parameters())


def test_folders_without_a_whisper_are_named(folder: Path, tmp_path: Path) -> None:
    tensors = load_file(folder / "encoder.fp16.safetensors")
    for name, change in (
        ("missing", {"encoder.ln_post.bias": None}),
        ("more", {"encoder.extra": torch.zeros(1)}),
        ("shape", {"encoder.conv2.weight": torch.zeros(3)}),
        ("flat", {"encoder.positional_embedding": torch.zeros(3)}),
        ("nothing", dict.fromkeys(tensors)),
    ):
        (tmp_path / name).mkdir()
        kept = {key: value for key, value in (tensors | change).items() if value is not None}
        save_file(kept, tmp_path / name / "encoder.safetensors")
        with pytest.raises(CheckpointError, match=rf"{name}: holds no Whisper encoder .*; give another folder"):
            WhisperEncoder.load(str(tmp_path / name))
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "encoder.safetensors").write_bytes((folder / "encoder.fp16.safetensors").read_bytes()[:1_000])
    with pytest.raises(CheckpointError, match=r"cut/encoder\.safetensors: cannot be read .*; copy the model again"):
        WhisperEncoder.load(str(tmp_path / "cut"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="other: holds no model of this kind"):
        WhisperEncoder.load(str(tmp_path / "other"))


def test_an_encoder_is_recalled_by_its_name_and_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = WhisperEncoder.load(str(save_whisper(tmp_path / "here" / "one"))).spec
    assert (spec.name, spec.width, spec.depth) == ("one", 64, 2)
    with pytest.raises(CheckpointError, match=r"the encoder one is not at hand .*; set VOCABLE_WEIGHTS to .* one$"):
        load_encoder(spec)
    monkeypatch.setenv("VOCABLE_WEIGHTS", str(tmp_path / "here"))
    assert load_encoder(spec) is load_encoder(spec)
    assert load_encoder(spec).spec == spec
    assert WhisperEncoder.load("owner/one").spec == EncoderSpec(**(vars(spec) | {"name": "owner/one"}))
    save_whisper(tmp_path / "there" / "one", seed=1)
    load_encoder.cache_clear()
    monkeypatch.setenv("VOCABLE_WEIGHTS", str(tmp_path / "there"))
    with pytest.raises(CheckpointError, match=r"there.one: holds another model \(sha256:.*VOCABLE_WEIGHTS"):
        load_encoder(spec)


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"name": "a\nb"}, {"digest": "x" * 201}, {"width": 0}, {"depth": 1 << 17}], ids=str
)
def test_a_spec_out_of_range_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"^EncoderSpec: |^encoder: "):
        EncoderSpec(**({"name": "a", "digest": "b", "width": 1, "depth": 1} | change))  # type: ignore[arg-type]


def test_layers_stand_side_by_side(encoder: WhisperEncoder, clip: Audio) -> None:
    layers = WhisperLayers(encoder, (-1, 2))
    assert isinstance(layers, FeatureExtractor)
    assert (layers.layers, layers.width, layers.frame_rate) == ((4, 2), 768, 50.0)
    heard = layers.extract(clip)
    for place, layer in enumerate((4, 2)):
        assert torch.equal(heard[:, 384 * place : 384 * (place + 1)], encoder.features(clip, layers=(layer,)))
    others = {WhisperLayers(encoder, chosen).digest for chosen in ((2, 4), (4,), (0, 2))}
    assert len(others | {layers.digest}) == 4
    assert WhisperLayers(encoder, (4, -3)).digest == layers.digest
    with pytest.raises(AudioError, match=r"lasts 30\.10 s: Whisper takes up to 30 s at a time; cut it"):
        layers.extract(Audio(noise(481_600).numpy(), 16_000))
    assert layers.extract(Audio(noise(1).numpy(), 16_000)).shape == (1, 768)
    for wrong in ((), (5,), (0, -6)):
        with pytest.raises(ConfigError, match=r"has no layers .*; it has 0 to 4"):
            WhisperLayers(encoder, wrong)
