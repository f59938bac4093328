"""The two sides of a game: discriminators that tell recordings from what was made, and what is made to pass.

Each takes what every discriminator says, tensors of any shape, and returns the mean over discriminators of the means.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Game = Literal["hinge", "least_squares"]


def real_loss(logits: Sequence[Tensor], game: Game) -> Float[Tensor, ""]:
    """What discriminators pay on recordings: max(0, 1 − D) or (1 − D)².

    Source:
        Lim and Ye, Geometric GAN, arXiv:1705.02894; Mao et al., LSGAN, arXiv:1611.04076.

    Example:
        >>> [float(real_loss([torch.tensor([-1.0, 3.0])], game)) for game in ("hinge", "least_squares")]
        [1.0, 4.0]
    """
    return _mean([(1 - one).relu() if game == "hinge" else (1 - one).square() for one in logits])


def made_loss(logits: Sequence[Tensor], game: Game) -> Float[Tensor, ""]:
    """What discriminators pay on what was made: max(0, 1 + D) or D².

    Example:
        >>> [float(made_loss([torch.tensor([-3.0, 1.0])], game)) for game in ("hinge", "least_squares")]
        [1.0, 5.0]
    """
    return _mean([(1 + one).relu() if game == "hinge" else one.square() for one in logits])


def generator_loss(logits: Sequence[Tensor], game: Game) -> Float[Tensor, ""]:
    """What the generator pays for being told apart: −D or (1 − D)².

    Example:
        >>> [float(generator_loss([torch.tensor([-1.0, 3.0])], game)) for game in ("hinge", "least_squares")]
        [-1.0, 4.0]
    """
    return _mean([-one if game == "hinge" else (1 - one).square() for one in logits])


def feature_matching_loss(
    real: Sequence[Tensor], made: Sequence[Tensor], *, relative: bool = False
) -> Float[Tensor, ""]:
    """Mean absolute difference of what discriminators see inside, the mean over their maps.

    Args:
        real: Maps of the recordings; no gradient goes there.
        made: Maps of what was made, in the same order.
        relative: Each map's difference over the mean magnitude of the recordings' map.

    Source:
        Larsen et al., arXiv:1512.09300; relative as in EnCodec, arXiv:2210.13438, section 3.4.

    Example:
        >>> real, made = [torch.tensor([2.0, -2.0])], [torch.tensor([1.0, -2.0])]
        >>> float(feature_matching_loss(real, made)), float(feature_matching_loss(real, made, relative=True))
        (0.5, 0.25)
    """
    terms = []
    for one, other in zip(real, made, strict=True):
        apart = (one.detach() - other).abs().mean()
        terms.append(apart / one.detach().abs().mean().clamp(min=1e-5) if relative else apart)
    return torch.stack(terms).mean()


def _mean(terms: Sequence[Tensor]) -> Float[Tensor, ""]:
    return torch.stack([term.mean() for term in terms]).mean()
