"""Adversarial losses of discriminators and generator.

Each takes the logits of every discriminator, of any shape, and returns the mean over discriminators of their means.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

GanLoss = Literal["hinge", "least_squares"]


def real_loss(logits: Sequence[Tensor], kind: GanLoss) -> Float[Tensor, ""]:
    """Return the discriminators' loss on recordings: max(0, 1 − D) or (1 − D)².

    Source:
        Lim and Ye, Geometric GAN, arXiv:1705.02894; Mao et al., LSGAN, arXiv:1611.04076.

    Example:
        >>> [float(real_loss([torch.tensor([-1.0, 3.0])], kind)) for kind in ("hinge", "least_squares")]
        [1.0, 4.0]
    """
    return _mean([(1 - values).relu() if kind == "hinge" else (1 - values).square() for values in logits])


def fake_loss(logits: Sequence[Tensor], kind: GanLoss) -> Float[Tensor, ""]:
    """Return the discriminators' loss on generated clips: max(0, 1 + D) or D².

    Example:
        >>> [float(fake_loss([torch.tensor([-3.0, 1.0])], kind)) for kind in ("hinge", "least_squares")]
        [1.0, 5.0]
    """
    return _mean([(1 + values).relu() if kind == "hinge" else values.square() for values in logits])


def generator_loss(logits: Sequence[Tensor], kind: GanLoss) -> Float[Tensor, ""]:
    """Return the generator's adversarial loss: −D or (1 − D)².

    Example:
        >>> [float(generator_loss([torch.tensor([-1.0, 3.0])], kind)) for kind in ("hinge", "least_squares")]
        [-1.0, 4.0]
    """
    return _mean([-values if kind == "hinge" else (1 - values).square() for values in logits])


def feature_matching_loss(
    real: Sequence[Tensor], fake: Sequence[Tensor], *, relative: bool = False
) -> Float[Tensor, ""]:
    """Return the mean absolute difference of the discriminators' feature maps, averaged over the maps.

    Args:
        real: Feature maps of the recordings; they get no gradient.
        fake: Feature maps of the generated clips, in the same order.
        relative: Whether to divide each difference by the mean magnitude of the recordings' map.

    Source:
        Larsen et al., arXiv:1512.09300; relative as in EnCodec, arXiv:2210.13438, section 3.4.

    Example:
        >>> real, fake = [torch.tensor([2.0, -2.0])], [torch.tensor([1.0, -2.0])]
        >>> float(feature_matching_loss(real, fake)), float(feature_matching_loss(real, fake, relative=True))
        (0.5, 0.25)
    """
    terms = []
    for target, output in zip(real, fake, strict=True):
        difference = (target.detach() - output).abs().mean(dtype=torch.float32)
        size = target.detach().abs().mean(dtype=torch.float32)
        terms.append(difference / size.clamp(min=1e-5) if relative else difference)
    return torch.stack(terms).mean()


def _mean(terms: Sequence[Tensor]) -> Float[Tensor, ""]:
    return torch.stack([term.mean(dtype=torch.float32) for term in terms]).mean()
