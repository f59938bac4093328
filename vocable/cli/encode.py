"""``vocable encode``."""

from typing import Annotated

import typer

from vocable.cli.options import Beam, Device, Levels, Overwrite, complain


def encode(
    inputs: Annotated[list[str], typer.Argument(help="Audio, folders, manifests (.jsonl), or quoted glob patterns.")],
    out: Annotated[
        str, typer.Option("--out", "-o", help="Token file (.tokens) for one input, else a folder; tokens/ is a folder.")
    ],
    model: Annotated[str, typer.Option(help="Name of a bundled model, or folder of a model or run.")] = "guided-small",
    levels: Levels = None,
    beam: Beam = 1,
    text: Annotated[str | None, typer.Option(help="Transcript of one recording; a manifest has its own.")] = None,
    recognise: Annotated[
        bool, typer.Option("--recognise", help="Transcribe recordings without a text, with a recognizer's errors.")
    ] = False,
    overwrite: Overwrite = False,
    device: Device = "cpu",
) -> None:
    """Encode speech into tokens: WAV, FLAC, OGG or MP3, at any sample rate and of any length.

    A token file that is done already is skipped: one of the same recording, model, beam, levels and text.
    """
    from vocable.cli.progress import show_progress
    from vocable.corpus.files import encode_files
    from vocable.evaluate.judges.find import find_scorer
    from vocable.systems.registry import load

    recognizer = find_scorer("recognizer").transcribe if recognise else None
    tokenizer = load(model, device, beam=beam)
    with show_progress("encoding") as watch:
        outcome = encode_files(
            tokenizer, inputs, out, levels=levels, text=text, recognizer=recognizer, overwrite=overwrite,
            say=typer.echo, complain=complain, watch=watch,
        )  # fmt: skip
    outcome.finish()
