"""What a file may say: numbers, switches, choices and plain values that are what they must be."""

from typing import Any, get_args

from vocable.errors import ConfigError


def check_whole(part: Any, most: int, *names: str, least: int = 1) -> None:
    """Raises ConfigError where a field is no whole number from least to most."""
    for name in names:
        value = getattr(part, name)
        if type(value) is not int or not least <= value <= most:
            raise ConfigError(f"{name} is {value!r:.80}: it must be whole, at least {least} and at most {most}")


def check_switches(part: Any, *names: str) -> None:
    """Raises ConfigError where a field is neither true nor false."""
    for name in names:
        if type(getattr(part, name)) is not bool:
            raise ConfigError(f"{name} is {getattr(part, name)!r:.80}: true or false is wanted")


def check_choice(part: Any, name: str, kinds: Any) -> None:
    """Raises ConfigError where a field is none of the kinds."""
    if getattr(part, name) not in get_args(kinds):
        raise ConfigError(f"{name} is {getattr(part, name)!r:.80}; choose {' or '.join(get_args(kinds))}")


def check_heads(part: Any) -> None:
    """Raises ConfigError where the heads do not divide the width."""
    if part.width % part.heads:
        raise ConfigError(f"heads {part.heads} must divide width {part.width}")


def check_share(part: Any, name: str) -> None:
    """Raises ConfigError where a field is no number from 0 to under 1."""
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
