"""Recurrent layers whose output does not depend on whether their weights are frozen."""

from typing import Any

import torch
from torch import nn

from vocable.numerics import is_reference


def apply_recurrent(network: nn.RNNBase, inputs: Any) -> Any:
    """Return what a recurrent layer returns for a tensor or a packed sequence.

    For weights that take no gradient, torch chooses another kernel, whose last bits differ. Under
    :func:`~vocable.numerics.reference_numerics` the kernel is always that of weights that do.

    Example:
        >>> layer = nn.GRU(4, 2, batch_first=True).requires_grad_(False)
        >>> apply_recurrent(layer, torch.zeros(1, 5, 4))[0].shape
        torch.Size([1, 5, 2])
    """
    if not is_reference() or all(weight.requires_grad for weight in network.parameters()):
        return network(inputs)
    weights = {name: weight.detach().requires_grad_() for name, weight in network.named_parameters()}
    return torch.func.functional_call(network, weights, (inputs,))
