"""VQ-CTAP's sizes: the paper's, layer by layer; any that fit together; and those that do not."""

import json
from dataclasses import fields, replace
from itertools import pairwise
from math import log2
from typing import Any

import pytest
import torch

from vocable.errors import ConfigError
from vocable.quantizers import EmaCodebook, FiniteScalarQuantizer, GradientCodebook
from vocable.schema import parse, to_json
from vocable.systems.ctap import recipe as ctap
from vocable.systems.ctap.config import (
    CtapCodebookConfig,
    CtapConfig,
    CtapDecoderConfig,
    DiffusionConfig,
    TranscoderConfig,
)
from vocable.systems.ctap.networks import CtapModel
from vocable.systems.registry import find_recipe, systems
from vocable.vocoders import MelSpec, VoiceConfig

PAPER = {
    "speech_encoder": 19_947_264, "phoneme_encoder": 14_066_944, "voice_encoder": 152_008,
    "speech_decoder": 4_572_240, "phoneme_decoder": 2_905_640, "connector": 2_027_584, "durations": 518_081,
}  # fmt: skip


def linear(before: int, behind: int) -> int:
    return before * behind + behind


def convolution(before: int, behind: int, kernel: int) -> int:
    return before * behind * kernel + behind


def norm(width: int) -> int:
    return 2 * width


def block(width: int, hidden: int) -> int:
    """Two layer norms, attention without bias in queries, keys and values, and a network for each position."""
    attention = 3 * width**2 + linear(width, width)
    return 2 * norm(width) + attention + linear(width, hidden) + linear(hidden, width)


def diffusion(width: int, condition: int, voice: int, layers: int, channels: int = 64, kernel: int = 3) -> int:
    """Layers with gates (twice the channels), a bias from the condition, and a linear layer on and out."""
    layer = convolution(channels, 2 * channels, kernel) + 2 * channels * condition + linear(channels, 2 * channels)
    step = linear(128, channels) + linear(channels, channels)
    ends = linear(width, channels) + linear(channels, channels) + linear(channels, width)
    return ends + step + linear(voice, channels) + layers * layer


def by_the_specification() -> dict[str, int]:
    """The layers of the paper and of its authors' neighbouring papers, one by one."""
    mels, phonemes, wide, common, voice = 80, 40, 512, 256, 64
    leave = linear(wide, common) + norm(common)
    rise = 2 * convolution(common, common, 4) + norm(common)
    path = [mels, 32, 32, 64, 64, 128, 128]
    heard = sum(convolution(one, two, 3) + norm(two) for one, two in pairwise(path))
    heard += linear(128, 8) + linear(8, 128) + 3 * 64 * (128 + 64) + 2 * 3 * 64 + 2 * linear(64, voice)
    encode = convolution(mels, wide, 3) + convolution(wide, wide, 3)
    return {
        "speech_encoder": encode + 6 * block(wide, 2_048) + leave,
        "phoneme_encoder": phonemes * wide + convolution(wide, wide, 5) + 4 * block(wide, 2_048) + leave,
        "voice_encoder": heard,
        "speech_decoder": linear(voice, common) + 6 * block(common, 256) + 5 * convolution(common, common, 5) + rise
        + linear(common, mels),
        "phoneme_decoder": 6 * block(common, 256) + rise + linear(common, phonemes),
        "connector": diffusion(common, common, voice, layers=30),
        "durations": phonemes * 64 + diffusion(1, 64, voice, layers=12),
    }  # fmt: skip


def test_the_papers_parameters_part_by_part() -> None:
    with torch.device("meta"):
        model = CtapModel(find_recipe("ctap-paper").model)
    parts = {name: getattr(model.transcoder, name) for name in list(PAPER)[:5]}
    parts |= {"connector": model.connector, "durations": model.durations}
    counts = {name: sum(value.numel() for value in part.parameters()) for name, part in parts.items()}
    assert counts == by_the_specification()
    assert counts == PAPER
    [book] = model.transcoder.quantizer.codebooks
    assert book.entries.shape == (8_192, 256)
    assert sum(value.numel() for value in model.parameters()) == sum(PAPER.values()) + 1  # and the contrastive factor


def test_the_papers_rates() -> None:
    config = find_recipe("ctap-paper").model
    assert config.mel == MelSpec(sample_rate=24_000, n_fft=960, hop=240, bins=80)
    assert (config.hop, config.transcoder.reduction) == (960, 4)
    assert (config.spec.sample_rate, config.spec.hop, config.spec.codebook_size) == (24_000, 960, 8_192)
    assert config.spec.frame_rate == 25.0
    assert config.spec.bit_rate == 25.0 * log2(8_192) == 325.0
    assert len(config.phonemes) == 40
    assert config.voice.frames * config.mel.hop == 3 * 24_000
    rows = dict(systems()["ctap"].describe_config(config)[0].rows)
    assert rows["samples to a token"] == "960"
    assert any("325" in value for value in rows.values())


