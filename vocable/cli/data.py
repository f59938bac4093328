"""``vocable data``."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make manifests.", no_args_is_help=True)


@app.command("prepare", no_args_is_help=True)
def prepare(
    corpus: Annotated[str, typer.Argument(help="A corpus: audiomnist, fsdd or digit_strings.")],
    source: Annotated[Path, typer.Argument(help="Its folder as published; for digit_strings a manifest.")],
    out: Annotated[Path, typer.Option(help="Folder for manifest.jsonl, and for audio that is cut.")],
    split: Annotated[
        str | None,
        typer.Option(help="'speaker', 'random' or 'official'; by default official for digit_strings, else speaker."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
) -> None:
    """Turn a published corpus into a manifest.

    What cannot be used is named and left out. Split by speaker, no speaker is in two splits.
    """
    from vocable.data.corpora import find

    options = {} if split is None else {"split": split}
    _say(str(find(corpus)(source, out, seed=seed, say=_say, **options)))


def _say(line: str) -> None:
    typer.echo(line.encode(errors="replace").decode())  # a file's name need not be text
