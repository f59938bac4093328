"""``vocable decode``."""

from pathlib import Path
from typing import Annotated

import typer


def decode(
    inputs: Annotated[list[str], typer.Argument(help="Token files, folders, or glob patterns in quotes.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="An audio file for one input, a folder for more.")],
    model: Annotated[str, typer.Option(help="The model that made the tokens.")] = "guided-small",
    levels: Annotated[int | None, typer.Option(min=1, help="Use only the first levels.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Make speech of tokens."""
    from vocable.corpus.files import decode_files
    from vocable.systems.hub import load

    outcome = decode_files(load(model, device), inputs, out, levels=levels, say=typer.echo)
    outcome.finish()
