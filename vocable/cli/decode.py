"""``vocable decode``."""

from pathlib import Path
from typing import Annotated

import typer


def decode(
    inputs: Annotated[list[str], typer.Argument(help="Token files, folders, or glob patterns in quotes.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="An audio file for one input, a folder for more.")],
    model: Annotated[str, typer.Option(help="The model that made the tokens.")] = "guided-small",
    levels: Annotated[int | None, typer.Option(min=1, help="Use only the first levels.")] = None,
    voice: Annotated[
        Path | None, typer.Option(help="A recording of whoever shall speak, where the model can change the voice.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Make speech of tokens."""
    from vocable.audio import Audio
    from vocable.corpus.files import decode_files
    from vocable.systems.registry import load

    speaker = None if voice is None else Audio.read(voice)
    outcome = decode_files(load(model, device), inputs, out, levels=levels, voice=speaker, say=typer.echo)
    outcome.finish()
