"""Windows, filters and other tensors that are made once a process."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from vocable.numerics import reference_numerics

_Function = TypeVar("_Function", bound=Callable[..., Any])


def cache_tensors(function: _Function) -> _Function:
    """Decorate a function to keep the tensors that it makes, by its arguments.

    They are made in the reference state, and are no tensors of inference mode, so that the first caller decides nothing
    for later ones.

    Example:
        >>> @cache_tensors
        ... def ones(size):
        ...     return torch.ones(size)
        >>> with torch.device("meta"), torch.inference_mode():
        ...     _ = ones(2)
        >>> ones(2).device.type, ones(2).is_inference(), ones(2) is ones(2)
        ('cpu', False, True)
    """

    @functools.lru_cache(maxsize=32)
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with reference_numerics(), torch.inference_mode(False), torch.no_grad():
            return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]
