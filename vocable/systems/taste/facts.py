"""What TASTE tells of itself."""

import torch
from torch import nn

from vocable.systems.describe import Table, codebook_table, spec_rows
from vocable.systems.taste.config import TasteConfig
from vocable.systems.taste.model import TasteModel


def model_facts(model: TasteModel, *, digest: str) -> list[Table]:
    """Tables of a trained model: sizes and rates, its parameters, and its codebooks as training left them."""
    tables = [Table("Model", [("digest", digest), *_rows(model.config)]), parameter_table(model)]
    if model.quantizer is not None:
        tables.append(codebook_table(model.quantizer.levels.books))
    return tables


def config_facts(config: TasteConfig) -> list[Table]:
    """Tables of a model that is not trained yet."""
    with torch.device("meta"):
        model = TasteModel(config)
    return [Table("Model", _rows(config)), parameter_table(model)]


def parameter_table(model: TasteModel) -> Table:
    """Parameters by part: all, those that are trained, those that are frozen."""
    rows = [(name, *map(_grouped, counts)) for name, counts in parameter_counts(model).items()]
    return Table("Parameters", rows, ("part", "total", "trained", "frozen"))


def parameter_counts(model: TasteModel) -> dict[str, tuple[int, int, int]]:
    """Parameters of each part and of the whole: total, trained, frozen. The encoder that hears is not part of it.

    The parts are those of CosyVoice, so that they can be held against what is published of it.
    """
    lm = model.lm
    parts: dict[str, nn.Module | None] = {
        "text table": model.text.table, "text encoder": model.text.encoder, "affine": model.text.leave,
        "aggregator": model.aggregator, "quantizer": model.quantizer, "fusion": model.fuse,
        "durations": model.durations, "unit model": lm.blocks, "clock": getattr(lm, "here", None), "head": lm.head,
        "unit table": lm.table, "voice": lm.voice, "special": lm.special, "whole": model,
    }  # fmt: skip
    return {name: _counted(part) for name, part in parts.items() if part is not None and any(_counted(part))}


def _counted(part: nn.Module) -> tuple[int, int, int]:
    total = sum(value.numel() for value in part.parameters())
    trained = sum(value.numel() for value in part.parameters() if value.requires_grad)
    return total, trained, total - trained


def _grouped(count: int) -> str:
    return f"{count:,}"


def _rows(config: TasteConfig) -> list[tuple[str, str]]:
    units, heard = config.units, config.bits
    key, value = config.layers
    spec = spec_rows(config.spec) if config.spec is not None else [("tokens", "vectors: there is no quantizer")]
    return [
        *spec,
        ("a token is", "a subword of the text"),
        ("bits of a subword", f"{heard[0]:g} of speech, {heard[1]:.2f} of text at most"),
        ("hears", f"{config.encoder.name}, layer {key} for where and {value} for how"),
        ("predicts", f"{units.name}: {units.size} units at {units.sample_rate / units.hop:g} Hz"),
        ("positions", config.lm.positions),
        ("fusion", config.fusion),
    ]
