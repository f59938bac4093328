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


app.command("demo")(demo.demo)
app.command("edit")(edit.edit)
app.command("encode")(encode.encode)
app.command("decode")(decode.decode)
app.add_typer(evaluate.app, name="evaluate")
app.command("generate")(generate.generate)
app.command("inspect")(inspect.inspect)
app.command("score")(score.score)
app.command("train")(train.train)
app.command("tts")(tts.tts)
app.command("vc")(vc.vc)
app.command("asr")(asr.asr)
app.add_typer(data.app, name="data")
_GROUPS = {"data": data.app, "evaluate": evaluate.app}


def _add_registered_commands() -> None:
    """Add the commands that the laboratory and other packages register, such as ``study`` and ``evaluate.listen``."""
    for point in entry_points(group="vocable.commands"):
        group, _, name = point.name.rpartition(".")
        try:
            command = load_entry_point(point)
        except ConfigError as error:  # a broken package takes no other command away
            typer.echo(f"vocable: {error}", err=True)
        else:
            _GROUPS.get(group, app).command(name, no_args_is_help=True)(command)


_add_registered_commands()


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
