"""``vocable vc``."""

from pathlib import Path
from typing import Annotated

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
) -> None:
    """Say what recordings say in the voice of another.

    A guided codec (--model guided-small) mixes levels in place of that.
    """
    from vocable.corpus.speech import convert_files
    from vocable.systems.hub import load

    outcome = convert_files(load(model, vocoder=vocoder), inputs, voice, out, say=typer.echo)
    outcome.finish()
