"""The ``vocable`` command: all subcommands, and errors as one line."""

import os
import sys
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from vocable.cli import (
    asr,
    corpus,
    data,
    decode,
    demo,
    edit,
    encode,
    evaluate,
    generate,
    inspect,
    models,
    recipes,
    score,
    tokenize,
    train,
    transcribe,
    tts,
    vc,
)
from vocable.cli.command import Command, Group
from vocable.cli.options import Count
from vocable.errors import ConfigError, VocableError
from vocable.plugins import load_entry_point

app = typer.Typer(
    name="vocable",
    cls=Group,
    help="Speech to tokens and back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(is_asked: bool) -> bool:
    if is_asked:
        typer.echo(f"vocable {version('vocable')}")
        raise typer.Exit
    return is_asked


@app.callback()
def settings(
    threads: Annotated[
        int, typer.Option(parser=Count, metavar="N", help="Number of threads; more are faster only on idle cores.")
    ] = 1,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Set the options that every command shares."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch starts


_PANELS = {
    "Tokens": (demo.demo, encode.encode, decode.decode, tokenize.tokenize, inspect.inspect),
    "Speech": (tts.tts, vc.vc, transcribe.transcribe, asr.asr, edit.edit, score.score, generate.generate),
    "Models": (models.models, recipes.recipes, train.train),
}
_GROUPS = {"data": data.app, "evaluate": evaluate.app, "corpus": corpus.app}
for _panel, _commands in _PANELS.items():
    for _command in _commands:
        app.command(cls=Command, rich_help_panel=_panel)(_command)
for _name, _group in _GROUPS.items():
    app.add_typer(_group, name=_name, rich_help_panel="Models")


for _point in entry_points(group="vocable.commands"):  # of the laboratory and other packages, such as evaluate.listen
    _group_name, _, _name = _point.name.rpartition(".")
    try:
        _panel_of = None if _group_name in _GROUPS else "More"
        _add = _GROUPS.get(_group_name, app).command(
            _name, cls=Command, no_args_is_help=True, rich_help_panel=_panel_of
        )
        _add(load_entry_point(_point))
    except ConfigError as _error:  # a broken package takes no other command away
        typer.echo(f"vocable: {_error}", err=True)


def main() -> None:
    """Run a command. An error of vocable becomes one line on standard error and exit code 1."""
    try:
        app()
    except (VocableError, OSError) as error:  # OSError: of a path or a disk that no message below knows of
        line = f"vocable: {' '.join(str(error).split())}"
        typer.echo(line.encode(errors="replace").decode(), err=True)  # a file name need not be valid text
        sys.exit(1)


if __name__ == "__main__":
    main()
