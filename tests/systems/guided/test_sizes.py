"""Sizes of the guided codec that cannot be, as code or a stranger's file may give them."""

from typing import Any

import pytest

from vocable.errors import ConfigError
from vocable.systems.guided.config import (
    GuidedConfig,
    SeanetConfig,
    SpectralConfig,
    config_from_json,
    config_to_json,
)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (SpectralConfig, {"hop": 0}, "hop is 0: it must be whole, at least 1"),
        (SpectralConfig, {"hop": 330}, "spectrum_hop 160 must divide hop 330"),
        (SpectralConfig, {"kernel": 4}, "kernel 4 must be odd"),
        (SpectralConfig, {"width": "wide"}, "width is 'wide': it must be whole"),
        (SpectralConfig, {"decoder_blocks": 10**9}, "decoder_blocks is 1000000000: .* at most 1024"),
        (SeanetConfig, {"strides": ()}, "strides .* must be some"),
        (SeanetConfig, {"strides": (2, 1)}, r"strides is \(2, 1\): it must be whole, at least 2"),
        (SeanetConfig, {"channels": 3}, "channels 3 even"),
        (SeanetConfig, {"lstm_layers": 10**9}, "lstm_layers is 1000000000"),
        (GuidedConfig, {"num_codebooks": 0}, "num_codebooks is 0"),
        (GuidedConfig, {"codebook_size": 1 << 40}, "codebook_size is 1099511627776"),
        (GuidedConfig, {"codebook_decay": 1.0}, "codebook_decay is 1.0"),
    ],
)
def test_sizes_that_cannot_be_are_named(kind: type, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**values)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("values", [{"blocks": 1}, {"kind": "other"}, {"kind": None}])
def test_a_backbone_that_is_none_is_refused(values: dict[str, Any]) -> None:
    card = config_to_json(GuidedConfig())
    with pytest.raises(ConfigError, match="was it written by another version"):
        config_from_json({**card, "backbone": {**card["backbone"], **values}})
