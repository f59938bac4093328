"""What the guided codec tells of itself."""

import torch

from vocable.systems.describe import Table, codebook_table, parameter_rows, spec_rows
from vocable.systems.guided.config import GuidedConfig
from vocable.systems.guided.model import GuidedModel
from vocable.tokens import TokenSpec


def model_facts(model: GuidedModel, *, digest: str, spec: TokenSpec, streams: bool) -> list[Table]:
    """Tables of a trained codec: sizes and rates, and its codebooks as training left them."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    entries = sum(book.entries.numel() for book in model.quantizer.books)
    sizes = [
        ("digest", digest),
        ("parameters", f"{parameters:,} and {entries:,} codebook values"),
        *spec_rows(spec),
        ("long audio", "constant memory, tokens of the whole" if streams else "whole clips only"),
    ]
    return [Table("Model", sizes), codebook_table(model.quantizer.books)]


def config_facts(config: GuidedConfig) -> list[Table]:
    """A table of a codec that is not trained yet: rates, and the sizes of its networks."""
    with torch.device("meta"):
        model = GuidedModel(config)
    rows = parameter_rows({"encoder": model.encoder, "decoder": model.decoder})
    return [Table("Model", [*spec_rows(config.spec), *rows])]
