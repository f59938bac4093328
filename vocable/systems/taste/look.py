"""What the model makes of a clip whose units are known."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vocable.systems.taste.batch import SpokenBatch
from vocable.systems.taste.model import TasteModel
from vocable.text.subwords import Subwords


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the model makes of a clip whose units are known: the seed's teacher-forced path.

    Attributes:
        subwords: The text.
        units: That are said.
        logits: Of each unit given those before it, and of the end (place N, entry K).
        said: What the text says.
        heard: What is added to it; None where nothing is.
        weights: What the aggregator's heads look at; None where nothing is heard.
        lasting: Units of each subword as the model has it, stretched to all N; None where it has no clock.
    """

    subwords: Subwords
    units: Int[Tensor, " N"]
    logits: Float[Tensor, "E C"]
    said: Float[Tensor, "U D"]
    heard: Float[Tensor, "U D"] | None
    weights: Float[Tensor, "H U F"] | None
    lasting: Float[Tensor, " U"] | None


@torch.inference_mode()
def look_at(
    model: TasteModel, batch: SpokenBatch, subwords: Subwords, *, text_only: bool = False, quantized: bool = True
) -> Look:
    """What a model, put in evaluation mode, makes of a batch of one, each unit given those before it.

    Args:
        model: The networks.
        batch: One utterance, with its units, where the model lies. What is behind its masks may be as long as it likes.
        subwords: Its text.
        text_only: Nothing is heard: the control.
        quantized: What is heard goes through the quantizer, where there is one.
    """
    said = model.eval().said(batch.subword_ids, batch.subword_mask)
    heard = None if text_only else model.heard(said, batch)
    vectors = None if heard is None else heard.vectors
    if vectors is not None and quantized and model.quantizer is not None:
        vectors = model.quantizer.decode(model.quantizer.encode(vectors))
    joint = model.joint(said, vectors)
    lasting = model.lasting(joint)
    clock = None if lasting is None else lasting.exp()
    logits = model.lm(joint, batch.subword_mask, batch.units, batch.unit_mask, batch.voices, clock)
    return Look(
        subwords=subwords, units=batch.units[0].cpu(), logits=logits[0].float().cpu(), said=said[0].cpu(),
        heard=None if vectors is None else vectors[0].cpu(), weights=None if heard is None else heard.weights[0].cpu(),
        lasting=None if clock is None else (clock[0] * (batch.units.shape[1] / clock.sum())).cpu(),
    )  # fmt: skip