def test_the_papers_shapes() -> None:
    """The walk of the specification: B = 2, three seconds."""
    config = find_recipe("ctap-paper").model
    with torch.device("meta"):
        model = CtapModel(config).eval()
        frames, phonemes = torch.zeros(2, 300, 80), torch.zeros(2, 300, dtype=torch.int64)
        mask = torch.ones(2, 75, dtype=torch.bool)
    part = model.transcoder
    assert config.mel.mel(torch.zeros(2, 72_000)).shape == (2, 80, 300)
    speech = part.speech_encoder(frames, mask)
    given = part.phoneme_encoder(phonemes, mask)
    assert speech.shape == given.shape == (2, 75, 256)
    ids = torch.zeros(2, 1, 75, dtype=torch.int64, device="meta")
    assert part.quantizer.decode(ids).shape == (2, 75, 256)
    mean, log_variance = part.voice_encoder(frames)
    assert mean.shape == log_variance.shape == (2, 64)
    assert part.speech_decoder(speech, mask, mean).shape == (2, 300, 80)
    assert part.phoneme_decoder(speech, mask).shape == (2, 300, 40)
    steps = torch.zeros(2, dtype=torch.int64, device="meta")
    assert model.connector(speech, steps, given, mean, mask).shape == (2, 75, 256)
    assert len(model.connector.layers) == 30
    assert [layer.conv.dilation[0] for layer in model.connector.layers] == [2**step for step in range(10)] * 3
    assert (model.connector.config.steps, model.durations.diffusion.config.steps) == (200, 5)


@pytest.mark.parametrize("recipe", ["ctap-paper", "ctap-small", "ctap-tiny"])
def test_a_config_comes_back_from_json(recipe: str) -> None:
    config = replace(find_recipe(recipe).model, change_cost=1.5)
    values = to_json(config)
    assert json.loads(json.dumps(values)) == values
    again = parse(CtapConfig, json.loads(json.dumps(values)), "config")
    assert again == config
    assert all(isinstance(getattr(again.transcoder, one.name), type(getattr(config.transcoder, one.name)))
               for one in fields(TranscoderConfig))  # fmt: skip


