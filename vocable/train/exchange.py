"""Exchange of gradients between processes, while the backward pass still computes others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vocable.collective import is_distributed, naming_lost_processes, world

_BUCKET_BYTES = 25 << 20


@dataclass(eq=False)
class _Bucket:
    """Parameters whose gradients travel in one message.

    Attributes:
        parameters: Parameters, the last of the network first.
        missing: Parameters whose gradient is not computed yet in this backward pass.
        flat: One flag for each parameter that has a gradient here, then all gradients; None before they are sent.
        work: Message on its way.
    """

    parameters: list[nn.Parameter]
    missing: set[nn.Parameter] = field(default_factory=set)
    flat: Tensor | None = None
    work: Any = None


class GradientExchange:
    """Mean of gradients over processes, in buckets that are sent as soon as their gradients are computed.

    The backward pass reaches the last layers of a network first, and their bucket travels while it goes on. All
    processes send the buckets in the same order. A parameter that no process has a gradient for keeps none. The
    networks need no wrapper, and a step may have several backward passes over parts of them, as a game has.

    Args:
        parameters: Parameters of one optimizer.
        bucket_bytes: Size from which on a bucket is full.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> with GradientExchange(list(layer.parameters())).average():  # nothing to exchange on one process
        ...     layer(torch.ones(1, 2)).sum().backward()
        >>> layer.bias.grad
        tensor([1.])
    """

    def __init__(self, parameters: Sequence[nn.Parameter], bucket_bytes: int = _BUCKET_BYTES) -> None:
        self._buckets: list[_Bucket] = []
        self._is_active, self._next, size = False, 0, bucket_bytes
        for parameter in reversed(parameters) if is_distributed() else ():
            if size >= bucket_bytes:
                self._buckets.append(_Bucket([]))
                size = 0
            self._buckets[-1].parameters.append(parameter)
            size += parameter.numel() * parameter.element_size()
            parameter.register_post_accumulate_grad_hook(partial(self._receive, self._buckets[-1]))

    @contextmanager
    def average(self) -> Iterator[None]:
        """Replace the gradients that the body computes, and those that were there, by their means over processes.

        Raises:
            TrainingError: If another process is lost.
        """
        for bucket in self._buckets:
            bucket.missing, bucket.flat, bucket.work = set(bucket.parameters), None, None
        self._is_active, self._next = True, 0
        try:
            yield
        finally:
            self._is_active = False
        for bucket in self._buckets[self._next :]:
            self._send(bucket)
        self._receive_means()

    def _receive(self, bucket: _Bucket, parameter: nn.Parameter) -> None:
        """Note a gradient of the backward pass, and send the buckets that are complete."""
        if not self._is_active:
            return
        bucket.missing.discard(parameter)
        while self._next < len(self._buckets) and not self._buckets[self._next].missing:
            self._send(self._buckets[self._next])
            self._next += 1

    def _send(self, bucket: _Bucket) -> None:
        device = bucket.parameters[0].device
        is_present = torch.tensor([float(p.grad is not None) for p in bucket.parameters], device=device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket.parameters]
        bucket.flat = torch.cat([is_present, *(gradient.reshape(-1) for gradient in gradients)])
        with naming_lost_processes():
            bucket.work = dist.all_reduce(bucket.flat, async_op=True)

    def _receive_means(self) -> None:
        """Wait for all messages, and store the means."""
        sums: list[tuple[Tensor, ...]] = []
        for bucket in self._buckets:
            assert bucket.flat is not None
            with naming_lost_processes():
                bucket.work.wait()
            means = bucket.flat / world()[1]
            sums.append(means.split([len(bucket.parameters), *(p.numel() for p in bucket.parameters)]))
            bucket.flat = bucket.work = None
        is_present = torch.cat([flags for flags, *_ in sums]).tolist() if sums else []
        parts = [(p, part) for bucket, (_, *parts) in zip(self._buckets, sums, strict=True)
                 for p, part in zip(bucket.parameters, parts, strict=True)]  # fmt: skip
        for (parameter, part), present in zip(parts, is_present, strict=True):
            parameter.grad = part.reshape(parameter.shape) if present else None
