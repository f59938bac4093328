"""TASTE's sizes: the seed's count of parameters part by part; configs to JSON and back; those that do not fit."""

import json
from dataclasses import fields, replace
from typing import Any

import jaxtyping
import pytest
import torch

from tests.systems.taste.made import UNITS, clock, relative
from vocable.errors import ConfigError
from vocable.features.whisper import EncoderSpec
from vocable.schema import parse, to_json
from vocable.systems.taste.config import (
    AggregatorConfig,
    QuantizerConfig,
    TasteConfig,
    TextConfig,
    UnitLmConfig,
    full_mha,
    migrate,
    seed_exact,
    small,
    taste,
)
from vocable.systems.taste.model import TasteModel, count_parameters
from vocable.systems.taste.tokenizer import TasteTokenizer, describe_config

COSYVOICE = {  # millions, of CosyVoice-300M's unit model
    "text embedding": 26.555, "text encoder": 82.410, "affine": 1.050, "unit model": 192.110, "head": 4.199,
    "unit embedding": 4.194, "voice": 0.198, "special": 0.002,
}  # fmt: skip


@pytest.fixture
def untyped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a value of the wrong type come as far as it does for a user."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def counts_of(config: TasteConfig) -> dict[str, tuple[int, int, int]]:
    with torch.device("meta"):
        return count_parameters(TasteModel(config))


@pytest.mark.parametrize(
    ("config", "aggregator", "total", "trained"),
    [(seed_exact(), 2.0997, 312.8, 112.3), (full_mha(), 4.7227, 315.4, 114.9)],
)
def test_the_seeds_parameters_part_by_part(
    config: TasteConfig, aggregator: float, total: float, trained: float
) -> None:
    counts = counts_of(config)
    millions = {name: count / 1e6 for name, (count, _, _) in counts.items()}
    for name, wanted in COSYVOICE.items():
        assert millions[name] == pytest.approx(wanted, abs=0.001), name
    assert millions["aggregator"] == pytest.approx(aggregator, abs=0.0001)
    assert millions["whole"] == pytest.approx(total, abs=0.1)
    assert counts["whole"][1] / 1e6 == pytest.approx(trained, abs=0.1)
    assert set(millions) == {*COSYVOICE, "aggregator", "whole"}
    assert sum(count for name, (count, _, _) in counts.items() if name != "whole") == counts["whole"][0]
    frozen = {name for name, (_, _, count) in counts.items() if count and name != "whole"}
    assert frozen == {"unit model", "head", "unit embedding"}
    assert counts["whole"][2] / 1e6 == pytest.approx(200.503, abs=0.001)


def test_cosyvoices_blocks_tensor_by_tensor() -> None:
    with torch.device("meta"):
        model = TasteModel(seed_exact())
    [*_, block] = model.lm.decoder.blocks
    wide = (1024, 1024)
    weights = {name: tuple(value.shape) for name, value in block.named_parameters()}
    assert weights == {
        **{f"{part}.weight": wide for part in ("query", "key", "value", "out", "distance")},
        **{f"{part}.bias": (1024,) for part in ("query", "key", "value", "out")},
        "content_bias": (16, 64), "distance_bias": (16, 64),
        "expand.weight": (4096, 1024), "expand.bias": (4096,), "contract.weight": (1024, 4096),
        "contract.bias": (1024,),
        **{f"{norm}.{part}": (1024,) for norm in ("before", "between") for part in ("weight", "bias")},
    }  # fmt: skip


def test_the_papers_system_has_its_parts() -> None:
    config = taste()
    counts = counts_of(config)
    assert config.bits[0] == 36.0
    assert config.spec is not None
    assert (config.spec.num_codebooks, config.spec.codebook_size, config.spec.hop) == (4, 512, None)
    assert config.layers == (32, 6)
    assert counts["whole"][2] == 0
    # the unit decoder without the aggregator and quantizer; the paper's 153.4 has 2 more blocks of 9.45
    decoder = counts["whole"][0] - counts["aggregator"][0] - counts["quantizer"][0]
    assert decoder / 1e6 + 2 * 9.450 == pytest.approx(153.4, rel=0.02)


