"""``vocable data``."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make manifests.", no_args_is_help=True)


@app.command("prepare", no_args_is_help=True)
def prepare(
    corpus: Annotated[str, typer.Argument(help="A corpus: audiomnist, fsdd, digit_strings or librispeech.")],
    source: Annotated[Path, typer.Argument(help="Its folder as published; for digit_strings a manifest.")],
    out: Annotated[Path, typer.Option(help="Folder for manifest.jsonl, and for audio that is cut.")],
    split: Annotated[
        str | None,
        typer.Option(help="'speaker', 'random' or 'official', the default of digit_strings and librispeech."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
) -> None:
    """Turn a published corpus into a manifest.

    What cannot be used is named and left out. Split by speaker, no speaker is in two splits.
    """
    from vocable.data.corpora import find

    options = {} if split is None else {"split": split}
    _say(str(find(corpus)(source, out, seed=seed, say=_say, **options)))


@app.command("align", no_args_is_help=True)
def align(
    manifest: Annotated[
        Path, typer.Argument(help="Its lines have 'phones', lists of ARPAbet a word, or English 'text'.")
    ],
    out: Annotated[Path, typer.Option(help="The manifest to write; it must not be there yet.")],
    aligner: Annotated[str, typer.Option(help="'pocketsphinx', or 'ctc' on a Whisper encoder.")] = "pocketsphinx",
    whisper: Annotated[str | None, typer.Option(help="For ctc: the encoder, a folder or a hub name.")] = None,
    head: Annotated[Path | None, typer.Option(help="For ctc: folder of its head, trained if it is not there.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the head's training.")] = 0,
    least: Annotated[float | None, typer.Option(help="Leave out recordings whose score is lower.")] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Instead: alignments of others, .TextGrid, .ctm, .csv or folders; repeat."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Write what cannot be aligned too, without the key.")] = False,
) -> None:
    """Write a manifest that says when each phone is said, under the key 'alignment'.

    Recordings that cannot be aligned are named, and left out.
    """
    from vocable.data.alignment.make import align_from, align_with, find_aligner

    if source:
        written = align_from(manifest, out, source, keep=keep, say=_say)
    else:
        found = find_aligner(aligner, manifest, whisper=whisper, head=head, seed=seed, say=_say)
        written = align_with(manifest, out, found, least=least, keep=keep, say=_say)
    _say(str(written))


def _say(line: str) -> None:
    typer.echo(line.encode(errors="replace").decode())  # a file's name need not be text
