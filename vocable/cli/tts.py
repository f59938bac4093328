"""``vocable tts``."""

from pathlib import Path
from typing import Annotated

import typer

from vocable.cli.options import Device, Overwrite, SeedNumber, Vocoder, complain


def tts(
    text: Annotated[
        str | None, typer.Argument(help="Text to synthesize, English by default.", show_default=False)
    ] = None,
    voice: Annotated[
        str | None,
        typer.Option(
            help="Recording of the speaker, at least half a second long, or a voice of the model by name. "
            "Default: the first voice of the model.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="File with a text on each line; - for stdin.")] = None,
    phonemes: Annotated[str | None, typer.Option(help="Phonemes in place of TEXT: 'HH AH L OW SIL W ER'.")] = None,
    language: Annotated[
        str | None,
        typer.Option(help="Language of eSpeak NG that reads TEXT, such as de, for a model of IPA phonemes."),
    ] = None,
    out: Annotated[
        str, typer.Option("--out", "-o", help="One file, such as hello.wav, or a folder for 001.wav, 002.wav, …")
    ] = "spoken",
    seed: Annotated[int, typer.Option(parser=SeedNumber, metavar="N", help="Seed: equal seeds give equal speech.")] = 0,
    model: Annotated[str, typer.Option(help="Name or folder of a model that synthesizes from text.")] = "ctap-small",
    vocoder: Vocoder = None,
    overwrite: Overwrite = False,
    device: Device = "cpu",
) -> None:
    """Synthesize a text in the voice of a recording.

    With --file, a line that fails is reported, and the others go on.
    """
    from vocable.cli.progress import show_progress
    from vocable.corpus.speech import speak_texts
    from vocable.systems.registry import load

    tokenizer = load(model, device, vocoder=vocoder)
    with show_progress("speaking") as watch:
        outcome = speak_texts(
            tokenizer, voice, out, text=text, file=file, phonemes=phonemes, language=language, seed=seed,
            overwrite=overwrite, say=typer.echo, complain=complain, watch=watch,
        )  # fmt: skip
    outcome.finish()
