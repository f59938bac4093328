"""Matrix products of oneDNN for frozen networks on a CPU.

torch multiplies float32 matrices by MKL, which leaves half of an AMD processor unused (AVX2 in place of AVX-512).
oneDNN reaches 2.4 times the speed there. Its sums have another order, so results differ in their last bits. Tokenizers
keep MKL: their ids must not move.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class OneDnnLinear(nn.Module):
    """Linear layer without gradients whose product oneDNN computes.

    Args:
        linear: Layer on a CPU, whose weights it shares.

    Example:
        >>> linear = nn.Linear(8, 4).requires_grad_(False)
        >>> inputs = torch.ones(2, 3, 8)
        >>> torch.allclose(OneDnnLinear(linear)(inputs), linear(inputs), atol=1e-6)
        True
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the product with the weights, plus the bias."""
        product = torch.ops.mkldnn._linear_pointwise
        return product(inputs.contiguous(), self.weight, self.bias, "none", [], "")


def with_onednn(network: Any) -> Any:
    """Return a copy of a frozen network whose linear layers oneDNN computes; its weights are shared.

    The network itself is returned where it is not on a CPU, or this torch has no oneDNN.

    Args:
        network: Module of torch.
    """
    parameters = list(network.parameters())
    is_cpu = all(one.device.type == "cpu" and one.dtype == torch.float32 for one in parameters)
    if not is_cpu or not parameters or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return network
    shared = {id(one): one for one in (*parameters, *network.buffers())}
    copied = copy.deepcopy(network, dict(shared))
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear:
                setattr(module, name, OneDnnLinear(child))
    return copied