@pytest.mark.parametrize(
    ("codebook", "kind"), [("ema", EmaCodebook), ("gradient", GradientCodebook), ("fsq", FiniteScalarQuantizer)]
)
def test_each_codebook(codebook: Any, kind: type) -> None:
    sizes = replace(
        ctap.tiny().model.transcoder, codebook=CtapCodebookConfig(size=32, kind=codebook, fsq_levels=(8, 4))
    )
    model = CtapModel(replace(ctap.tiny().model, transcoder=sizes))
    assert isinstance(model.transcoder.quantizer.codebooks[0], kind)
    assert model.transcoder.quantizer.codebook_size == 32


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (TranscoderConfig, {"instance_norm": 1}, "instance_norm is 1: Input should be a valid boolean"),
        (CtapCodebookConfig, {"kind": "none"}, "kind is 'none': Input should be 'ema', 'gradient' or 'fsq'"),
        (CtapCodebookConfig, {"kind": "fsq", "fsq_levels": (8, 8)}, "make 64 entries, size is 8192"),
        (CtapCodebookConfig, {"size": 1}, "size is 1"), (CtapCodebookConfig, {"size": 1 << 40}, "size is"),
        (CtapCodebookConfig, {"fsq_levels": (8, 0)}, "fsq_levels.1 is 0"),
        (TranscoderConfig, {"heads": 3}, "width is 512: it must be a multiple of heads 3"),
        (TranscoderConfig, {"width": 24, "heads": 24}, "latent_width is 256: it must be a multiple of heads 24"),
        (TranscoderConfig, {"heads": 0}, "heads is 0: Input should be greater than or equal to 1"),
        (TranscoderConfig, {"strides": (2, 1)}, "strides.1 is 1"),
        (TranscoderConfig, {"strides": (2, 2, 2)}, "strides"),
        (TranscoderConfig, {"strides": ()}, "strides"),
        (CtapDecoderConfig, {"kernel": 4}, "kernel is 4: it must be odd"),
        (CtapDecoderConfig, {"convolutions": -1}, "convolutions is -1"),
        (CtapDecoderConfig, {"blocks": 10**9}, "blocks is 1000000000: Input should be less than or equal to 1024"),
        (VoiceConfig, {"channels": ()}, "channels"), (VoiceConfig, {"channels": (32, 0)}, "channels.1 is 0"),
        (TranscoderConfig, {"window": 50, "margin": 25}, "window is 50: it must be over twice margin 25"),
        (TranscoderConfig, {"margin": -1}, "margin is -1: Input should be greater than or equal to 0"),
        (TranscoderConfig, {"dropout": 1.0}, "dropout is 1.0: Input should be less than 1"),
        (TranscoderConfig, {"dropout": float("nan")}, "dropout is nan"),
        (TranscoderConfig, {"speech_blocks": -1}, "speech_blocks is -1"),
        (TranscoderConfig, {"width": 512.0}, "width is 512.0: Input should be a valid integer"),
        (TranscoderConfig, {"feedforward": True}, "feedforward is True"),
        (TranscoderConfig, {"width": "512"}, "width is '512': Input should be a valid integer"),
        (DiffusionConfig, {"channels": 0}, "channels is 0"), (DiffusionConfig, {"layers": 10**7}, "layers is 10000000"),
        (DiffusionConfig, {"kernel": 2}, "kernel is 2: it must be odd"),
        (DiffusionConfig, {"dilation_cycle": 17}, "dilation_cycle is 17: Input should be less than or equal to 16"),
        (DiffusionConfig, {"steps": 0}, "steps is 0"), (DiffusionConfig, {"steps": 2.5}, "steps is 2.5"),
        (DiffusionConfig, {"betas": (0.5, 0.1)}, "betas are"), (DiffusionConfig, {"betas": (0.0, 0.1)}, "betas are"),
        (DiffusionConfig, {"betas": (0.1, 1.0)}, "betas are"), (DiffusionConfig, {"betas": (0.1,)}, "betas"),
        (DiffusionConfig, {"betas": (float("nan"), 0.5)}, "betas.0 is nan"),
        (DiffusionConfig, {"betas": (0.1, 0.2, 0.3)}, "betas"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("untyped")
def test_sizes_that_do_not_fit_together(kind: type, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**change)


def hostile(**changes: Any) -> dict[str, Any]:
    """The tiny recipe's config as JSON has it, with some values replaced: ``part__name`` or ``name``."""
    values = to_json(ctap.tiny().model)
    for place, value in changes.items():
        *parts, name = place.split("__")
        inner = values
        for part in parts:
            inner = inner[part]
        inner[name] = value
    return values


@pytest.mark.parametrize(
    "values",
    [
        hostile(connector=None), {"mel": 3}, hostile(mel=None), hostile(transcoder=[]), hostile(transcoder__surprise=1),
        hostile(transcoder__width="wide"), hostile(transcoder__width=None), hostile(transcoder__width=1e9),
        hostile(transcoder__strides=2), hostile(transcoder__strides=["a", "b"]), hostile(transcoder__strides=[[2], 2]),
        hostile(transcoder__dropout="much"), hostile(transcoder__heads=0), hostile(transcoder__speech_blocks=10**9),
        hostile(transcoder__codebook__kind=["ema"]), hostile(transcoder__instance_norm="no"),
        hostile(transcoder__codebook__fsq_levels=None), hostile(transcoder__codebook=None),
        hostile(transcoder__voice__width=0),
        hostile(connector__betas=[0.1]), hostile(connector__betas="ab"), hostile(connector__betas=[None, 1]),
        hostile(durations__layers=1e400), hostile(phonemes=3), hostile(phonemes=[]), hostile(phonemes=["AA"]),
        hostile(phonemes=["SIL", "AA", "AA"]), hostile(phonemes="SIL"), hostile(change_cost="x"),
        hostile(change_cost=float("nan")), hostile(change_cost=-1.0), hostile(change_cost=None),
        hostile(mel__hop=0), hostile(mel__n_fft="x"), hostile(mel__bins=0), hostile(mel__bins=10**9),
        hostile(mel__sample_rate=-8_000), hostile(mel__sample_rate=8_000.5),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.usefixtures("untyped")
def test_a_config_from_an_untrusted_file(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        parse(CtapConfig, values, "config")


def test_an_unknown_key_is_named() -> None:
    values = to_json(CtapConfig())
    values["conector"] = values.pop("connector")
    with pytest.raises(ConfigError, match="config: conector: Unexpected keyword argument"):
        parse(CtapConfig, values, "config")
