"""``vocable demo``."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    audio: Annotated[Path | None, typer.Argument(help="A recording; without it, a recorded sentence.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for tokens, speech and report.html.")] = Path("demo"),
    model: Annotated[
        str, typer.Option(help="A model in the box, a model's folder, or a run's folder.")
    ] = "guided-small",
) -> None:
    """Encode a recording, decode it, measure what was kept, and write a page to look at and listen to."""
    from rich.console import Console
    from rich.table import Table

    from vocable.evaluate.demo import demo as run

    figures = run(audio, out, model)
    table = Table(show_header=False, box=None)
    for label, value in figures.rows():
        table.add_row(label, value)
    Console(highlight=False, soft_wrap=True).print(table)
