"""What the supervised units tell of themselves."""

import torch

from vocable.systems.describe import Table, codebook_table, parameter_rows, spec_rows
from vocable.systems.supervised.config import SupervisedConfig
from vocable.systems.supervised.model import SupervisedModel


def model_facts(model: SupervisedModel, *, digest: str, vocoder: str) -> list[Table]:
    """Tables of a trained model: sizes and rates, and its codebook as training left it."""
    rows = [("digest", digest), *_rows(model), ("vocoder", vocoder)]
    return [Table("Model", rows), codebook_table(model.quantizer.books)]


def config_facts(config: SupervisedConfig) -> list[Table]:
    """A table of a model that is not trained yet."""
    with torch.device("meta"):
        model = SupervisedModel(config)
    return [Table("Model", _rows(model))]


def _rows(model: SupervisedModel) -> list[tuple[str, str]]:
    config = model.config
    parts = {
        "encoder": model.encoder, "recogniser": model.recogniser, "voice encoder": model.voice_encoder,
        "decoder": model.decoder, "all": model,
    }  # fmt: skip
    layers = ", ".join(str(layer % (config.encoder.depth + 1)) for layer in config.layers)
    return [
        *spec_rows(config.spec),
        ("samples to a token", f"{config.hop}"),
        ("beside the tokens", f"a voice of {config.voice_width} numbers a clip"),
        ("hears", f"{config.encoder.name}, layers {layers} of 0 to {config.encoder.depth}"),
        *parameter_rows(parts),
    ]
