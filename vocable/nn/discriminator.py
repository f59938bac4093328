"""Base of convolutional discriminators, and what a discriminator returns."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


@dataclass(frozen=True)
class DiscriminatorOutput:
    """Output of one discriminator for a batch.

    Attributes:
        logits: Scores of any shape, high for real samples.
        maps: Feature maps of its layers.
    """

    logits: Tensor
    maps: list[Tensor]


class ConvDiscriminator(nn.Module):
    """Base of discriminators: convolutions with weight norm and leaky ReLUs, and a last one for the logits.

    Args:
        layers: Convolutions.
        last: Convolution of the logits.
        slope: Slope of the leaky ReLUs.
    """

    maps_logits = True  # whether the logits count as a feature map, too

    def __init__(self, layers: Sequence[nn.Module], last: nn.Module, slope: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(weight_norm(layer) for layer in layers)
        self.last, self.slope = weight_norm(last), slope

    def score(self, hidden: Tensor) -> DiscriminatorOutput:
        """Return the logits and feature maps of an input."""
        maps = []
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), self.slope)
            maps.append(hidden)
        logits = self.last(hidden)
        return DiscriminatorOutput(logits, [*maps, logits] if self.maps_logits else maps)
