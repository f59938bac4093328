"""Small networks with random weights, and batches of random numbers for them."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vocable.features.whisper import EncoderSpec
from vocable.systems.taste.config import AggregatorConfig, TasteConfig, TextConfig, UnitLmConfig, tiny
from vocable.systems.taste.data import TasteBatch
from vocable.systems.taste.model import TasteModel
from vocable.systems.units import UnitsSpec

ENCODER = EncoderSpec(name="whisper", digest="0" * 8, width=20, depth=4)
UNITS = UnitsSpec(name="units", level=1, digest="0" * 8, sample_rate=16_000, hop=640, size=24, voice_width=6)
VOCABULARY = ["<unk>", *(letter * (1 + place % 4) for place, letter in enumerate("abcdefghijklmnopqrs"))]
PIECES: dict[str, Any] = {"kind": "byte_pairs", "vocabulary": VOCABULARY}
SIZE = len(VOCABULARY)


def clock(**changes: Any) -> TasteConfig:
    """On the clock, with a decoder."""
    return replace(tiny(ENCODER, UNITS, PIECES, SIZE), **changes)


def relative(**changes: Any) -> TasteConfig:
    """As CosyVoice, with an aggregator as the seed's."""
    made = TasteConfig(
        encoder=ENCODER, units=UNITS, subwords=PIECES,
        aggregator=AggregatorConfig(layout="bottleneck", width=8, heads=2, value_layer=2),
        text=TextConfig(vocabulary_size=SIZE, embedding=12, width=16, blocks=2, heads=2, hidden=32, dropout=0.0),
        lm=UnitLmConfig(size=24, width=16, blocks=2, heads=2, hidden=32, dropout=0.0), quantizer=None, fusion="add",
        freeze_lm=False, temperature=1.0,
    )  # fmt: skip
    return replace(made, **changes)


def model_of(config: TasteConfig) -> TasteModel:
    """Random weights, the same each time, none of them 0."""
    torch.manual_seed(0)
    model = TasteModel(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if not name.endswith("sharpness"):
                value.add_(0.1 * torch.randn_like(value))
    for book in model.quantizer.residual.codebooks if model.quantizer is not None else ():
        book.entries.normal_()
        book.counts.fill_(1.0)
    return model


def batch_of(*sizes: tuple[int, int, int], seed: int = 0) -> TasteBatch:
    """Utterances of so many subwords, frames and units; what lies behind their ends is no 0."""
    generator = torch.Generator().manual_seed(seed)
    longest = [max(column) for column in zip(*sizes, strict=True)]
    masks = [
        torch.arange(most)[None] < torch.tensor(column)[:, None]
        for most, column in zip(longest, zip(*sizes, strict=True), strict=True)
    ]
    count, (subwords, frames, units) = len(sizes), longest
    lasts = torch.rand(count, subwords, generator=generator) + 0.2
    lasts = lasts * masks[0]
    ends = (lasts / lasts.sum(1, keepdim=True) * masks[2].sum(1, keepdim=True)).cumsum(1)
    return TasteBatch(
        subword_ids=torch.randint(SIZE, (count, subwords), generator=generator), subword_mask=masks[0],
        word_ids=torch.arange(subwords).expand(count, -1) // 2,
        keys=torch.randn(count, frames, ENCODER.width, generator=generator),
        values=torch.randn(count, frames, ENCODER.width, generator=generator), frame_mask=masks[1],
        units=torch.randint(UNITS.size, (count, units), generator=generator), unit_mask=masks[2],
        spans=torch.stack([torch.nn.functional.pad(ends[:, :-1], (1, 0)), ends], dim=2),
        aligned=torch.ones(count, dtype=torch.bool), voices=torch.randn(count, UNITS.voice_width, generator=generator),
        names=tuple(map(str, range(count))),
    )  # fmt: skip


def durations(batch: TasteBatch) -> Tensor:
    return batch.spans[..., 1] - batch.spans[..., 0]


def row(batch: TasteBatch, index: int) -> TasteBatch:
    """One utterance of a batch alone, without padding."""
    mask = {"subwords": batch.subword_mask, "frames": batch.frame_mask, "units": batch.unit_mask}
    count = {name: int(one[index].sum()) for name, one in mask.items()}
    kind = {
        "subword_ids": "subwords", "subword_mask": "subwords", "word_ids": "subwords", "spans": "subwords",
        "keys": "frames", "values": "frames", "frame_mask": "frames", "units": "units", "unit_mask": "units",
    }  # fmt: skip
    cut = {name: getattr(batch, name)[index : index + 1, : count[axis]] for name, axis in kind.items()}
    return replace(
        batch, **cut, aligned=batch.aligned[index : index + 1], voices=batch.voices[index : index + 1],
        names=batch.names[index : index + 1],
    )  # fmt: skip


def repadded(batch: TasteBatch) -> TasteBatch:
    """The same utterances with other values behind their ends."""
    subword, frame, unit = batch.subword_mask, batch.frame_mask, batch.unit_mask
    return replace(
        batch,
        subword_ids=torch.where(subword, batch.subword_ids, SIZE - 1), word_ids=torch.where(subword, batch.word_ids, 0),
        keys=torch.where(frame[..., None], batch.keys, 1e3), values=torch.where(frame[..., None], batch.values, -1e3),
        units=torch.where(unit, batch.units, -1),
    )  # fmt: skip
