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
from vocable.systems.ctap import recipe as ctap
from vocable.systems.ctap.config import (
    CtapConfig,
    DiffusionConfig,
    TranscoderConfig,
    config_from_json,
    config_to_json,
)
from vocable.systems.ctap.model import CtapModel
from vocable.systems.registry import find_recipe, systems
from vocable.vocoders import MelSpec

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
    [book] = model.transcoder.quantizer.books
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
    assert config.transcoder.voice_frames * config.mel.hop == 3 * 24_000
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
    assert part.speech_decoder(speech, mean, mask).shape == (2, 300, 80)
    assert part.phoneme_decoder(speech, mask).shape == (2, 300, 40)
    steps = torch.zeros(2, dtype=torch.int64, device="meta")
    assert model.connector(speech, steps, given, mean, mask).shape == (2, 75, 256)
    assert len(model.connector.layers) == 30
    assert [layer.convolve.dilation[0] for layer in model.connector.layers] == [2**step for step in range(10)] * 3
    assert (model.connector.config.steps, model.durations.diffusion.config.steps) == (200, 5)


@pytest.mark.parametrize("recipe", ["ctap-paper", "ctap-small", "ctap-tiny"])
def test_a_config_comes_back_from_json(recipe: str) -> None:
    config = replace(find_recipe(recipe).model, change_cost=1.5)
    values = config_to_json(config)
    assert json.loads(json.dumps(values)) == values
    again = config_from_json(json.loads(json.dumps(values)))
    assert again == config
    assert all(isinstance(getattr(again.transcoder, one.name), type(getattr(config.transcoder, one.name)))
               for one in fields(TranscoderConfig))  # fmt: skip


@pytest.mark.parametrize(
    ("codebook", "kind"), [("ema", EmaCodebook), ("gradient", GradientCodebook), ("fsq", FiniteScalarQuantizer)]
)
def test_each_codebook(codebook: Any, kind: type) -> None:
    sizes = replace(ctap.tiny().model.transcoder, codebook=codebook, fsq_levels=(8, 4))
    model = CtapModel(replace(ctap.tiny().model, transcoder=sizes))
    assert isinstance(model.transcoder.quantizer.books[0], kind)
    assert model.transcoder.quantizer.codebook_size == 32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"centred": 1}, "centred is 1: true or false is wanted"),
        ({"codebook": "none"}, "codebook is 'none'; choose ema or gradient or fsq"),
        ({"codebook": "fsq", "fsq_levels": (8, 8)}, "make 64 entries, not codebook_size"),
        ({"heads": 3}, "heads 3 must divide width 512"),
        ({"heads": 0}, "heads is 0: it must be whole, at least 1"),
        ({"strides": (2, 1)}, "must be two over 1"), ({"strides": (2, 2, 2)}, "must be two over 1"),
        ({"strides": ()}, "must be two over 1"),
        ({"kernel": 4}, "kernel 4 odd"),
        ({"voice_channels": ()}, "voice_channels some"),
        ({"window": 50, "margin": 25}, "window 50 must be over twice margin 25"),
        ({"margin": -1}, "margin is -1: it must be whole, at least 0"),
        ({"dropout": 1.0}, "dropout is 1.0: it must be at least 0 and under 1"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"speech_blocks": -1}, "speech_blocks is -1"), ({"decoder_blocks": 10**9}, "at most 1024"),
        ({"width": 512.0}, "width is 512.0: it must be whole"), ({"hidden": True}, "hidden is True"),
        ({"codebook_size": 1}, "codebook_size is 1"), ({"codebook_size": 1 << 40}, "codebook_size is"),
        ({"voice_channels": (32, 0)}, r"voice_channels is \(32, 0\)"), ({"convolutions": -1}, "convolutions is -1"),
        ({"fsq_levels": (8, 0)}, r"fsq_levels is \(8, 0\)"), ({"width": "512"}, "width is '512': it must be whole"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("untyped")
def test_a_transcoder_that_does_not_fit_together(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TranscoderConfig(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 0}, "channels is 0"), ({"layers": 10**7}, "layers is 10000000"),
        ({"kernel": 2}, "kernel 2 must be odd"),
        ({"cycle": 17}, "cycle is 17: it must be whole, at least 1 and at most 16"), ({"steps": 0}, "steps is 0"),
        ({"steps": 2.5}, "steps is 2.5"), ({"betas": (0.5, 0.1)}, "betas"), ({"betas": (0.0, 0.1)}, "betas"),
        ({"betas": (0.1, 1.0)}, "betas"), ({"betas": (float("nan"), 0.5)}, "betas"), ({"betas": (0.1,)}, "betas"),
        ({"betas": (0.1, 0.2, 0.3)}, "two that rise"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("untyped")
def test_a_diffusion_that_does_not_fit_together(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DiffusionConfig(**change)


def hostile(**changes: Any) -> dict[str, Any]:
    """The tiny recipe's config as JSON has it, with some values replaced: ``part__name`` or ``name``."""
    values = config_to_json(ctap.tiny().model)
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
        {}, {"mel": 3}, hostile(mel=None), hostile(transcoder=[]), hostile(transcoder__surprise=1),
        hostile(transcoder__width="wide"), hostile(transcoder__width=None), hostile(transcoder__width=1e9),
        hostile(transcoder__strides=2), hostile(transcoder__strides=["a", "b"]), hostile(transcoder__strides=[[2], 2]),
        hostile(transcoder__dropout="much"), hostile(transcoder__heads=0), hostile(transcoder__speech_blocks=10**9),
        hostile(transcoder__codebook=["ema"]), hostile(transcoder__centred="no"), hostile(transcoder__fsq_levels=None),
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
        config_from_json(values)


def test_a_key_that_is_missing_is_named() -> None:
    values = config_to_json(CtapConfig())
    del values["connector"]
    with pytest.raises(ConfigError, match=r"cannot be used .*connector.*; was it written by another version"):
        config_from_json(values)
