"""What the guided codec tells of itself."""

import torch

from vocable.systems.facts import Table, spec_rows
from vocable.systems.guided.config import GuidedConfig
from vocable.systems.guided.model import GuidedModel
from vocable.tokens import TokenSpec


def model_facts(model: GuidedModel, *, digest: str, spec: TokenSpec, streams: bool) -> list[Table]:
    """Tables of a trained codec: sizes and rates, and its codebooks as training left them."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    entries = sum(book.entries.numel() for book in model.quantizer.books)
    books = [book.stats() for book in model.quantizer.books]
    sizes = [
        ("digest", digest),
        ("parameters", f"{parameters:,} and {entries:,} codebook values"),
        *spec_rows(spec),
        ("long audio", "constant memory, tokens of the whole" if streams else "whole clips only"),
    ]
    levels = [
        (str(level), f"{book['used']:.1%}", f"{book['perplexity']:.0f}", f"{book['entropy']:.2f}",
         f"{book['dead']:.0f}", f"{book['restarts']:.0f}")
        for level, book in enumerate(books, 1)
    ]  # fmt: skip
    columns = ("level", "used", "perplexity", "entropy (bit)", "dead", "restarts")
    return [Table("Model", sizes), Table("Codebooks in training", levels, columns)]


def config_facts(config: GuidedConfig) -> list[Table]:
    """A table of a codec that is not trained yet: rates, and the sizes of its networks."""
    with torch.device("meta"):
        model = GuidedModel(config)
    parts = {"encoder": model.encoder, "decoder": model.decoder}
    counts = {part: sum(parameter.numel() for parameter in network.parameters()) for part, network in parts.items()}
    rows = [(f"{part} parameters", f"{count:,}") for part, count in counts.items()]
    return [Table("Model", [*spec_rows(config.spec), *rows])]
