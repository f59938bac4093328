"""Command ``vocable vc``: convert recordings to another voice."""

from typing import Annotated, Any

import typer

from vocable.cli.options import Beam, Count, Device, Overwrite, Vocoder, complain, whole


def vc(
    inputs: Annotated[list[str], typer.Argument(help="Audio files, folders, or glob patterns in quotes.")],
    voice: Annotated[
        str,
        typer.Option(help="Recording of the target speaker, half a second or more, or a voice of the model by name."),
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="Audio file for one input, else a folder.")] = "converted",
    model: Annotated[str, typer.Option(help="Name or folder of a model that converts voices.")] = "ctap-small",
    vocoder: Vocoder = None,
    levels: Annotated[
        int | None,
        typer.Option(
            parser=Count, metavar="N", help="For a guided codec: levels of the recording to keep. Default: 1."
        ),
    ] = None,
    upto: Annotated[
        int | None,
        typer.Option(
            parser=whole(2), metavar="N", help="For a guided codec: last of the voice's levels. Default: all."
        ),
    ] = None,
    align: Annotated[
        str | None,
        typer.Option(help="For a guided codec: repeat the voice (the default), or dtw for a voice of the same words."),
    ] = None,
    beam: Beam = 1,
    overwrite: Overwrite = False,
    device: Device = "cpu",
) -> None:
    """Convert recordings to another voice.

    A guided codec (--model guided-small) mixes levels: the first of the recording, the others of the voice. The voice
    is repeated, or aligned with the recording if both have the same words.
    """
    from vocable.cli.progress import show_progress
    from vocable.corpus.speech import convert_files
    from vocable.interfaces import Mix
    from vocable.systems.registry import load

    options: dict[str, Any] = {"levels": levels, "upto": upto, "align": align}
    selected = {name: value for name, value in options.items() if value is not None}
    mix = Mix(**selected) if selected else None
    tokenizer = load(model, device, vocoder=vocoder, beam=beam)
    with show_progress("converting") as watch:
        outcome = convert_files(
            tokenizer, inputs, voice, out, mix=mix, overwrite=overwrite, say=typer.echo, complain=complain, watch=watch
        )
    outcome.finish()
