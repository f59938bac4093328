"""``vocable decode``."""

from typing import Annotated

import typer

from vocable.cli.options import Device, Levels, Overwrite, complain


def decode(
    inputs: Annotated[list[str], typer.Argument(help="Token files, folders, or quoted glob patterns.")],
    out: Annotated[
        str, typer.Option("--out", "-o", help="Audio file for one input, else a folder; decoded/ is a folder.")
    ],
    model: Annotated[
        str | None, typer.Option(help="Model that made the tokens. Default: the bundled one of their digest.")
    ] = None,
    levels: Levels = None,
    voice: Annotated[
        str | None,
        typer.Option(help="Recording of the speaker to decode as, or a voice of the model by name, if the model can."),
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "cpu",
) -> None:
    """Decode tokens to speech."""
    from functools import partial

    from vocable.cli.progress import show_progress
    from vocable.corpus.files import decode_files
    from vocable.device import check_device
    from vocable.systems.registry import load, load_for

    check_device(device)
    find = partial(load_for, device=device) if model is None else load(model, device)
    with show_progress("decoding") as watch:
        outcome = decode_files(
            find, inputs, out, levels=levels, voice=voice, overwrite=overwrite, say=typer.echo, complain=complain,
            watch=watch,
        )  # fmt: skip
    outcome.finish()
