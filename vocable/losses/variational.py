"""How far a coded normal distribution is from the standard one."""

from jaxtyping import Float
from torch import Tensor


def normal_divergence(mean: Float[Tensor, "B V"], log_variance: Float[Tensor, "B V"]) -> Float[Tensor, " B"]:
    """Kullback-Leibler divergence of N(mean, variance) from N(0, I), in nats, of each row.

    Source:
        Kingma and Welling, arXiv:1312.6114, appendix B.

    Example:
        >>> import torch
        >>> normal_divergence(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2)).tolist()
        [2.0]
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1)


def floored(divergence: Float[Tensor, " B"], floor: float) -> Float[Tensor, ""]:
    """What of the mean divergence is over a floor that costs nothing.

    Source:
        Kingma et al., arXiv:1606.04934, appendix C.8 ("free bits"); over utterances as in arXiv:2309.15512.

    Example:
        >>> import torch
        >>> float(floored(torch.tensor([1.0, 2.0]), floor=0.5)), float(floored(torch.tensor([0.1]), floor=0.5))
        (1.0, 0.0)
    """
    return (divergence.mean() - floor).clamp(min=0.0)
