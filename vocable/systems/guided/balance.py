"""Losses on one tensor, weighed so that each pulls with its share of a fixed force, whatever its scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.collective import global_sum, world


@dataclass(frozen=True)
class Balanced:
    """Losses whose gradients are known already, and what to weigh them with.

    Attributes:
        losses: The values that went in, by name.
        weights: With which the sum's gradient has the shares that were asked for.
    """

    losses: dict[str, Float[Tensor, ""]]
    weights: dict[str, float]


class Balancer(nn.Module):
    """Weighs losses by the norms of their gradients at what they are losses of.

    A loss asked for with weight w of a sum W gets w / W · ``norm`` over the moving mean of its gradient's norm (of a
    row of the batch, the mean over rows). Only losses that go through the one tensor can be weighed so: commitment and
    teachers, which act on latents, stand beside it with plain weights.

    Args:
        names: Of all losses there may be.
        norm: Of the whole gradient at that tensor, where all pull the same way.
        decay: Of the moving mean.

    Source:
        Défossez et al., EnCodec, arXiv:2210.13438, section 3.4; ``encodec/balancer.py`` (MIT).

    Example:
        >>> made = torch.ones(1, 4, requires_grad=True)
        >>> balanced = Balancer(["small", "large"])(made, {"small": made.sum(), "large": 100 * made.sum()},
        ...                                         {"small": 1.0, "large": 3.0})
        >>> [round(weight, 4) for weight in balanced.weights.values()]
        [0.125, 0.0037]
    """

    sums: Tensor
    counts: Tensor

    def __init__(self, names: Sequence[str], *, norm: float = 1.0, decay: float = 0.999) -> None:
        super().__init__()
        self.names, self.norm, self.decay = tuple(names), norm, decay
        self.register_buffer("sums", torch.zeros(len(self.names), dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(len(self.names), dtype=torch.float64))

    def forward(
        self, made: Float[Tensor, "B ..."], losses: Mapping[str, Float[Tensor, ""]], weights: Mapping[str, float]
    ) -> Balanced:
        """Weigh the losses of a step. Their graphs are used up: the gradient from ``made`` on is the caller's.

        Args:
            made: What all losses go through; with a gradient.
            losses: By some of the names.
            weights: Of those; what has none costs nothing.
        """
        live = [name for name in losses if weights[name]]
        total = sum(weights[name] for name in live)
        known = {name: losses[name].detach() for name in losses}
        shares = dict.fromkeys(losses, 0.0)
        for name in live:
            (gradient,) = torch.autograd.grad(losses[name], made, retain_graph=True)
            norm = self._usual(name, gradient.flatten(1).norm(dim=1).mean())
            known[name] = _Known.apply(made, losses[name].detach(), gradient)  # type: ignore[no-untyped-call]
            shares[name] = weights[name] / total * self.norm / (norm + 1e-12)
        return Balanced(known, shares)

    @torch.no_grad()
    def _usual(self, name: str, norm: Float[Tensor, ""]) -> float:
        at = self.names.index(name)
        size = world()[1]  # of two processes' mean losses each has gradients twice those of the whole batch's
        self.sums[at] = self.sums[at] * self.decay + global_sum(norm.double()) / size**2
        self.counts[at] = self.counts[at] * self.decay + 1
        return float(self.sums[at] / self.counts[at])


class _Known(torch.autograd.Function):
    """A loss whose gradient need not be computed again."""

    @staticmethod
    def forward(ctx: Any, made: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradients[0] * gradient, None, None
