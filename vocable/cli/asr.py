"""``vocable asr``."""

from typing import Annotated

import typer

from vocable.cli.options import Device
from vocable.cli.transcribe import transcribe


def asr(
    inputs: Annotated[list[str], typer.Argument(help="Audio files, folders, or quoted glob patterns.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, with the times of each phoneme.")] = False,
    model: Annotated[str, typer.Option(help="Name or folder of a model that recognizes phonemes.")] = "ctap-small",
    device: Device = "cpu",
) -> None:
    """Print the phonemes of recordings, and the words they may stand for: transcribe with a tokenizer.

    Each line has file, words and phonemes, separated by tabs. The words are - where pocketsphinx, whose dictionary
    they are from, is not installed.
    """
    transcribe(inputs, model=model, as_json=as_json, device=device)
