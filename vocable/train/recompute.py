"""Activation checkpointing: blocks of networks whose activations are computed again in the backward pass."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from vocable.quantizers.codebook import Codebook
from vocable.quantizers.fsq import FiniteScalarQuantizer

_STATEFUL = (Codebook, FiniteScalarQuantizer, _BatchNorm)  # modules whose forward pass changes their buffers


@contextmanager
def recompute_blocks(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Let blocks that run in the body keep their inputs alone, and compute the rest again in the backward pass.

    Gradients are the same, with the same dropout. Memory falls to one block's activations and the inputs of the others,
    for about a third more time. See :func:`find_blocks`.

    Source:
        Chen et al., Training deep nets with sublinear memory cost, arXiv:1604.06174.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
        >>> with recompute_blocks([network]):
        ...     output = network(torch.ones(1, 2))
        >>> output.sum().backward()
        >>> network[0][0].weight.grad.shape
        torch.Size([2, 2])
    """
    blocks = [block for network in networks for block in find_blocks(network)]
    for block in blocks:
        block.forward = partial(_checkpoint, block, block.forward)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


def _checkpoint(block: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a block without its activations; the second time with those parameters frozen that are frozen now."""
    is_trained = [parameter.requires_grad for parameter in block.parameters()]

    def run(*args: Any, **kwargs: Any) -> Any:
        before = [parameter.requires_grad for parameter in block.parameters()]
        _set_trained(block, is_trained)
        try:
            return forward(*args, **kwargs)
        finally:
            _set_trained(block, before)

    return checkpoint(run, *args, use_reentrant=False, **kwargs)


def _set_trained(block: nn.Module, is_trained: Iterable[bool]) -> None:
    for parameter, flag in zip(block.parameters(), is_trained, strict=True):
        if parameter.requires_grad != flag:
            parameter.requires_grad_(flag)


def find_blocks(network: nn.Module) -> list[nn.Module]:
    """Return the blocks of a network: the outermost elements of lists of layers that consist of several modules.

    Quantizers and batch norms, which change in the forward pass, are in none of them.

    Example:
        >>> blocks = nn.ModuleList(nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(3))
        >>> len(find_blocks(nn.ModuleDict({"head": nn.Linear(2, 2), "blocks": blocks})))
        3
    """
    found: dict[nn.Module, Any] = {}
    for child in network.children():
        is_block = isinstance(network, nn.ModuleList | nn.Sequential) and _is_block(child)
        found |= dict.fromkeys([child] if is_block else find_blocks(child))
    return list(found)


def _is_block(module: nn.Module) -> bool:
    has_layers = any(True for _ in module.children()) and not isinstance(module, nn.ModuleList | nn.ModuleDict)
    is_trained = any(parameter.requires_grad for parameter in module.parameters())
    return has_layers and is_trained and not any(isinstance(one, _STATEFUL) for one in module.modules())
