"""``vocable encode``."""

from pathlib import Path
from typing import Annotated

import typer


def encode(
    inputs: Annotated[
        list[str], typer.Argument(help="Audio files, folders, manifests (.jsonl), or glob patterns in quotes.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="A token file for one input, a folder for more.")],
    model: Annotated[
        str, typer.Option(help="A model in the box, a model's folder, or a run's folder.")
    ] = "guided-small",
    levels: Annotated[int | None, typer.Option(min=1, help="Keep only the first levels: a smaller bit rate.")] = None,
    text: Annotated[
        str | None, typer.Option(help="What is said in the one recording; lines of a manifest have their own text.")
    ] = None,
    recognise: Annotated[
        bool,
        typer.Option("--recognise", help="Where no text is given, take what a recogniser hears; it mistakes words."),
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Make tokens of speech: WAV, FLAC, OGG or MP3 of any rate and length."""
    from vocable.corpus.files import encode_files
    from vocable.evaluate.judges.find import find_judge
    from vocable.systems.registry import load

    outcome = encode_files(
        load(model, device), inputs, out, levels=levels, text=text, say=typer.echo,
        recognise=find_judge("recogniser").transcribe if recognise else None,
    )  # fmt: skip
    outcome.finish()
