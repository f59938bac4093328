"""``vocable inspect``."""

from typing import Annotated

import typer


def inspect(
    what: Annotated[str, typer.Argument(help="A run's folder, a model, a recipe, or a token file.")],
) -> None:
    """Show what a run, a model, a recipe or a token file is: sizes, rates, codebook use, progress."""
    from rich.console import Console
    from rich.table import Table

    from vocable.recipes.describe import describe

    console = Console(highlight=False)
    for section in describe(what):
        table = Table(title=section.title, title_justify="left", show_header=bool(section.columns), box=None)
        for column in section.columns or ("", ""):
            table.add_column(column, overflow="fold")
        for row in section.rows:
            table.add_row(*row)
        console.print(table)
        console.print()
