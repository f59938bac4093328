"""``vocable vc``."""

from pathlib import Path
from typing import Annotated, Any

import typer


def vc(
    inputs: Annotated[list[str], typer.Argument(help="Audio files, folders, or glob patterns in quotes.")],
    voice: Annotated[Path, typer.Option(help="A recording of whoever shall speak: half a second or more.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="An audio file for one input; or a folder.")] = Path(
        "converted"
    ),
    model: Annotated[str, typer.Option(help="A model that can change the voice: a name or a folder.")] = "ctap-small",
    vocoder: Annotated[
        str | None, typer.Option(help="From spectra to sound: a name, a folder, or griffin-lim. Default: the best.")
    ] = None,
    levels: Annotated[
        int | None,
        typer.Option(min=1, help="Of a guided codec: so many of the recording's levels are kept. [default: 1]"),
    ] = None,
    upto: Annotated[
        int | None, typer.Option(min=2, help="Of a guided codec: the last level of the voice's. [default: all]")
    ] = None,
    align: Annotated[
        str | None, typer.Option(help="Of a guided codec: repeat (the default), or dtw for a voice that says the same.")
    ] = None,
) -> None:
    """Say what recordings say in the voice of another.

    A guided codec (--model guided-small) mixes levels in place of that: the first of the recording, the others of the
    voice, which is repeated, or aligned with the recording where it says the same words.
    """
    from vocable.apps.vc import Mix
    from vocable.corpus.speech import convert_files
    from vocable.systems.registry import load

    options = {"levels": levels, "upto": upto, "align": align}
    asked: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    mix = Mix(**asked) if asked else None
    outcome = convert_files(load(model, vocoder=vocoder), inputs, voice, out, mix=mix, say=typer.echo)
    outcome.finish()
