"""``vocable encode``."""

from pathlib import Path
from typing import Annotated

import typer


def encode(
    inputs: Annotated[list[str], typer.Argument(help="Audio, folders, manifests (.jsonl), or quoted glob patterns.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Token file for one input, folder for several.")],
    model: Annotated[str, typer.Option(help="Name of a bundled model, or folder of a model or run.")] = "guided-small",
    levels: Annotated[int | None, typer.Option(min=1, help="Number of levels to keep, for a lower bit rate.")] = None,
    text: Annotated[str | None, typer.Option(help="Transcript of one recording; a manifest has its own.")] = None,
    recognise: Annotated[
        bool, typer.Option("--recognise", help="Transcribe recordings without a text, with a recognizer's errors.")
    ] = False,
    device: Annotated[str, typer.Option(help="Torch device: cpu or cuda.")] = "cpu",
) -> None:
    """Encode speech into tokens: WAV, FLAC, OGG or MP3, at any sample rate and of any length."""
    from vocable.corpus.files import encode_files
    from vocable.evaluate.judges.find import find_scorer
    from vocable.systems.registry import load

    recognizer = find_scorer("recognizer").transcribe if recognise else None
    tokenizer = load(model, device)
    encode_files(tokenizer, inputs, out, levels=levels, text=text, recognizer=recognizer, say=typer.echo).finish()
