"""``vocable asr``."""

from typing import Annotated

import typer

from vocable.cli.options import Device
from vocable.cli.transcribe import transcribe


def asr(
    inputs: Annotated[list[str], typer.Argument(help="Audio files, folders, or quoted glob patterns.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines, with the times of each phoneme and word.")
    ] = False,
    words: Annotated[bool, typer.Option("--words", help="Print words alone, without phonemes.")] = False,
    model: Annotated[str, typer.Option(help="Name or folder of a model that recognizes phonemes.")] = "ctap-small",
    device: Device = "cpu",
) -> None:
    """Print the words and phonemes of recordings: transcribe with a tokenizer.

    Each line has file, words and phonemes, separated by tabs. Words are found by the bundled lexicon of English and its
    language model. They are - for phonemes of another inventory.
    """
    transcribe(inputs, model=model, as_json=as_json, words=words, device=device)
