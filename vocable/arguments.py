"""Check of the arguments of public functions: a wrong type is one error that says what to pass.

:func:`check_arguments` reads the annotations, so a signature is the one place where a type is stated. Ranges are
annotated, too, as :data:`Seed` is; a value out of range is a :class:`~vocable.errors.ConfigError`.
"""

import collections.abc
import inspect
import numbers
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from vocable.errors import ArgumentError, ConfigError


@dataclass(frozen=True)
class Range:
    """Lowest and highest value of an annotated number: ``Annotated[int, Range(0, 9)]``."""

    low: int | float
    high: int | float


Seed = Annotated[int, Range(0, (1 << 63) - 1)]
"""Seed of everything random in a call."""
Count = Annotated[int, Range(1, (1 << 31) - 1)]
"""Number of things, at least one."""

_MAX_SHOWN = 60  # characters of a value in a message
_P = ParamSpec("_P")
_R = TypeVar("_R")
_ADVICE = {
    "Tokens": "Tokens, such as codec.encode(...) or Tokens.read(path)",
    "Tensor": "a torch.Tensor, such as torch.from_numpy(array)",
    "Audio": "Audio, such as Audio.read(path) or Audio(samples, sample_rate)",
}
_ABSTRACT: dict[Any, Any] = {  # str and bytes are sequences of themselves, and never meant as one
    collections.abc.Sequence: collections.abc.Sequence, collections.abc.Iterable: collections.abc.Iterable,
    collections.abc.Collection: collections.abc.Collection, list: list, tuple: tuple,
}  # fmt: skip


def check_arguments(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate a function so that it checks its arguments against their annotations.

    Integers and floats of numpy count as Python's; a bool is no integer; a str is no sequence of texts.

    Raises:
        ArgumentError: (of the decorated function) If an argument is of another type.
        ConfigError: (of the decorated function) If a number is out of its annotated range.

    Example:
        >>> @check_arguments
        ... def repeat(text: str, times: Count = 1) -> str:
        ...     return text * times
        >>> repeat("la", 2.5)
        Traceback (most recent call last):
        vocable.errors.ArgumentError: repeat: times is 2.5 (float); pass int
        >>> repeat("la", 0)
        Traceback (most recent call last):
        vocable.errors.ConfigError: repeat: times is 0: pass a number from 1 to 2147483647
    """
    bind = checked_binding(function)

    @wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        arguments, options = bind(args, kwargs)
        return function(*arguments, **options)

    return checked


def checked_binding(function: Callable[..., Any]) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return a function that checks positional and named arguments of another, and returns both to call it with."""
    signature = inspect.signature(function)

    @cache
    def hints() -> dict[str, Any]:  # once it is called: annotations may name what is defined later
        return get_type_hints(inspect.unwrap(function), include_extras=True)

    def bind(args: Any, kwargs: Any) -> tuple[Any, Any]:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if name in hints() and signature.parameters[name].kind not in (
                inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD,
            ):  # fmt: skip
                bound.arguments[name] = check_value(f"{function.__name__}: {name}", value, hints()[name])
        return bound.args, bound.kwargs

    return bind


def check_value(name: str, value: Any, hint: Any) -> Any:
    """Check one value, and return it, a number of numpy as one of Python; see :func:`check_arguments`.

    Args:
        name: Name of the value, which opens the message.
        value: Value to check.
        hint: Annotation of its type.
    """
    if not _fits(value, hint):
        raise ArgumentError(f"{name} is {show(value)} ({type(value).__name__}); pass {_describe(hint)}")
    value = value.item() if isinstance(value, np.number) else value
    _check_range(name, value, hint)
    return value


def show(value: object) -> str:
    """Return a value as a message shows it: on one line, of bounded length, whatever the value is.

    Example:
        >>> show("a" * 100)[-5:]
        'aa...'
    """
    try:
        text = " ".join(repr(value).encode(errors="backslashreplace").decode().split())
    except Exception:  # a value's own code
        text = f"a {type(value).__name__}"
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


def _check_range(name: str, value: Any, hint: Any) -> None:
    for option in (hint, *get_args(hint)):
        for limit in getattr(option, "__metadata__", ()):
            if isinstance(limit, Range) and value is not None and not limit.low <= value <= limit.high:
                raise ConfigError(f"{name} is {show(value)}: pass a number from {limit.low} to {limit.high}")


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of an annotated type."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in (Any, object, inspect.Parameter.empty) or isinstance(hint, TypeVar):
        return True
    if hint is None or hint is types.NoneType:
        return value is None
    if origin is Annotated:
        return _fits(value, args[0])
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in args)
    if origin is Literal:
        return type(value) in {type(option) for option in args} and value in args
    if hint in (int, float):
        kind = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, kind) and not isinstance(value, bool)
    if origin in _ABSTRACT:
        return _fits_sequence(value, origin, args)
    return _fits_class(value, origin, args) if origin else isinstance(value, hint)


def _fits_class(value: Any, origin: Any, args: tuple[Any, ...]) -> bool:
    if origin in (collections.abc.Mapping, dict):
        return isinstance(value, collections.abc.Mapping) and all(
            _fits(key, args[0]) and _fits(one, args[1]) for key, one in value.items()
        )
    if origin is collections.abc.Callable:
        return callable(value)
    return isinstance(value, origin)


def _fits_sequence(value: Any, origin: Any, args: tuple[Any, ...]) -> bool:
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, _ABSTRACT[origin]):
        return False
    if origin is collections.abc.Iterable:  # which is read once, by the function itself
        return getattr(value, "ndim", 1) > 0  # an array without axes cannot be iterated
    if origin is tuple and args[-1] is not ...:
        return len(value) == len(args) and all(map(_fits, value, args))
    return all(_fits(one, args[0]) for one in value)


def _describe(hint: Any) -> str:
    """Return what to pass, in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _describe(args[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_describe(option) for option in args))
    if origin is Literal:
        return " or ".join(map(repr, args))
    if origin in (collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection, list):
        return f"a list of {_describe(args[0])}"
    if origin is tuple:
        return f"a tuple of {', '.join(_describe(one) for one in args if one is not ...)}"
    if hint is types.NoneType:
        return "None"
    if isinstance(hint, type) or origin is None:
        name = getattr(hint, "__name__", str(hint))
        return _ADVICE.get(name, name)
    return str(getattr(origin, "__name__", origin))
