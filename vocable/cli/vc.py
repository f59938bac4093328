"""Command ``vocable vc``: convert recordings to another voice."""

from pathlib import Path
from typing import Annotated, Any

import typer


def vc(
    inputs: Annotated[list[str], typer.Argument(help="Audio files, folders, or glob patterns in quotes.")],
    voice: Annotated[Path, typer.Option(help="Recording of the target speaker, half a second or more.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Audio file for one input, else a folder.")] = Path(
        "converted"
    ),
    model: Annotated[str, typer.Option(help="Name or folder of a model that converts voices.")] = "ctap-small",
    vocoder: Annotated[
        str | None, typer.Option(help="Name or folder of a vocoder, or griffin-lim. Default: the best bundled one.")
    ] = None,
    levels: Annotated[
        int | None,
        typer.Option(min=1, help="For a guided codec: number of the recording's levels to keep. [default: 1]"),
    ] = None,
    upto: Annotated[
        int | None, typer.Option(min=2, help="For a guided codec: last of the voice's levels. [default: all]")
    ] = None,
    align: Annotated[
        str | None,
        typer.Option(help="For a guided codec: repeat the voice (the default), or dtw for a voice of the same words."),
    ] = None,
) -> None:
    """Convert recordings to another voice.

    A guided codec (--model guided-small) mixes levels: the first of the recording, the others of the voice. The voice
    is repeated, or aligned with the recording if both have the same words.
    """
    from vocable.corpus.speech import convert_files
    from vocable.interfaces import Mix
    from vocable.systems.registry import load

    options: dict[str, Any] = {"levels": levels, "upto": upto, "align": align}
    selected = {name: value for name, value in options.items() if value is not None}
    mix = Mix(**selected) if selected else None
    convert_files(load(model, vocoder=vocoder), inputs, voice, out, mix=mix, say=typer.echo).finish()
