"""Command ``vocable inspect``."""

from pathlib import Path
from typing import Annotated

import typer

from vocable.cli.options import Device, Overwrite, whole


def inspect(
    what: Annotated[
        str,
        typer.Argument(help="Folder of a run, name or folder of a model, recipe, manifest, token file, or audio file."),
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
    limit: Annotated[
        int, typer.Option(parser=whole(2), metavar="N", help="Number of clips, spread evenly over the split.")
    ] = 40,
    color: Annotated[
        list[str] | None,
        typer.Option(help="Manifest key that colors the latents; repeat it for several. Default: speaker."),
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "cpu",
) -> None:
    """Describe a run, a model, a recipe, a manifest, tokens or a recording: sizes, rates, codebook usage, progress.

    Pictures are written with --out, and always for a run.

    A run has pictures of its losses, schedules and codebooks; a recipe of its schedules; tokens of their ids and of how
    often each occurs; audio of its log-mel spectrogram.

    A run or model with --data also has spectrograms before and after coding, codebook usage, and PCA and t-SNE maps of
    its latents. If it has a prior, the table shows the bits that the prior saves as an entropy model.
    """
    from rich.console import Console
    from rich.table import Table

    from vocable.device import check_device
    from vocable.errors import ConfigError
    from vocable.evaluate.describe import Clips, describe
    from vocable.evaluate.draw import default_folder, draw, write_pictures
    from vocable.plugins import check_installed
    from vocable.write_rules import write_rules

    console = Console(highlight=False)
    check_device(device)
    if out is not None:
        check_installed("pictures", ("matplotlib",), "demo")
    if data is not None:
        check_installed("maps of latents", ("matplotlib", "sklearn"), "evaluate")
    clips = None if data is None else Clips(
        manifest=data, split=split, limit=limit, colors=tuple(color or ()), device=device
    )  # fmt: skip
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
    with write_rules(overwrite=overwrite or out is None):  # the pictures in a run's own folder follow the run
        for path, picture in write_pictures(draw(what, clips, say=typer.echo), folder) if folder else ():
            typer.echo(f"{path}: {picture.title}")
