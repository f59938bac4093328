"""``vocable transcribe``."""

from pathlib import Path
from typing import Annotated

import typer

from vocable.cli.options import Device, Overwrite, complain, number


def transcribe(
    inputs: Annotated[list[str], typer.Argument(help="Audio, folders, manifests (.jsonl), or quoted glob patterns.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Manifest (.jsonl) to write. Without it, texts are printed.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Recognizer: moonshine (default), pocketsphinx or a Whisper's folder; or a tokenizer (ctap-small)."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines, with the times of phonemes and of a tokenizer's words.")
    ] = False,
    words: Annotated[bool, typer.Option("--words", help="Print words alone, without phonemes.")] = False,
    least: Annotated[
        float,
        typer.Option(
            parser=number(-1e6, 0.0), metavar="NUMBER", help="For --out: lowest mean log-probability of a text."
        ),
    ] = -0.3,
    times: Annotated[bool, typer.Option(help="For --out: find the times of words by alignment.")] = True,
    overwrite: Overwrite = False,
    device: Device = "cpu",
) -> None:
    """Write down what is said in recordings.

    With --out, recordings that have no text get one, and every key of a manifest is kept. A text that is not to be
    trusted is left out: one of low probability, one that repeats itself, and none at all. Printed lines have file and
    text; of a tokenizer they have file, words and phonemes, and the words are - for phonemes of another inventory.
    """
    from vocable.cli.progress import show_progress
    from vocable.corpus.speech import transcribe_files
    from vocable.corpus.transcripts import write_transcripts
    from vocable.data.alignment.make import find_optional_aligner
    from vocable.evaluate.judges.find import load_transcriber

    loaded, name = load_transcriber(model, device)
    aligner = find_optional_aligner(complain) if out is not None and times else None
    with show_progress("transcribing") as watch:
        if out is None:
            outcome = transcribe_files(
                loaded, inputs, as_json=as_json, words_only=words, say=typer.echo, complain=complain, watch=watch,
            )  # fmt: skip
        else:
            outcome = write_transcripts(
                loaded, name, inputs, out, least=least, aligner=aligner, overwrite=overwrite, say=typer.echo,
                complain=complain, watch=watch,
            )  # fmt: skip
    outcome.finish()