def test_the_small_system_is_small() -> None:
    encoder = EncoderSpec(name="whisper-tiny.en", digest="0", width=384, depth=4)
    units = replace(UNITS, size=1024, voice_width=192)
    config = small(encoder, units, {}, 1000)
    with torch.device("meta"):
        model = TasteModel(config)
    stored = sum(value.numel() for value in model.state_dict().values())
    assert config.layers == (4, 2)
    assert sum(value.numel() for value in model.parameters()) == 7_677_844
    assert 2 * stored <= 16e6, "in 16 bits, more than 16 MB"


@pytest.mark.parametrize("config", [seed_exact(), full_mha(), taste(), clock(), relative(), clock(quantizer=None)])
def test_a_config_comes_back_from_json(config: TasteConfig) -> None:
    assert parse(TasteConfig, json.loads(json.dumps(to_json(config))), "config") == config


def nest(depth: int) -> list[Any]:
    return [nest(depth - 1)] if depth else []


HOSTILE: list[tuple[str, Any, str]] = [
    ("aggregator.layout", "sideways", "layout is 'sideways': Input should be 'bottleneck', 'full' or 'decoder'"),
    ("aggregator.layout", ["full"], "Input should be 'bottleneck'"),
    ("aggregator.width", 1 << 40, "width is 1099511627776: .* less than or equal to 65536"),
    ("aggregator.width", 16.0, "width is 16.0"),
    ("aggregator.depth", 0, "depth is 0"),
    ("aggregator.heads", 3, "heads is 3: it must divide the width, 16"),
    ("aggregator.value_layer", 5, "value_layer is 5: whisper has layers 0 to 4"),
    ("aggregator.value_identity", True, "width is 16: value_identity needs the width of the encoder, 20"),
    ("aggregator.pool_words", 1, "pool_words is 1: Input should be a valid boolean"),
    ("text.vocabulary_size", 1 << 30, "vocabulary_size is 1073741824"),
    ("text.dropout", float("nan"), "dropout is"),
    ("text.dropout", 1.0, "dropout is 1.0"),
    ("text.positions", "time", "positions is 'time'"),
    ("lm.heads", 16, "time positions need a head of even width"),
    ("lm.size", 25, "lm.size is 25, but there are 24 units"),
    ("lm.blocks", True, "blocks is True"),
    ("quantizer.num_codebooks", 65, "num_codebooks is 65"),
    ("quantizer.codebook_size", 1, "codebook_size is 1"),
    ("quantizer", 5, "quantizer is 5"),
    ("units.hop", 0, "hop is 0"),
    ("units.name", "a\nb", "name"),
    ("encoder.width", -1, "width"),
    ("subwords", [], "subwords is"),
    ("subwords", {"vocabulary": nest(400)}, "config"),
    ("subwords", {"size": float("inf")}, "config"),
    ("fusion", "subtract", "fusion is 'subtract'"),
    ("freeze_lm", "no", "freeze_lm is 'no'"),
    ("lm.extra", 1, "lm.extra: "),
    ("extra", 1, "extra: "),
]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(("where", "value", "message"), HOSTILE)
def test_what_a_file_may_not_say(where: str, value: Any, message: str) -> None:
    values = to_json(clock())
    *parts, last = where.split(".")
    inside = values
    for part in parts:
        inside = inside[part]
    inside[last] = value
    with pytest.raises(ConfigError, match=message):
        parse(TasteConfig, values, "config")


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("name", [one.name for one in fields(TasteConfig)])
def test_what_a_file_may_not_leave_out(name: str) -> None:
    values = to_json(clock())
    del values[name]
    with pytest.raises(ConfigError, match=f"config: {name}: Field required"):
        parse(TasteConfig, values, "config")


