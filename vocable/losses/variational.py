"""Kullback-Leibler loss of variational encoders."""

import torch
from jaxtyping import Float
from torch import Tensor

from vocable.collective import global_sum, world


def gaussian_kl(mean: Float[Tensor, "B V"], log_variance: Float[Tensor, "B V"]) -> Float[Tensor, " B"]:
    """Return the Kullback-Leibler divergence of N(mean, variance) from N(0, I) of each row, in nats.

    Source:
        Kingma and Welling, arXiv:1312.6114, appendix B.

    Example:
        >>> gaussian_kl(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2)).tolist()
        [2.0]
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1)


def free_bits(divergence: Float[Tensor, " B"], floor: float) -> Float[Tensor, ""]:
    """Return the part of the mean divergence of utterances above a floor that costs nothing, both in nats.

    The mean of all processes decides whether it is above the floor; their rows are of one number.

    Source:
        Kingma et al., arXiv:1606.04934, appendix C.8 ("free bits"); over utterances as in arXiv:2309.15512.

    Example:
        >>> float(free_bits(torch.tensor([1.0, 2.0]), floor=0.5)), float(free_bits(torch.tensor([0.1]), floor=0.5))
        (1.0, 0.0)
    """
    excess = divergence.mean() - floor
    is_above = global_sum(divergence.detach().mean()) / world()[1] > floor
    return torch.where(is_above, excess, 0.0)
