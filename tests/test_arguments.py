"""The check of arguments: what fits an annotation, what does not, and what is said then."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from vocable.arguments import Count, Range, Seed, check_value
from vocable.errors import ArgumentError, ConfigError

FITS: list[tuple[Any, Any]] = [
    (1, int), (np.int64(1), int), (1, float), (1.5, float), (np.float32(1.5), float), ("a", str), (True, bool),
    (None, int | None), (1, int | None), (["a"], Sequence[str]), (("a", "b"), Sequence[str]), ([], Sequence[str]),
    ([None, "a"], Sequence[str | None]), ((1, 2), tuple[int, int]), (("a",), tuple[str, ...]), (Path("a"), Path | str),
    ({"a": 1}, Mapping[str, object]), (print, Callable[[str], None]), ((x for x in "a"), Iterable[str]),
    ("dtw", Literal["repeat", "dtw"]), (torch.zeros(2), Float[Tensor, " V"]), (0, Seed), ((1 << 63) - 1, Seed),
    (np.int32(3), Seed), (None, Seed | None), (object(), object), (object(), Any),
]  # fmt: skip
WRONG: list[tuple[Any, Any, str]] = [
    (1.5, int, r"is 1.5 \(float\); pass int"), (True, int, r"is True \(bool\)"), ("1", int, "pass int"),
    (None, int, "is None"), (np.bool_(True), int, "pass int"), (1j, float, "pass float"), (1, str, "pass str"),
    (b"a", str, "pass str"), ("mark", Sequence[str], r"is 'mark' \(str\); pass a list of str"),
    (b"mark", Sequence[int], "pass a list of int"), (["a", 1], Sequence[str], "pass a list of str"),
    (np.zeros(2), Sequence[float], "a list of float"), ((1,), tuple[int, int], "a tuple of int, int"),
    ({"a"}, Sequence[str], "a list"), ([1], Mapping[str, int], "Mapping"), ({1: 1}, Mapping[str, int], "Mapping"),
    (3, Callable[[], int], "Callable"), ("ab", Iterable[str], "a list of str"), ("x", Literal["a", "b"], "'a' or 'b'"),
    (torch.zeros(2, 2), Float[Tensor, " V"], "pass"), (np.zeros(2), Float[Tensor, " V"], "pass"),
    (1.0, Seed, "pass int"), ([1], int | None, "pass int or None"),
]  # fmt: skip
RANGES: list[tuple[Any, Any]] = [
    (-1, Seed), (99999999999999999999, Seed), (1 << 63, Seed), (0, Count), (1 << 31, Count), (np.int64(-1), Seed),
    (-5, Seed | None), (float("nan"), Annotated[float, Range(0, 1)]),
]  # fmt: skip


def _name(value: object) -> str:
    """The name of a case, the same in every process: no address and no order of a set in it."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


@pytest.mark.parametrize(("value", "hint"), FITS, ids=_name)
def test_what_fits_is_taken(value: Any, hint: Any) -> None:
    check_value("f: x", value, hint)


@pytest.mark.parametrize(("value", "hint", "message"), WRONG, ids=_name)
def test_what_does_not_fit_is_said_with_what_to_pass(value: Any, hint: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=f"f: x {message}" if message.startswith("is") else message) as caught:
        check_value("f: x", value, hint)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(("value", "hint"), RANGES, ids=_name)
def test_numbers_out_of_range_are_a_config_error(value: Any, hint: Any) -> None:
    with pytest.raises(ConfigError, match="f: x is"):
        check_value("f: x", value, hint)


def test_a_value_that_cannot_be_shown_is_named_by_its_type() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError

    for value in (Hostile(), "a\nb" * 1_000, "\ud800", list(range(10_000))):
        with pytest.raises(ArgumentError) as caught:
            check_value("f: x", value, int)
        assert len(str(caught.value)) < 200
        assert "\n" not in str(caught.value)
        str(caught.value).encode()
