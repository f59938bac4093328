"""Watch over the weights of a tokenizer: they are float32, on one device, and those that its digest was computed of."""

from operator import attrgetter, getitem, is_
from typing import Any

import torch
from torch import Tensor, nn

from vocable.errors import SpecError
from vocable.folder import digest_of
from vocable.numerics import aligned
from vocable.schema import to_json

_version = attrgetter("_version")


class Fingerprint:
    """A state of a network that is recognized in a fraction of a microsecond for each tensor, without a digest.

    Most changes give a tensor another place, memory or version. One through ``.data`` or numpy does not; it mostly
    shows in the first value.

    Args:
        model: Network to recognize; None for a fingerprint that nothing matches.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> fingerprint = Fingerprint(layer)
        >>> before = fingerprint.matches(layer)
        >>> _ = layer.weight.data.mul_(2)
        >>> before, fingerprint.matches(layer)
        (True, False)
    """

    def __init__(self, model: nn.Module | None = None) -> None:
        groups: list[Any] = []
        for module in model.modules() if model is not None else ():
            groups += module._parameters, module._buffers, module._modules
        cells = [(group, name) for group in groups for name, one in group.items() if one is not None]
        self._model, self._groups, self._names = model, [one for one, _ in cells], [name for _, name in cells]
        self._objects: list[Any] = [group[name] for group, name in cells]
        tensors: list[Any] = [one for one in self._objects if isinstance(one, Tensor)]
        self._tensors = [one for one in tensors if not one.is_inference()]
        self._addresses = [one.data_ptr() for one in self._tensors]
        self._versions = [one._version for one in self._tensors]
        self._first = [one.detach().reshape(-1)[0] for one in tensors if one.numel() and one.dtype == torch.float32]
        self._values = self._read_first()

    def matches(self, model: nn.Module) -> bool:
        """Return whether a network is the one of this fingerprint, in the same state."""
        try:
            return (
                model is self._model
                and all(map(is_, map(getitem, self._groups, self._names), self._objects))
                and list(map(Tensor.data_ptr, self._tensors)) == self._addresses
                and list(map(_version, self._tensors)) == self._versions
                and self._read_first() == self._values
            )
        except LookupError:  # a weight or a layer was removed
            return False

    def __reduce__(self) -> tuple[Any, ...]:
        return Fingerprint, ()  # a copy of the network has other memory

    def _read_first(self) -> bytes:
        return torch.stack(self._first).cpu().numpy().tobytes() if self._first else b""


def find_fault(model: nn.Module) -> str | None:
    """Return what keeps a network from making reproducible tokens, or None; align the memory of its weights.

    Example:
        >>> find_fault(nn.Linear(2, 2).half())
        'weight is torch.float16'
    """
    tensors = [*model.named_parameters(), *model.named_buffers()]
    for name, one in tensors:
        if one.is_floating_point() and one.dtype != torch.float32:
            return f"{name} is {one.dtype}"
        if one.is_meta:
            return f"{name} is on the device meta and has no values"
        if (copy := aligned(one.detach())).data_ptr() != one.data_ptr():
            one.data = copy
    devices = sorted({str(one.device) for _, one in tensors})
    return f"they are on {' and '.join(devices)}" if len(devices) > 1 else None


def check_networks(tokenizer: Any) -> None:
    """Raise a SpecError unless a tokenizer's networks are those of its digest, in float32 on one device.

    A fingerprint that differs shows a change at little cost, and the digest decides whether it matters.
    """
    model: nn.Module = tokenizer.model
    if tokenizer._fingerprint.matches(model):
        return
    fault = find_fault(model)
    if fault is None and digest_of(to_json(tokenizer.config), model.state_dict()) != tokenizer.digest:
        fault = "their weights are others than when it was made"
    if fault is not None:
        raise SpecError(
            f"the networks of this {type(tokenizer).__name__} were changed: {fault}; tokens would not be those of "
            f"{tokenizer.digest[:23]}; load it again, or make a tokenizer of the changed networks in float32"
        )
    tokenizer._fingerprint = Fingerprint(model)
