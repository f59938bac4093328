"""Configurations of the guided codec that are refused, from code and from a stranger's file."""

from typing import Any

import pytest

from vocable.errors import ConfigError
from vocable.schema import parse, to_json
from vocable.systems.guided.config import (
    AdversaryConfig,
    DiscriminatorConfig,
    GuidedConfig,
    GuidedLosses,
    SeanetConfig,
    SpectralConfig,
)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (SpectralConfig, {"hop": 0}, "hop is 0: Input should be greater than or equal to 1"),
        (SpectralConfig, {"hop": 330}, "spectrum_hop 160 must divide hop 330"),
        (SpectralConfig, {"kernel": 4}, "kernel 4 must be odd"),
        (SpectralConfig, {"width": "wide"}, "width is 'wide': Input should be a valid integer"),
        (SpectralConfig, {"decoder_blocks": 10**9}, "decoder_blocks is 1000000000: .* less than or equal to 1024"),
        (SeanetConfig, {"strides": ()}, r"strides is \(\): .* at least 1 item"),
        (SeanetConfig, {"strides": (2, 1)}, "strides.1 is 1: Input should be greater than or equal to 2"),
        (SeanetConfig, {"channels": 3}, "channels is 3: Input should be a multiple of 2"),
        (SeanetConfig, {"lstm_layers": 10**9}, "lstm_layers is 1000000000"),
        (GuidedConfig, {"num_codebooks": 0}, "num_codebooks is 0"),
        (GuidedConfig, {"codebook_size": 1 << 40}, "codebook_size is 1099511627776"),
        (GuidedConfig, {"codebook_decay": 1.0}, "codebook_decay is 1.0"),
        (GuidedLosses, {"balance": -1.0}, "balance is -1.0: Input should be greater than or equal to 0"),
        (GuidedLosses, {"mel_scales": ()}, r"mel_scales is \(\): .* at least 1 item"),
        (DiscriminatorConfig, {"periods": (), "scales": 0, "windows": ()}, "name at least one"),
        (AdversaryConfig, {"begin": -1}, "begin is -1: Input should be greater than or equal to 0"),
    ],
)
def test_sizes_out_of_range_are_named(kind: type, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**values)


@pytest.mark.parametrize("backbone", [SpectralConfig(width=8), SeanetConfig(channels=4, strides=(2, 4))])
def test_a_configuration_is_read_as_it_was_written(backbone: SpectralConfig | SeanetConfig) -> None:
    config = GuidedConfig(backbone=backbone, num_codebooks=2)
    assert parse(GuidedConfig, to_json(config), "model.json") == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"blocks": 1}, "spectral.blocks: Unexpected keyword argument"),
        ({"kind": "other"}, "does not match any of the expected tags: 'spectral', 'seanet'"),
        ({"kind": None}, "does not match any of the expected tags: 'spectral', 'seanet'"),
    ],
)
def test_an_unknown_backbone_is_refused(values: dict[str, Any], message: str) -> None:
    stored = to_json(GuidedConfig())
    with pytest.raises(ConfigError, match=f"model.json: backbone.*{message}"):
        parse(GuidedConfig, {**stored, "backbone": {**stored["backbone"], **values}}, "model.json")
