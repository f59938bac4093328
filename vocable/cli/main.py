"""The ``vocable`` command: all subcommands, and errors as one line."""

import os
import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from vocable.cli import asr, data, decode, demo, edit, encode, evaluate, generate, inspect, score, train, tts, vc
from vocable.errors import ConfigError, VocableError
from vocable.plugins import load_entry_point

app = typer.Typer(
    name="vocable",
    help="Speech to tokens and back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def settings(
    threads: Annotated[
        int, typer.Option(min=1, help="Number of threads; more than one is faster only on idle cores.")
    ] = 1,
) -> None:
    """Set the options that every command shares."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch starts


for _command in (
    demo.demo, edit.edit, encode.encode, decode.decode, generate.generate, inspect.inspect, score.score, train.train,
    tts.tts, vc.vc, asr.asr,
):  # fmt: skip
    app.command()(_command)
_GROUPS = {"evaluate": evaluate.app, "data": data.app}
for _name, _group in _GROUPS.items():
    app.add_typer(_group, name=_name)


for _point in entry_points(group="vocable.commands"):  # of the laboratory and other packages, such as evaluate.listen
    _group_name, _, _name = _point.name.rpartition(".")
    try:
        _GROUPS.get(_group_name, app).command(_name, no_args_is_help=True)(load_entry_point(_point))
    except ConfigError as _error:  # a broken package takes no other command away
        typer.echo(f"vocable: {_error}", err=True)


def main() -> None:
    """Run a command. An error of vocable becomes one line on standard error and exit code 1."""
    try:
        app()
    except VocableError as error:
        line = f"vocable: {' '.join(str(error).split())}"
        typer.echo(line.encode(errors="replace").decode(), err=True)  # a file name need not be valid text
        sys.exit(1)


if __name__ == "__main__":
    main()
