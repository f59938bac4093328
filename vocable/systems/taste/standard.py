"""Features of another model on a scale of their own: what is always there is taken away."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

_LEAST_SPREAD = 1e-3  # of a feature that hardly changes: its noise is not blown up


class Standard(nn.Module):
    """Each feature with mean 0 and deviation 1 over the speech learnt from; as they are until that was measured.

    Features of a frozen network may lie ten deviations from 0, where a layer norm sees little but their constant part.

    Args:
        width: Features F.

    Attributes:
        middle: (F,) means; ``spread`` deviations.

    Example:
        >>> scale = Standard(2)
        >>> scale.measure([torch.tensor([[1.0, 10.0], [3.0, 30.0]])])
        >>> scale(torch.tensor([[[3.0, 10.0]]])).tolist()
        [[[1.0, -1.0]]]
    """

    middle: Float[Tensor, " F"]
    spread: Float[Tensor, " F"]

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def measure(self, clips: Iterable[Float[Tensor, "_ F"]]) -> None:
        """Take means and deviations from some clips."""
        frames = torch.cat(list(clips)).double()
        self.middle.copy_(frames.mean(0))
        self.spread.copy_(frames.std(0, correction=0).clamp(min=_LEAST_SPREAD))

    def forward(self, frames: Float[Tensor, "B N F"]) -> Float[Tensor, "B N F"]:
        """Frames on that scale."""
        return (frames - self.middle) / self.spread
