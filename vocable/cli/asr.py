"""``vocable asr``."""

from functools import partial
from typing import Annotated

import typer


def asr(
    inputs: Annotated[list[str], typer.Argument(help="Audio files, folders, or glob patterns in quotes.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object a line, with start and end of each phoneme in seconds.")
    ] = False,
    model: Annotated[str, typer.Option(help="A model that tells phonemes: a name or a folder.")] = "ctap-small",
) -> None:
    """Print the phonemes of recordings, and the words they may stand for.

    A line each: file, words, phonemes, with tabs between; - for the words where pocketsphinx, whose dictionary they
    are looked up in, is not installed.
    """
    from vocable.corpus.speech import transcribe_files
    from vocable.systems.registry import load

    outcome = transcribe_files(
        load(model), inputs, as_json=as_json, say=typer.echo, complain=partial(typer.echo, err=True)
    )
    outcome.finish()
