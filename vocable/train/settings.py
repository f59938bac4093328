"""Settings of a run: their names, types, values and meanings, and changes of them."""

import inspect
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from vocable.errors import ConfigError, MissingDependencyError
from vocable.files import read_file
from vocable.schema import parse_as, to_json
from vocable.train.run import NOT_SETTINGS, Run, run_to_json

_WORDS = {"true": True, "false": False, "null": None, "none": None}
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_HINTS: dict[type, dict[str, Any]] = {}  # by class, as resolving them takes long
_TAG = ".kind"  # field that selects one of several records
_ADVICE = "`vocable recipes NAME` lists all settings"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a run.

    Attributes:
        name: Path of the field, such as ``model.backbone.width``.
        type: Type and range, such as ``int ≥ 1``.
        value: Value as JSON.
        meaning: Description, from the documentation of its record.
    """

    name: str
    type: str
    value: str
    meaning: str


def list_settings(run: Run) -> list[Setting]:
    """Return every setting of a run.

    Example:
        >>> from vocable.systems.guided.recipe import tiny
        >>> next(one for one in list_settings(tiny()) if one.name == "train.steps")
        Setting(name='train.steps', type='int ≥ 1', value='20', meaning='Number of steps of the whole run.')
    """
    return [
        Setting(
            name=leaf.name, type=_type_name(leaf.hint), value=json.dumps(to_json(leaf.value), ensure_ascii=False),
            meaning=leaf.meaning,
        )
        for leaf in _leaves(run)
    ]  # fmt: skip


def parse_assignments(run: Run, assignments: Sequence[str]) -> dict[str, Any]:
    """Return the values of assignments ``NAME=VALUE``.

    Args:
        run: Run with the settings.
        assignments: Texts such as ``model.width=64``. A value is JSON, or a string without quotes.

    Raises:
        ConfigError: If one is no assignment, its name is unknown, or its value is of the wrong type or range.
    """
    hints = {leaf.name: leaf.hint for leaf in _leaves(run) if not _is_tag(leaf)}
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name, text = name.strip(), text.strip()
        if not equals or not name:
            raise ConfigError(f"--set {assignment!r}: write NAME=VALUE, such as train.steps=1000; {_ADVICE}")
        values[name] = _parse_value(text, hints.get(name), name)
    return values


def read_settings(run: Run, path: Path) -> dict[str, Any]:
    """Return the values of a TOML or YAML file, whose tables are nested as the settings are, or have dotted names.

    Raises:
        ConfigError: If the file cannot be read, or is not of its format.
        MissingDependencyError: If it is YAML, and PyYAML is not installed.
    """
    text = read_file(path, ConfigError, "pass a TOML or YAML file").decode(errors="replace")
    try:
        values = _read_yaml(text) if path.suffix.lower() in (".yaml", ".yml") else tomllib.loads(text)
        values = json.loads(json.dumps({} if values is None else values, allow_nan=False))  # dates are no settings
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path}: is no TOML or YAML of settings ({' '.join(str(error).split())[:160]})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds no names with values; write lines such as train.steps = 1000")
    return dict(_flatten(values, run_to_json(run)))


def change_settings(run: Run, values: Mapping[str, Any]) -> Run:
    """Return a run with some settings changed and checked.

    Args:
        run: Run from a recipe.
        values: JSON values by the name of their setting, which may also be a whole record.

    Raises:
        ConfigError: If a name is unknown, or a value is of the wrong type or range.

    Example:
        >>> from vocable.systems.guided.recipe import tiny
        >>> change_settings(tiny(), {"model.num_codebooks": 2}).model.num_codebooks
        2
        >>> change_settings(tiny(), {"model.num_codebook": 2})
        Traceback (most recent call last):
        vocable.errors.ConfigError: no setting is named model.num_codebook; the nearest is model.num_codebooks; ...
    """
    tree, leaves = run_to_json(run), {leaf.name: leaf for leaf in _leaves(run)}
    made: list[dict[str, Any]] = []  # records whose names are not those of the recipe's
    for name in sorted(values, key=lambda name: not name.endswith(_TAG)):
        _assign(tree, name, values[name], leaves, made)
        if name in leaves and not _is_tag(leaves[name]):
            parse_as(leaves[name].hint, values[name], f"setting {name}")
    hints = type_hints(type(run))
    tops = dict.fromkeys(name.partition(".")[0] for name in values)
    changed = {top: parse_as(hints[top], tree[top], f"setting {top}") for top in tops}
    return replace(run, **changed)


def restore_settings(run: Run, stored: Mapping[str, Any], where: str) -> Run:
    """Return a recipe's run with the settings that a ``run.json`` holds.

    Args:
        run: Run from the recipe.
        stored: Contents of ``run.json``.
        where: File, for messages.

    Raises:
        ConfigError: If they are no settings of this recipe.
    """
    hints = type_hints(type(run))
    names = [field.name for field in fields(run) if field.name not in NOT_SETTINGS and field.name in stored]
    return replace(run, **{name: parse_as(hints[name], stored[name], f"{where}: {name}") for name in names})


# ---- names, types and meanings --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Leaf:
    name: str
    hint: Any
    value: Any
    meaning: str


def _leaves(record: Any, prefix: str = "") -> Iterator[_Leaf]:
    """Yield the settings of a record and of the records in it."""
    hints, meanings = type_hints(type(record)), _meanings(type(record))
    for field in fields(record):
        if not prefix and field.name in NOT_SETTINGS:
            continue
        name, value = f"{prefix}{field.name}", getattr(record, field.name)
        if is_dataclass(value):
            yield from _leaves(value, f"{name}.")
        else:
            yield _Leaf(name, hints[field.name], value, meanings.get(field.name, ""))


def type_hints(kind: type) -> dict[str, Any]:
    """Return the types of a record's fields, with their annotations."""
    if kind not in _HINTS:
        _HINTS[kind] = get_type_hints(kind, include_extras=True)
    return _HINTS[kind]


