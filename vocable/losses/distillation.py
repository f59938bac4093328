"""How far what a student says is from what its teacher says: of frames, and of one vector a clip.

Every loss is a mean over what the mask marks, and 0 where it marks nothing. Of several processes each divides its sum
by the mean count: averaged, as gradients are, what they say is the loss of the whole batch.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from vocable.collective import global_sum, world


def cosine_loss(
    made: Float[Tensor, "B N F"], wanted: Float[Tensor, "B N F"], mask: Bool[Tensor, "B N"]
) -> Float[Tensor, ""]:
    """One less the mean cosine of frames: 0 where they point the same way, 2 where opposite.

    Example:
        >>> here, there = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), torch.tensor([[[3.0, 0.0], [1.0, 0.0]]])
        >>> float(cosine_loss(here, there, torch.ones(1, 2, dtype=torch.bool)))
        0.5
    """
    return _mean(1 - F.cosine_similarity(made, wanted, dim=2), mask)


def d_axis_loss(
    made: Float[Tensor, "B N F"], wanted: Float[Tensor, "B N F"], mask: Bool[Tensor, "B N"]
) -> Float[Tensor, ""]:
    """−log σ(cosine over time), the mean over the dimensions of each clip that has frames: 0.313 to 1.313.

    Source:
        Zhang et al., SpeechTokenizer, arXiv:2308.16692, equation 1.

    Example:
        >>> frames = torch.tensor([[[1.0], [2.0]]])
        >>> round(float(d_axis_loss(frames, 3 * frames, torch.ones(1, 2, dtype=torch.bool))), 4)
        0.3133
    """
    cosines = F.cosine_similarity(made * mask[..., None], wanted * mask[..., None], dim=1)
    return _mean(-F.logsigmoid(cosines), mask.any(1, keepdim=True).expand_as(cosines))


def t_axis_loss(
    made: Float[Tensor, "B N F"], wanted: Float[Tensor, "B N F"], mask: Bool[Tensor, "B N"], similarity: float = 1.0
) -> Float[Tensor, ""]:
    """Mean absolute difference, and ``similarity`` times −log σ(cosine over features), the mean over frames.

    Source:
        Chang et al., DistilHuBERT, arXiv:2110.01900, equation 1; SpeechTokenizer's ``t_axis_distill_loss``, which
        cannot run there (it calls ``torch.functional.l1_loss``).

    Example:
        >>> frames = torch.ones(1, 2, 4)
        >>> round(float(t_axis_loss(frames, frames, torch.ones(1, 2, dtype=torch.bool))), 4)
        0.3133
    """
    apart = (made - wanted).abs().mean(2)
    return _mean(apart - similarity * F.logsigmoid(F.cosine_similarity(made, wanted, dim=2)), mask)


def divergence_loss(
    made: Float[Tensor, "B V"], wanted: Float[Tensor, "B V"], mask: Bool[Tensor, " B"], temperature: float = 1.0
) -> Float[Tensor, ""]:
    """τ² KL(softmax(wanted / τ) ‖ softmax(made / τ)) in nats, the mean over clips.

    A vector of length 1 has coordinates so small that its softmax is nearly uniform, and the loss nearly 0 whatever
    the student says: :func:`standardised` comes first.

    Args:
        made: The student's.
        wanted: The teacher's, on the scale of 1 along each coordinate.
        mask: Clips that count.
        temperature: τ.

    Source:
        Hinton et al., arXiv:1503.02531, section 2.1, from teacher to student.

    Example:
        >>> certain = torch.tensor([[0.0, 0.0, 100.0, 0.0]])
        >>> round(float(divergence_loss(torch.zeros(1, 4), certain, torch.ones(1, dtype=torch.bool))), 4)  # log 4
        1.3863
    """
    student, teacher = (F.log_softmax(values / temperature, dim=1) for values in (made, wanted))
    return temperature**2 * _mean((teacher.exp() * (teacher - student)).sum(1), mask)


def standardised(
    vectors: Float[Tensor, "*any V"], mean: Float[Tensor, " V"], deviation: Float[Tensor, " V"]
) -> Float[Tensor, "*any V"]:
    """Vectors on the scale of a corpus. Coordinates that do not move there say nothing: they are 0.

    Example:
        >>> standardised(torch.tensor([[3.0, 5.0]]), torch.tensor([1.0, 1.0]), torch.tensor([4.0, 0.0])).tolist()
        [[0.5, 0.0]]
    """
    moves = deviation > 1e-4 * deviation.max()
    return torch.where(moves, (vectors - mean) / torch.where(moves, deviation, 1.0), 0.0)


def entropy(logits: Float[Tensor, "B V"]) -> Float[Tensor, " B"]:
    """Entropy of softmax(logits) in nats: log V where it says nothing.

    Example:
        >>> [round(nats, 4) for nats in entropy(torch.tensor([[0.0, 0.0], [0.0, 100.0]])).tolist()]
        [0.6931, 0.0]
    """
    known = F.log_softmax(logits, dim=1)
    return -(known.exp() * known).sum(1)


def _mean(values: Tensor, mask: Tensor) -> Float[Tensor, ""]:
    return world()[1] * (values * mask).sum() / global_sum(mask.sum()).clamp(min=1)
