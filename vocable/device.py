"""Torch devices by name."""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import torch

from vocable.errors import ConfigError


@runtime_checkable
class Movable(Protocol):
    """A frozen model that can be put on a device."""

    def to(self, device: str) -> object:
        """Move the networks to a torch device."""


def move_all(models: Iterable[object], device: str) -> None:
    """Put models on a torch device; those that cannot be moved stay where they are."""
    for model in models:
        if isinstance(model, Movable):
            model.to(device)


def check_device(name: str) -> torch.device:
    """Return a torch device on which tensors can be made.

    Args:
        name: Name of a device, such as ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        ConfigError: If torch knows no such device, or this machine has none.

    Example:
        >>> check_device("cpu")
        device(type='cpu')
        >>> check_device("foo")
        Traceback (most recent call last):
        vocable.errors.ConfigError: device is 'foo', which cannot be used here; choose one of: cpu
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # fails on a device that is not there or has no memory
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        reason = " on this machine: torch sees no GPU" if str(name).startswith("cuda") and not _gpus() else " here"
        choices = ", ".join(["cpu", *_gpus()])
        raise ConfigError(f"device is {name!r}, which cannot be used{reason}; choose one of: {choices}") from error
    return device


def check_precision(precision: str, device: torch.device) -> None:
    """Check that a device can compute in a precision.

    Args:
        precision: ``float32`` or ``bfloat16``.
        device: Device of the networks.

    Raises:
        ConfigError: If it is a GPU without bfloat16.

    Example:
        >>> check_precision("bfloat16", torch.device("cpu"))
    """
    if precision != "bfloat16" or device.type != "cuda":
        return
    with torch.cuda.device(device):
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            raise ConfigError(
                f"precision is bfloat16, which {device} ({torch.cuda.get_device_name(device)}) cannot compute in; "
                "pass --precision float32"
            )


def _gpus() -> list[str]:
    names = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*names, *(["mps"] if torch.backends.mps.is_available() else [])]
