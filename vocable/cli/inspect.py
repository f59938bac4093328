"""Command ``vocable inspect``."""

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    what: Annotated[
        str, typer.Argument(help="Folder of a run, name or folder of a model, recipe, token file, or audio file.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for pictures (PNG). Default for a run: RUN/pictures.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="JSONL manifest of recordings for the tokenizer of a run or model.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Split of the manifest; 'all' for every line. Default: dev if there is one, else all."),
    ] = None,
    limit: Annotated[int, typer.Option(min=2, help="Number of clips, spread evenly over the split.")] = 40,
    color: Annotated[
        list[str] | None,
        typer.Option(help="Manifest key that colors the latents; repeat it for several. Default: speaker."),
    ] = None,
) -> None:
    """Describe a run, a model, a recipe, a token file or a recording: sizes, rates, codebook usage, progress.

    Pictures are written with --out, and always for a run.

    A run has pictures of its losses, schedules and codebooks; a recipe of its schedules; tokens of their ids and of how
    often each occurs; audio of its log-mel spectrogram.

    A run or model with --data also has spectrograms before and after coding, codebook usage, and PCA and t-SNE maps of
    its latents. If it has a prior, the table shows the bits that the prior saves as an entropy model.
    """
    from rich.console import Console
    from rich.table import Table

    from vocable.errors import ConfigError
    from vocable.evaluate.describe import Clips, describe
    from vocable.evaluate.draw import default_folder, draw, write_pictures

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
    folder = out or default_folder(what, typer.echo)
    if folder is None and clips is not None:
        raise ConfigError(f"{what}: pictures with --data need a folder; pass --out")
    for path, picture in write_pictures(draw(what, clips, say=typer.echo), folder) if folder else ():
        typer.echo(f"{path}: {picture.title}")
