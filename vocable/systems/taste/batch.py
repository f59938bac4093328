"""One utterance with its text, its frames and its units; and many of them side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vocable.data.batches import Batch
from vocable.shapes import mask_from_lengths
from vocable.text.subwords import Subwords


@dataclass(frozen=True, kw_only=True)
class SpokenRow:
    """One utterance: U subwords of text, F frames that were heard, N units.

    Attributes:
        subwords: The text.
        keys: Of the deep layer.
        values: Of the shallow layer.
        units: What is said, as another tokenizer has it.
        spans: Of the subwords, in units.
        aligned: Whether the spans were aligned, not guessed.
        voice: Of the speaker, or zeros.
        name: The recording's.
    """

    subwords: Subwords
    keys: Float[Tensor, "F D"]
    values: Float[Tensor, "F D"]
    units: Int[Tensor, " N"]
    spans: Float[Tensor, "U 2"]
    aligned: bool
    voice: Float[Tensor, " V"]
    name: str


@dataclass(frozen=True)
class SpokenBatch(Batch):
    """Utterances side by side, as long as the longest: U subwords, F frames, N units; 0 behind the end of each.

    Attributes:
        subword_ids: Ids of the subwords of the text.
        subword_mask: True on subwords.
        words: Which word each subword belongs to.
        keys: Frames of the deep layer: where something is said.
        values: Frames of the shallow layer: what it sounds like.
        frame_mask: True on frames.
        units: Ids of another tokenizer.
        unit_mask: True on units.
        spans: Start and end of each subword in units; those of an utterance lie one behind the other from 0 to its end.
        aligned: Whose spans were aligned; those of the others are guessed.
        voices: Vectors of the speakers, or zeros.
        names: The recordings.
    """

    subword_ids: Int[Tensor, "B U"]
    subword_mask: Bool[Tensor, "B U"]
    words: Int[Tensor, "B U"]
    keys: Float[Tensor, "B F D"]
    values: Float[Tensor, "B F D"]
    frame_mask: Bool[Tensor, "B F"]
    units: Int[Tensor, "B N"]
    unit_mask: Bool[Tensor, "B N"]
    spans: Float[Tensor, "B U 2"]
    aligned: Bool[Tensor, " B"]
    voices: Float[Tensor, "B V"]
    names: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[SpokenRow]) -> "SpokenBatch":
        """Utterances as one batch, one at least."""
        return cls(
            subword_ids=_padded([torch.tensor(row.subwords.ids) for row in rows]),
            subword_mask=_mask([len(row.subwords.ids) for row in rows]),
            words=_padded([torch.tensor(row.subwords.word_ids) for row in rows]),
            keys=_padded([row.keys for row in rows]),
            values=_padded([row.values for row in rows]),
            frame_mask=_mask([len(row.keys) for row in rows]),
            units=_padded([row.units for row in rows]),
            unit_mask=_mask([len(row.units) for row in rows]),
            spans=_padded([row.spans for row in rows]),
            aligned=torch.tensor([row.aligned for row in rows]),
            voices=torch.stack([row.voice for row in rows]),
            names=tuple(row.name for row in rows),
        )


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return pad_sequence(list(rows), batch_first=True)


def _mask(lengths: Sequence[int]) -> Tensor:
    return mask_from_lengths(torch.tensor(lengths), max(lengths))
