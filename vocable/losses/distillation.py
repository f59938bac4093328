"""Distillation losses between a student's output and a teacher's target: of frames, and of one vector a clip.

Every loss is a mean over the positions of the mask, and 0 where the mask is empty. With several processes each divides
its sum by the mean count over processes, so that the average over processes is the loss of the global batch.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from vocable.collective import global_mean


def cosine_loss(
    output: Float[Tensor, "B N F"], target: Float[Tensor, "B N F"], mask: Bool[Tensor, "B N"]
) -> Float[Tensor, ""]:
    """Return 1 minus the mean cosine similarity of frames, in [0, 2].

    Example:
        >>> output, target = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), torch.tensor([[[3.0, 0.0], [1.0, 0.0]]])
        >>> float(cosine_loss(output, target, torch.ones(1, 2, dtype=torch.bool)))
        0.5
    """
    return global_mean(1 - F.cosine_similarity(output, target, dim=2), mask)


def d_axis_loss(
    output: Float[Tensor, "B N F"], target: Float[Tensor, "B N F"], mask: Bool[Tensor, "B N"]
) -> Float[Tensor, ""]:
    """Return −log σ(cosine similarity over time), the mean over clips and dimensions, in [0.313, 1.313].

    Source:
        Zhang et al., SpeechTokenizer, arXiv:2308.16692, equation 1.

    Example:
        >>> frames = torch.tensor([[[1.0], [2.0]]])
        >>> round(float(d_axis_loss(frames, 3 * frames, torch.ones(1, 2, dtype=torch.bool))), 4)
        0.3133
    """
    cosines = F.cosine_similarity(output * mask[..., None], target * mask[..., None], dim=1)
    return global_mean(-F.logsigmoid(cosines), mask.any(1, keepdim=True).expand_as(cosines))


def t_axis_loss(
    output: Float[Tensor, "B N F"], target: Float[Tensor, "B N F"], mask: Bool[Tensor, "B N"], similarity: float = 1.0
) -> Float[Tensor, ""]:
    """Return the mean absolute difference plus ``similarity`` times −log σ(cosine similarity), averaged over frames.

    Source:
        Chang et al., DistilHuBERT, arXiv:2110.01900, equation 1; SpeechTokenizer's ``t_axis_distill_loss``, which
        cannot run there (it calls ``torch.functional.l1_loss``).

    Example:
        >>> frames = torch.ones(1, 2, 4)
        >>> round(float(t_axis_loss(frames, frames, torch.ones(1, 2, dtype=torch.bool))), 4)
        0.3133
    """
    difference = (output - target).abs().mean(2)
    return global_mean(difference - similarity * F.logsigmoid(F.cosine_similarity(output, target, dim=2)), mask)


def divergence_loss(
    output: Float[Tensor, "B V"], target: Float[Tensor, "B V"], mask: Bool[Tensor, " B"], temperature: float = 1.0
) -> Float[Tensor, ""]:
    """Return τ² KL(softmax(target / τ) ‖ softmax(output / τ)) in nats, averaged over clips.

    The coordinates of a unit vector are so small that its softmax is nearly uniform and the loss nearly 0 for any
    output. So targets are standardized first, see :func:`standardize`.

    Source:
        Hinton et al., arXiv:1503.02531, section 2.1, from teacher to student.

    Example:
        >>> certain = torch.tensor([[0.0, 0.0, 100.0, 0.0]])
        >>> round(float(divergence_loss(torch.zeros(1, 4), certain, torch.ones(1, dtype=torch.bool))), 4)  # log 4
        1.3863
    """
    student, teacher = (F.log_softmax(values / temperature, dim=1) for values in (output, target))
    return temperature**2 * global_mean((teacher.exp() * (teacher - student)).sum(1), mask)


def standardize(
    vectors: Float[Tensor, "*any V"], mean: Float[Tensor, " V"], deviation: Float[Tensor, " V"]
) -> Float[Tensor, "*any V"]:
    """Standardize vectors by the statistics of a corpus; coordinates that are constant there become 0.

    Args:
        vectors: Vectors of any batch shape.
        mean: Mean of each coordinate over the corpus.
        deviation: Standard deviation of each coordinate over the corpus.

    Example:
        >>> standardize(torch.tensor([[3.0, 5.0]]), torch.tensor([1.0, 1.0]), torch.tensor([4.0, 0.0])).tolist()
        [[0.5, 0.0]]
    """
    varies = deviation > 1e-4 * deviation.max()
    return torch.where(varies, (vectors - mean) / torch.where(varies, deviation, 1.0), 0.0)


def entropy(logits: Float[Tensor, "B V"]) -> Float[Tensor, " B"]:
    """Return the entropy of softmax(logits) in nats, at most log V.

    Example:
        >>> [round(nats, 4) for nats in entropy(torch.tensor([[0.0, 0.0], [0.0, 100.0]])).tolist()]
        [0.6931, 0.0]
    """
    log_probabilities = F.log_softmax(logits, dim=1)
    return -(log_probabilities.exp() * log_probabilities).sum(1)
