"""``vocable tts``."""

from pathlib import Path
from typing import Annotated

import typer


def tts(
    voice: Annotated[Path, typer.Option(help="Recording of the speaker, at least half a second long.")],
    text: Annotated[str | None, typer.Argument(help="English text to synthesize.", show_default=False)] = None,
    file: Annotated[Path | None, typer.Option(help="File with a text on each line; - for stdin.")] = None,
    phonemes: Annotated[str | None, typer.Option(help="Phonemes in place of TEXT: 'HH AH L OW SIL W ER'.")] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="One file, such as hello.wav, or a folder for 001.wav, 002.wav, …")
    ] = Path("spoken"),
    seed: Annotated[int, typer.Option(min=0, help="Seed: equal seeds give equal speech.")] = 0,
    model: Annotated[str, typer.Option(help="Name or folder of a model that synthesizes from text.")] = "ctap-small",
    vocoder: Annotated[
        str | None, typer.Option(help="Name or folder of a vocoder, or griffin-lim. Default: the best bundled one.")
    ] = None,
) -> None:
    """Synthesize a text in the voice of a recording.

    With --file, a line that fails is reported, and the others go on.
    """
    from vocable.corpus.speech import speak_texts
    from vocable.systems.registry import load

    tokenizer = load(model, vocoder=vocoder)
    speak_texts(tokenizer, voice, out, text=text, file=file, phonemes=phonemes, seed=seed, say=typer.echo).finish()
