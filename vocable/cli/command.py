"""The class of every command: plain help, and inputs that no command writes over."""

import inspect
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from typer.core import TyperArgument, TyperCommand, TyperGroup

_OUTPUTS = frozenset({"out"})  # names of the parameters that say where to write
_MODEL_FILES = frozenset({"model.json", "config.json", "run.json", "hyperparams.yaml"})  # one shows a model's folder
_METAVARS = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH", bool: ""}


class _PlainHelp:
    """Help without the names of Python's types."""

    callback: Callable[..., Any] | None

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters; the kind of each value is a plain word."""
        parameters = super().get_params(ctx)  # type: ignore[misc]
        hints = get_type_hints(inspect.unwrap(self.callback)) if self.callback else {}
        for parameter in parameters:
            if isinstance(parameter, TyperArgument):  # its name says enough
                parameter.display_type_rich = lambda ctx: ""  # type: ignore[method-assign]
                continue
            if parameter.metavar is None:
                parameter.metavar = _METAVARS.get(_base(hints.get(parameter.name, bool)))
            parameter._get_number_range_help_str = lambda: None  # typer would print [x>=1]
        return parameters


class Command(_PlainHelp, TyperCommand):
    """A command whose inputs stay as they are.

    Files that are named by its parameters are protected while it runs; those found in folders, and those that
    manifests name, are added where they are read. With an option ``--overwrite``, files that exist are replaced only if
    it is given. See :func:`vocable.write_rules.write_rules`.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        from vocable.write_rules import write_rules

        with write_rules(_input_files(ctx.params), overwrite=bool(ctx.params.get("overwrite", True))):
            return super().invoke(ctx)


class Group(_PlainHelp, TyperGroup):
    """A group of commands."""


def _input_files(values: dict[str, Any]) -> Iterator[Path]:
    """Yield the files that the values of parameters name, and the files of models' folders."""
    for name, value in values.items():
        for entry in value if isinstance(value, list | tuple) else [value]:
            if name in _OUTPUTS or not isinstance(entry, str | Path):
                continue
            yield Path(entry)
            yield from _model_files(Path(entry.rpartition("=")[2] if isinstance(entry, str) else entry))


def _model_files(folder: Path) -> Iterator[Path]:
    try:
        names = {path.name: path for path in folder.iterdir()}
    except (OSError, ValueError):
        return
    if _MODEL_FILES & names.keys():
        yield from names.values()


def _base(hint: Any) -> Any:
    """Return the type of a parameter's values: ``int`` for ``Annotated[list[int] | None, …]``."""
    if get_origin(hint) is Annotated:
        return _base(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType, list):
        return _base(next(part for part in get_args(hint) if part is not type(None)))
    return hint
