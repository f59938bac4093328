"""``vocable encode``."""

from pathlib import Path
from typing import Annotated

import typer


def encode(
    inputs: Annotated[
        list[str], typer.Argument(help="Audio files, folders, manifests (.jsonl), or quoted glob patterns.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Path of a token file for one input, of a folder for several.")
    ],
    model: Annotated[
        str, typer.Option(help="Name of a bundled model, or path of a model's or run's folder.")
    ] = "guided-small",
    levels: Annotated[int | None, typer.Option(min=1, help="Number of levels to keep, for a lower bit rate.")] = None,
    text: Annotated[
        str | None, typer.Option(help="Transcript, for one recording; a manifest has its own texts.")
    ] = None,
    recognise: Annotated[
        bool,
        typer.Option("--recognise", help="Transcribe recordings without a text by a recognizer, with its word errors."),
    ] = False,
    device: Annotated[str, typer.Option(help="Torch device: cpu or cuda.")] = "cpu",
) -> None:
    """Encode speech into tokens: WAV, FLAC, OGG or MP3, at any sample rate and of any length."""
    from vocable.corpus.files import encode_files
    from vocable.evaluate.judges.find import find_scorer
    from vocable.systems.registry import load

    outcome = encode_files(
        load(model, device), inputs, out, levels=levels, text=text, say=typer.echo,
        recognizer=find_scorer("recognizer").transcribe if recognise else None,
    )  # fmt: skip
    outcome.finish()
