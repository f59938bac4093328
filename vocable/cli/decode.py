"""``vocable decode``."""

from pathlib import Path
from typing import Annotated

import typer


def decode(
    inputs: Annotated[list[str], typer.Argument(help="Token files, folders, or quoted glob patterns.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Audio file for one input, folder for several.")],
    model: Annotated[
        str | None, typer.Option(help="Model that made the tokens. Default: the bundled one of their digest.")
    ] = None,
    levels: Annotated[int | None, typer.Option(min=1, help="Number of levels to decode.")] = None,
    voice: Annotated[Path | None, typer.Option(help="Recording of the speaker to decode as, if the model can.")] = None,
    device: Annotated[str, typer.Option(help="Torch device: cpu or cuda.")] = "cpu",
) -> None:
    """Decode tokens to speech."""
    from functools import partial

    from vocable.audio import Audio
    from vocable.corpus.files import decode_files
    from vocable.systems.registry import load, load_for

    speaker = None if voice is None else Audio.read(voice)
    find = partial(load_for, device=device) if model is None else load(model, device)
    decode_files(find, inputs, out, levels=levels, voice=speaker, say=typer.echo).finish()
