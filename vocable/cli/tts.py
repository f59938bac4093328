"""``vocable tts``."""

from pathlib import Path
from typing import Annotated

import typer


def tts(
    voice: Annotated[Path, typer.Option(help="A recording of whoever shall speak: half a second or more.")],
    text: Annotated[str | None, typer.Argument(help="What is said, in English.", show_default=False)] = None,
    file: Annotated[Path | None, typer.Option(help="In its place: a file, a text on each line; - for stdin.")] = None,
    phonemes: Annotated[
        str | None, typer.Option(help="What is said, whatever the text: 'HH AH L OW SIL W ER L D'.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="One file, such as hello.wav; or a folder: 001.wav, 002.wav by line.")
    ] = Path("spoken"),
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds, equal speech.")] = 0,
    model: Annotated[str, typer.Option(help="A model that reads text: a name or a folder.")] = "ctap-small",
    vocoder: Annotated[
        str | None, typer.Option(help="From spectra to sound: a name, a folder, or griffin-lim. Default: the best.")
    ] = None,
) -> None:
    """Say a text in the voice of a recording.

    With --file a line that cannot be said is reported, and the others go on.
    """
    from vocable.corpus.speech import speak_texts
    from vocable.systems.registry import load

    tokenizer = load(model, vocoder=vocoder)
    outcome = speak_texts(
        tokenizer, voice, out, text=text, file=file, phonemes=phonemes, seed=seed, say=typer.echo
    )  # fmt: skip
    outcome.finish()
