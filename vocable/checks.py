"""What a configuration may say, also one that a stranger wrote: sizes, switches and choices that are what they must be.

A network is built before its weights are compared with it, so that sizes are bounded here.
"""

from collections.abc import Mapping
from typing import Any, get_args

from vocable.errors import ConfigError

WIDEST, DEEPEST, LARGEST = 1 << 16, 1 << 10, 1 << 24  # what a file may ask for: widths and lengths, layers, entries


def check_whole(part: Any, most: int, *names: str, least: int = 1) -> None:
    """Fields, or each number of a tuple, are whole numbers from least to most.

    Raises:
        ConfigError: One is not.

    Example:
        >>> from types import SimpleNamespace
        >>> check_whole(SimpleNamespace(width=0), WIDEST, "width")
        Traceback (most recent call last):
        vocable.errors.ConfigError: width is 0: it must be whole, at least 1 and at most 65536
    """
    for name in names:
        value = getattr(part, name)
        for one in value if isinstance(value, tuple) else (value,):
            if type(one) is not int or not least <= one <= most:
                raise ConfigError(f"{name} is {value!r:.80}: it must be whole, at least {least} and at most {most}")


def check_switches(part: Any, *names: str) -> None:
    """Raises ConfigError where a field is neither true nor false."""
    for name in names:
        if type(getattr(part, name)) is not bool:
            raise ConfigError(f"{name} is {getattr(part, name)!r:.80}: true or false is wanted")


def check_choice(part: Any, name: str, kinds: Any) -> None:
    """Raises ConfigError where a field is none of the kinds, a ``Literal``."""
    if getattr(part, name) not in get_args(kinds):
        raise ConfigError(f"{name} is {getattr(part, name)!r:.80}; choose {' or '.join(get_args(kinds))}")


def check_heads(part: Any, *widths: str) -> None:
    """Raises ConfigError where the heads do not divide these widths."""
    for width in widths or ("width",):
        if getattr(part, width) % part.heads:
            raise ConfigError(f"heads {part.heads} must divide {width} {getattr(part, width)}")


def check_share(part: Any, *names: str) -> None:
    """Raises ConfigError where a field is no number from 0 to under 1."""
    for name in names:
        value = getattr(part, name)
        if type(value) not in (int, float) or not 0 <= value < 1:
            raise ConfigError(f"{name} is {value!r:.80}: it must be at least 0 and under 1")


def plain(value: object, depth: int) -> bool:
    """Whether a value is what JSON has, no deeper than this, and finite."""
    if isinstance(value, dict):
        return depth > 0 and all(isinstance(key, str) and plain(one, depth - 1) for key, one in value.items())
    if isinstance(value, list):
        return depth > 0 and all(plain(one, depth - 1) for one in value)
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and abs(value) < 1e300)


def tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as tuples, which the fields of a configuration are.

    Example:
        >>> tuples({"strides": [2, 2], "width": 8})
        {'strides': (2, 2), 'width': 8}
    """
    return {key: tuple(one) if isinstance(one, list) else one for key, one in values.items()}
