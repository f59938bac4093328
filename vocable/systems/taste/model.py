"""The networks of TASTE with one state."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vocable.systems.taste.aggregator import Aggregator, Heard, letters_places
from vocable.systems.taste.batch import SpokenBatch
from vocable.systems.taste.config import TasteConfig
from vocable.systems.taste.layers import Durations, Joined, SpeechQuantizer, TextEncoder
from vocable.systems.taste.standard import Standard
from vocable.systems.taste.unit_lm import UnitLm


class TasteModel(nn.Module):
    """Everything that is trained, and what of it is frozen.

    Text alone is ``joint(said, None)``; the rest of the way is the same, so that it can always be asked what was heard
    adds to it.

    Args:
        config: Sizes.

    Attributes:
        letters: Of each subword of the table.

    Example:
        >>> from vocable.systems.taste.config import AggregatorConfig, TextConfig, UnitLmConfig, seed_exact
        >>> from dataclasses import replace
        >>> text = TextConfig(size=50, embedding=8, width=8, blocks=1, heads=2, hidden=8)
        >>> lm = UnitLmConfig(width=8, blocks=1, heads=2, hidden=8)
        >>> asks = AggregatorConfig(layout="bottleneck", width=8, heads=2)
        >>> model = TasteModel(replace(seed_exact(), text=text, lm=lm, aggregator=asks))
        >>> model.said(torch.tensor([[1, 2, 3]]), torch.ones(1, 3, dtype=torch.bool)).shape
        torch.Size([1, 3, 8])
    """

    letters: Float[Tensor, " P"]

    def __init__(self, config: TasteConfig) -> None:
        super().__init__()
        self.config = config
        sizes, width = config.aggregator, config.lm.width
        self.text = TextEncoder(config.text, width)
        asks = width if sizes.layout == "full" else config.text.embedding
        if sizes.standard:
            self.keys, self.values = Standard(config.encoder.width), Standard(config.encoder.width)
        self.aggregator = Aggregator(sizes, query=asks, frame=config.encoder.width, out=width)
        self.quantizer = SpeechQuantizer(config.quantizer, width) if config.quantizer is not None else None
        self.fuse = Joined(config.fusion, width)
        self.lm = UnitLm(config.lm, config.voice_width)
        self.durations = Durations(width) if config.lm.positions == "clock" else None
        self.register_buffer("letters", _letters(config.pieces, config.text.size))
        if config.frozen_lm:
            for part in (self.lm.blocks, self.lm.head, self.lm.table):
                part.requires_grad_(False)

    def said(self, subwords: Int[Tensor, "B U"], mask: Bool[Tensor, "B U"]) -> Float[Tensor, "B U D"]:
        """What the text says."""
        return self.text(subwords, mask)

    def heard(self, said: Float[Tensor, "B U D"], batch: SpokenBatch) -> Heard:
        """What is heard of the text's subwords, not yet quantized.

        Args:
            said: Of :meth:`said`.
            batch: Its subwords, their words, keys, values and masks.
        """
        asks = said if self.config.aggregator.layout == "full" else self.text.table(batch.subword_ids)
        places = letters_places(self.letters[batch.subword_ids], batch.subword_mask)
        keys, values = batch.keys, batch.values
        if self.config.aggregator.standard:
            keys, values = self.keys(keys), self.values(values)
        return self.aggregator(
            asks, keys, values, batch.subword_mask, batch.frame_mask, batch.words, places
        )  # fmt: skip

    def measure(self, clips: Iterable[SpokenBatch]) -> None:
        """Take the scale of frames from some clips, each alone, where the sizes ask for one."""
        if self.config.aggregator.standard:
            keys, values = zip(*((clip.keys[0], clip.values[0]) for clip in clips), strict=True)
            self.keys.measure(keys)
            self.values.measure(values)

    def joint(self, said: Float[Tensor, "B U D"], heard: Float[Tensor, "B U D"] | None) -> Float[Tensor, "B U D"]:
        """What the unit model is told; without ``heard``, of the text alone."""
        return self.fuse(said, heard)

    def lasting(self, joint: Float[Tensor, "B U D"]) -> Float[Tensor, "B U"] | None:
        """The logarithm of each subword's units; None where the unit model needs no clock."""
        return self.durations(joint) if self.durations is not None else None


def _letters(subwords: Mapping[str, Any], size: int) -> Float[Tensor, " P"]:
    """How many letters each subword has; subwords that are kept elsewhere all count as one."""
    table = subwords.get("vocabulary")
    if not isinstance(table, list) or len(table) != size:
        return torch.ones(size)
    return torch.tensor([float(max(1, len(str(subword).removeprefix("##")))) for subword in table])