def _meanings(kind: type) -> dict[str, str]:
    """Return the descriptions under ``Attributes:`` in the docstrings of a class and of its bases."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        section = re.search(r"^Attributes:\n((?:    .*\n?|\n)*)", f"{inspect.cleandoc(base.__doc__ or '')}\n", re.M)
        if section and is_dataclass(base):
            for name, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section[1], re.M):
                found[name] = " ".join(text.split()).replace("``", "`")
    return found


def _type_name(hint: Any) -> str:
    """Return a type as a user writes it."""
    if get_origin(hint) is Annotated:
        inner, *extras = get_args(hint)
        limits = [
            f"{sign} {getattr(limit, key)}"
            for extra in extras
            for limit in (extra, *getattr(extra, "metadata", ()))
            for key, sign in _BOUNDS.items()
            if isinstance(getattr(limit, key, None), int | float)
        ]
        return " ".join([_type_name(inner), ", ".join(limits)]).strip()
    if get_origin(hint) is Literal:
        return " | ".join(json.dumps(value) for value in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return " | ".join(_type_name(part) for part in get_args(hint))
    if get_origin(hint) in (tuple, list):
        parts = [_type_name(part) for part in get_args(hint) if part is not Ellipsis]
        return f"list of {parts[0]}" if Ellipsis in get_args(hint) or len(parts) == 1 else f"[{', '.join(parts)}]"
    if hint is NoneType:
        return "null"
    return getattr(hint, "__name__", str(hint))


# ---- changes --------------------------------------------------------------------------------------------------------


def _parse_value(text: str, hint: Any, name: str) -> Any:
    """Return the value of a text: JSON, a word such as True, or else the text itself."""
    try:
        value = _WORDS[text.lower()] if text.lower() in _WORDS else json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if hint is None:
        return value
    try:
        parse_as(hint, value, "")
    except ConfigError as error:
        try:
            parse_as(hint, text, "")
        except ConfigError:
            raise ConfigError(f"--set {name}={text}: {error}; it is {_type_name(hint)}") from error
        return text
    return value


def _read_yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingDependencyError("a YAML file needs PyYAML: pip install pyyaml, or write TOML") from error
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ValueError("references such as *name are not read")  # a few lines of them can stand for terabytes
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _flatten(values: Mapping[str, Any], tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested tables by dotted names, as deep as the settings are nested."""
    for key, value in values.items():
        inner: Any = tree
        for part in key.split("."):
            inner = inner.get(part) if isinstance(inner, dict) else None
        if isinstance(value, dict) and isinstance(inner, dict) and inner:
            yield from _flatten(value, inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _assign(
    tree: dict[str, Any], name: str, value: Any, leaves: Mapping[str, _Leaf], made: list[dict[str, Any]]
) -> None:
    """Set a value in the JSON of a run, and note the records that it makes from their defaults."""
    *parents, last = name.split(".")
    node: Any = tree
    for depth, key in enumerate(parents, 1):
        if not isinstance(node, dict) or key not in node or key in NOT_SETTINGS:
            raise _unknown(name, leaves)
        if node[key] is None:  # an optional record that the recipe lacks
            node[key] = {}
            made.append(node[key])
        elif not isinstance(node[key], dict):
            raise ConfigError(f"setting {name}: {'.'.join(parents[:depth])} has no parts; set it as a whole, to JSON")
        node = node[key]
    is_made = any(node is one for one in made)
    if not isinstance(node, dict) or name in NOT_SETTINGS or (last not in node and name not in leaves and not is_made):
        raise _unknown(name, leaves)
    if name in leaves and _is_tag(leaves[name]) and node.get(last) != value:
        node.clear()
        made.append(node)
    node[last] = value


def _is_tag(leaf: _Leaf) -> bool:
    """Return whether a setting names the kind of its record, which has one value for each kind."""
    return leaf.name.endswith(_TAG) and get_origin(leaf.hint) is Literal and len(get_args(leaf.hint)) == 1


def _unknown(name: str, leaves: Mapping[str, _Leaf]) -> ConfigError:
    names = list(leaves)
    last = name.rpartition(".")[2]
    near = [*get_close_matches(name, names, 1, 0.75), *(one for one in names if one.rpartition(".")[2] == last)]
    by_last = {one.rpartition(".")[2]: one for one in reversed(names)}
    near += [by_last[one] for one in get_close_matches(last, list(by_last), 1)]
    hint = f"the nearest is {near[0]}; " if near else ""
    return ConfigError(f"no setting is named {name[:100]}; {hint}{_ADVICE}")
