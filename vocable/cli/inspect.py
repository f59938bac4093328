"""``vocable inspect``."""

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    what: Annotated[str, typer.Argument(help="A run's folder, a model, a recipe, a token file or an audio file.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for pictures (PNG); a run's are in RUN/pictures.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A JSONL manifest to look at a run's or model's tokenizer with.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of the manifest; 'all' takes every line. Default: dev if there is one.")
    ] = None,
    limit: Annotated[int, typer.Option(min=2, help="Clips, spread evenly over the split.")] = 40,
    color: Annotated[
        list[str] | None, typer.Option(help="Key of the manifest to colour by; repeat for more. Default: speaker.")
    ] = None,
) -> None:
    """Show what a run, a model, a recipe, a token file or a recording is: sizes, rates, codebook use, progress.

    With --out, and always for a run, pictures too. A run: losses, schedules, codebooks.

    A recipe: schedules before training. Tokens: the ids, and how often each occurs. Audio: its log-mel spectrogram.

    A run or model with --data: spectrograms before and after, codebook use, PCA and t-SNE of the latents; and, where it
    has a prior, the bits that the prior would save as an entropy model.
    """
    from rich.console import Console
    from rich.table import Table

    from vocable.errors import ConfigError
    from vocable.evaluate.clips import Clips
    from vocable.evaluate.describe import describe
    from vocable.evaluate.draw import draw, folder_for, write

    console = Console(highlight=False)
    clips = None if data is None else Clips(manifest=data, split=split, limit=limit, colors=tuple(color or ()))
    for section in describe(what, clips):
        table = Table(title=section.title, title_justify="left", show_header=bool(section.columns), box=None)
        for column in section.columns or ("", ""):
            table.add_column(column, overflow="fold")
        for row in section.rows:
            table.add_row(*row)
        console.print(table)
        console.print()
    folder = out or folder_for(what, typer.echo)
    if folder is None and clips is not None:
        raise ConfigError(f"{what}: pictures with --data need a folder; pass --out")
    for path, picture in write(draw(what, clips, say=typer.echo), folder) if folder else ():
        typer.echo(f"{path}: {picture.title}")
