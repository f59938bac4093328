"""Typed records: configurations that validate themselves, and the one reader of JSON files.

A configuration is a frozen dataclass made by :func:`config`. Pydantic checks its fields when it is constructed, when
one is replaced (:func:`dataclasses.replace`) and when it is read from JSON. Files that a stranger can have written are
read by :func:`read_json`, :func:`parse` or :func:`parse_object`, which raise nothing but a named error. They refuse
what JSON readers disagree on: keys that stand twice, numbers that are not finite, and values nested too deep.

A network is built before its weights are compared with it, so the sizes that a file may ask for are bounded here.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from functools import wraps
from math import isfinite
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import (
    ConfigDict,
    Field,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

from vocable.errors import CheckpointError, ConfigError, VocableError
from vocable.files import MAX_TEXT_BYTES, open_regular, read_file, reason_of

MAX_WIDTH, MAX_DEPTH, MAX_ENTRIES = 1 << 16, 1 << 10, 1 << 24

Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
"""Channels, samples or frames that a network's layer spans."""
Depth = Annotated[int, Field(ge=1, le=MAX_DEPTH)]
"""Number of layers, heads or strides, or the size of a kernel."""
Entries = Annotated[int, Field(ge=1, le=MAX_ENTRIES)]
"""Rows of a table: a codebook, a vocabulary."""
Share = Annotated[float, Field(ge=0, lt=1)]
"""A fraction of a whole, below 1, such as a dropout rate."""


def later(default: Any) -> Any:
    """Return the annotation of a field that came later, with its default.

    JSON lacks the field while it has its default, so that files and digests of older configurations stay as they are.

    Example:
        >>> @config
        ... class Block:
        ...     width: Width = 256
        ...     gated: Annotated[bool, later(False)] = False
        >>> to_json(Block()), to_json(Block(gated=True))
        ({'width': 256}, {'width': 256, 'gated': True})
    """
    return Field(exclude_if=lambda value: value == default)


LATER = later(None)
"""Annotation of a field that came later and is None by default."""

_MAX_NESTING = 100  # lists and objects in one another: what walks over the values does so by recursion
_MAX_INT = 1 << 1023  # larger ones cannot become floats
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
    record: _T = parse_as(kind, values, where, error)
    return record


def parse_as(kind: Any, values: object, where: str, error: Callable[[str], VocableError] = ConfigError) -> Any:
    """Make a value of any annotation, such as ``int | None``, of plain JSON values; see :func:`parse`.

    Example:
        >>> parse_as(Width | None, 64, "width")
        64
    """
    prefix = f"{where}: " if where else ""
    try:
        text = values if isinstance(values, bytes) else json.dumps(values)
        record = _adapter(kind).validate_json(text, strict=True)
        _load(text)
        return record
    except ValidationError as problem:
        raise error(f"{prefix}{first_problem(problem)}") from problem
    except VocableError as problem:  # a rule over several fields, from __post_init__
        raise error(f"{prefix}{problem}") from problem
    except Exception as problem:  # values that are no JSON, or that a rule over several fields does not foresee
        raise error(f"{prefix}{reason_of(problem)}") from problem


def parse_object(text: bytes | str, where: str, error: Callable[[str], VocableError],
                 advice: str = "copy it again") -> dict[str, Any]:  # fmt: skip
    """Return the JSON object of a text, such as a line of a manifest, whose keys are not known.

    In contrast to :func:`parse`, a text may hold lone surrogates: a name of a file need not be valid UTF-8.

    Args:
        text: Text, or its bytes in UTF-8.
        where: File, or file and line, which open the message of an error.
        error: Class of the error to raise.
        advice: What the reader of the message can do; closes it.

    Raises:
        VocableError: (of the class ``error``) If the text is no JSON object, a key stands twice, a number is not
            finite, or values are nested too deep.

    Example:
        >>> parse_object('{"audio_path": "a.wav", "text": null}', "line 1", ConfigError)
        {'audio_path': 'a.wav', 'text': None}
    """
    try:
        values = _load(text)
    except Exception as problem:  # no JSON, a number of thousands of digits, or too many brackets
        reason = reason_of(problem)[:120].replace(": line 1", " at")  # the line is part of `where`
        raise error(f"{where}: this is no JSON ({reason}); {advice}") from problem
    if not isinstance(values, dict):
        raise error(f"{where}: this is no JSON object; {advice}")
    return values


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


def read_object(path: str | os.PathLike[str], *, advice: str = "copy it again",
                error: Callable[[str], VocableError] = CheckpointError) -> dict[str, Any]:  # fmt: skip
    """Read a JSON file as an object whose keys are not known; arguments and errors are those of :func:`read_json`."""
    return parse_object(read_file(path, error, advice), str(path), error, advice)


def read_utf8(path: str | os.PathLike[str], error: Callable[[str], VocableError], advice: str, *,
              limit: int = MAX_TEXT_BYTES) -> str:  # fmt: skip
    """Read a plain file of UTF-8, with or without a byte order mark; see :func:`read_file`."""
    try:
        return read_file(path, error, advice, limit=limit).decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: cannot be read (byte {problem.start} is not UTF-8); {advice}") from problem


def read_lines(path: str | os.PathLike[str], error: Callable[[str], VocableError], advice: str, *,
               limit: int) -> Iterator[str]:  # fmt: skip
    """Yield the lines of a plain file of UTF-8 without their ends, as they are read; see :func:`read_utf8`."""
    position = 0
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > limit:  # before a line is read, which may be as long as the file
                raise error(f"{path}: is larger than {limit >> 20} MiB; {advice}")
            for line in file:
                if position + len(line) > limit:
                    raise error(f"{path}: is larger than {limit >> 20} MiB; {advice}")
                text = line.decode("utf-8-sig" if position == 0 else "utf-8")
                position += len(line)
                yield text.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: cannot be read (byte {position + problem.start} is not UTF-8); {advice}") from problem
    except OSError as problem:
        raise error(f"{path}: cannot be read ({reason_of(problem)}); {advice}") from problem


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


def _load(text: bytes | str) -> Any:
    """Return the values of a JSON text that every reader understands alike; raise a ValueError otherwise."""
    values = json.loads(text, object_pairs_hook=_check_keys, parse_constant=_refuse_constant)
    waiting = [(values, 0)]  # a list, not recursion: there may be many levels
    while waiting:
        value, depth = waiting.pop()
        if depth > _MAX_NESTING:
            raise ValueError(f"lists and objects are nested more than {_MAX_NESTING} deep")
        if isinstance(value, dict | list):
            inner = value.values() if isinstance(value, dict) else value
            waiting += [(one, depth + 1) for one in inner if not isinstance(one, str)]
        elif isinstance(value, float) and not isfinite(value):
            raise ValueError("a number is too large")
        elif isinstance(value, int) and abs(value) >= _MAX_INT:
            raise ValueError("a whole number is too large")
    return values


def _check_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:60]!r} stands twice")
    return values


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


_ADAPTERS: dict[Any, Any] = {}  # by type: making one takes a millisecond


def _adapter(kind: Any) -> Any:  # a TypeAdapter, which runtime checkers of annotations do not know
    if kind not in _ADAPTERS:
        try:
            _ADAPTERS[kind] = TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))
        except PydanticUserError:  # a type that brings its own settings
            _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
