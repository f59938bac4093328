"""Typed records: configurations that validate themselves, and the one reader of JSON files.

A configuration is a frozen dataclass made by :func:`config`. Pydantic checks its fields when it is constructed, when
one is replaced (:func:`dataclasses.replace`) and when it is read from JSON. Files that a stranger can have written are
read by :func:`read_json` or :func:`parse`, which raise nothing but a named error.

A network is built before its weights are compared with it, so the sizes that a file may ask for are bounded here.
"""

import dataclasses
import json
import os
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import (
    ConfigDict,
    Field,
    JsonValue,
    PydanticUserError,
    RootModel,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

from vocable.errors import CheckpointError, ConfigError, VocableError
from vocable.files import read_file

MAX_WIDTH, MAX_DEPTH, MAX_ENTRIES = 1 << 16, 1 << 10, 1 << 24

Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
"""Channels, samples or frames that a network's layer spans."""
Depth = Annotated[int, Field(ge=1, le=MAX_DEPTH)]
"""Number of layers, heads or strides, or the size of a kernel."""
Entries = Annotated[int, Field(ge=1, le=MAX_ENTRIES)]
"""Rows of a table: a codebook, a vocabulary."""
Share = Annotated[float, Field(ge=0, lt=1)]
"""A fraction of a whole, below 1, such as a dropout rate."""

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
_T = TypeVar("_T")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field, Field))
def config(cls: type[_T]) -> type[_T]:
    """Decorate a class as a frozen record whose fields are checked: types strictly, ranges by their annotations.

    A rule over several fields goes into ``__post_init__`` and raises :class:`~vocable.errors.ConfigError`.

    Raises:
        ConfigError: (of the decorated class) If a field is missing, unknown, of another type or out of range.

    Example:
        >>> @config
        ... class Block:
        ...     width: Width = 256
        >>> Block(width=0)
        Traceback (most recent call last):
        vocable.errors.ConfigError: Block: width is 0: Input should be greater than or equal to 1
        >>> to_json(Block())
        {'width': 256}
    """
    decorated: Any = pydantic_dataclass(frozen=True, kw_only=True, config=_STRICT)(cls)
    validate = decorated.__init__

    @wraps(validate)
    def checked(self: Any, *args: Any, **values: Any) -> None:
        try:
            validate(self, *args, **values)
        except ValidationError as error:
            raise ConfigError(f"{cls.__name__}: {first_problem(error)}") from error

    decorated.__init__ = checked
    record: type[_T] = decorated
    return record


class JsonObject(RootModel[dict[str, JsonValue]]):
    """Any JSON object, as a dictionary in ``root``; its numbers are finite."""

    @model_validator(mode="after")
    def _check_numbers(self) -> "JsonObject":
        json.dumps(self.root, allow_nan=False)  # raises a ValueError
        return self


def to_json(value: Any) -> Any:
    """Return a record as plain JSON values: mappings, lists, strings, numbers, booleans and None."""
    return _adapter(type(value)).dump_python(value, mode="json")


def to_bytes(value: Any) -> bytes:
    """Return a record as compact JSON text in UTF-8."""
    return _adapter(type(value)).dump_json(value)


def parse(kind: type[_T], values: object, where: str,
          error: Callable[[str], VocableError] = ConfigError) -> _T:  # fmt: skip
    """Make a record of plain JSON values.

    Args:
        kind: Type of the record: a class made by :func:`config`, or any class that pydantic can validate.
        values: JSON values, or the bytes of a JSON text.
        where: File or setting that the values come from, which opens the message of an error; or an empty string.
        error: Class of the error to raise.

    Raises:
        VocableError: (of the class ``error``) If a key is missing or unknown, or a value is of the wrong type or range.

    Example:
        >>> @config
        ... class Run:
        ...     steps: int
        >>> parse(Run, {"steps": "many"}, "run.json")
        Traceback (most recent call last):
        vocable.errors.ConfigError: run.json: steps is 'many': Input should be a valid integer
    """
    prefix = f"{where}: " if where else ""
    try:
        text = values if isinstance(values, bytes) else json.dumps(values)
        record: _T = _adapter(kind).validate_json(text, strict=True)
        return record
    except ValidationError as problem:
        raise error(f"{prefix}{first_problem(problem)}") from problem
    except ConfigError as problem:  # a rule over several fields, from __post_init__
        raise error(f"{prefix}{problem}") from problem
    except (TypeError, ValueError, RecursionError) as problem:  # values that are no JSON, or are nested too deep
        raise error(f"{prefix}{str(problem)[:200]}") from problem


def read_json(path: str | os.PathLike[str], kind: type[_T], *, advice: str = "copy it again",
              error: Callable[[str], VocableError] = CheckpointError) -> _T:  # fmt: skip
    """Read a JSON file as a record.

    Args:
        path: Path of a file of at most 64 MiB.
        kind: Type of the record; see :func:`parse`.
        advice: What the reader of the message can do; closes it.
        error: Class of the error to raise.

    Raises:
        VocableError: (of the class ``error``) If the file cannot be read, is no JSON, or does not hold such a record.
    """
    text = read_file(path, error, advice)
    try:
        return parse(kind, text, str(path), ConfigError)
    except ConfigError as problem:
        raise error(f"{problem}; {advice}") from problem


def first_problem(error: ValidationError) -> str:
    """Return the first problem of a validation as ``name is value: reason``, and the number of others."""
    first, *others = error.errors(include_url=False)
    place = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] in ("missing", "extra_forbidden", "unexpected_keyword_argument", "missing_keyword_only_argument"):
        return f"{place}: {first['msg']}{more}"
    value = repr(first.get("input"))
    shown = value if len(value) <= 80 else f"{value[:77]}..."
    return f"{place + ' is ' if place else ''}{shown}: {first['msg']}{more}"


_ADAPTERS: dict[Any, Any] = {}  # by type: making one takes a millisecond


def _adapter(kind: Any) -> Any:  # a TypeAdapter, which runtime checkers of annotations do not know
    if kind not in _ADAPTERS:
        try:
            _ADAPTERS[kind] = TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))
        except PydanticUserError:  # a type that brings its own settings
            _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