def test_layers_are_counted_from_behind_or_in_front() -> None:
    asks = AggregatorConfig(layout="decoder", width=16, heads=2, key_layer=-1, value_layer=0)
    assert clock(aggregator=asks).layers == (4, 0)
    with pytest.raises(ConfigError, match="layout 'full' has 1 layer"):
        AggregatorConfig(layout="full", width=16, heads=2, depth=2)


def test_facts_say_rates_and_parameters() -> None:
    first, parameters = describe_config(clock())
    rows = {row[0]: row[1] for row in first.rows}
    assert rows["bits per subword"] == f"6 of speech, {4.32:.2f} of text at most"
    assert rows["encoder"] == "whisper, keys of layer 4, values of layer 2"
    assert rows["units"] == "units: 24 units at 25 Hz"
    assert parameters.columns == ("part", "total", "trained", "frozen")
    assert parameters.rows[-1][0] == "whole"
    frozen = {row[0]: row[3] for row in describe_config(relative(freeze_lm=True))[1].rows}
    assert frozen["unit embedding"] == f"{24 * 16:,}"
    assert frozen["text embedding"] == "0"
    assert {"tokens": "none: there is no quantizer"}.items() <= {
        row[0]: row[1] for row in describe_config(relative())[0].rows
    }.items()


def test_sizes_are_checked_where_they_are_made() -> None:
    for made in (
        lambda: TextConfig(width=10, heads=4), lambda: UnitLmConfig(blocks=0), lambda: QuantizerConfig(dim=0),
    ):  # fmt: skip
        with pytest.raises(ConfigError):
            made()


@pytest.mark.parametrize(
    ("config", "old", "new"),
    [
        (relative(), "text.table.weight", "text.embedding.weight"),
        (relative(), "text.encoder.enter.1.bias", "text.encoder.in_proj.1.bias"),
        (relative(), "text.encoder.blocks.0.distance_bias", "text.encoder.blocks.0.distance_bias"),
        (relative(), "text.leave.bias", "text.out_proj.bias"),
        (relative(), "aggregator.layers.0.query.weight", "aggregator.layers.0.query.weight"),
        (relative(), "lm.blocks.enter.0.weight", "lm.decoder.in_proj.0.weight"),
        (relative(), "lm.blocks.blocks.1.between.weight", "lm.decoder.blocks.1.between.weight"),
        (relative(), "lm.blocks.norm.bias", "lm.decoder.norm.bias"),
        (relative(fusion="gated"), "fuse.gate.weight", "fusion.gate.weight"),
        (clock(), "keys.middle", "key_scaler.mean"),
        (clock(), "values.spread", "value_scaler.std"),
        (clock(), "aggregator.layers.1.pieces.out.bias", "aggregator.layers.1.self_attn.out.bias"),
        (clock(), "aggregator.layers.1.frames.key.weight", "aggregator.layers.1.cross_attn.key.weight"),
        (clock(), "quantizer.levels.codebooks.1.entries", "quantizer.residual.codebooks.1.entries"),
        (clock(), "lm.here.weight", "lm.segment_proj.weight"),
        (clock(), "durations.leave.bias", "durations.out_proj.bias"),
    ],
)
def test_tensors_of_vocable_0_1_have_their_place(config: TasteConfig, old: str, new: str) -> None:
    assert TasteTokenizer.migration is not None
    assert TasteTokenizer.migration.rename(old) == new
    assert new in TasteModel(config).state_dict()


def test_a_config_of_vocable_0_1_is_todays() -> None:
    old = json.loads(json.dumps(to_json(relative())))
    old |= {"pieces": old.pop("subwords"), "frozen_lm": old.pop("freeze_lm")}
    old["aggregator"] |= {
        before: old["aggregator"].pop(now)
        for before, now in (("pooled", "pool_words"), ("place", "position_bias"), ("standard", "standardize"))
    }
    old["text"]["size"] = old["text"].pop("vocabulary_size")
    old["lm"]["parts"] = old["lm"].pop("segments")
    assert parse(TasteConfig, migrate(old), "config") == relative()
    old["lm"]["positions"] = "clock"
    assert parse(TasteConfig, migrate(old), "config").lm.positions == "time"
