"""``vocable corpus``: statistics of token corpora."""

from pathlib import Path
from typing import Annotated

import typer

from vocable.cli.command import Command, Group
from vocable.cli.options import Overwrite

app = typer.Typer(cls=Group, help="Look into corpora of tokens.", no_args_is_help=True)


@app.command("stats", cls=Command, no_args_is_help=True)
def stats(
    corpus: Annotated[list[str], typer.Argument(help="Folders of token shards, shards, or glob patterns in quotes.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for statistics.json and statistics.html.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Print how much a token corpus holds: hours, tokens, bits, use of the codebooks, duplicates, failures."""
    from rich.console import Console
    from rich.table import Table

    from vocable.corpus.statistics import corpus_statistics
    from vocable.corpus.token_corpus import TokenCorpus
    from vocable.evaluate.page.corpus import corpus_page
    from vocable.files import make_folder, write_json, write_text
    from vocable.write_rules import write_rules

    found = corpus_statistics(TokenCorpus.open(*corpus))
    table = Table(show_header=False, box=None)
    for name, value in found.summary():
        table.add_row(name, value)
    Console(highlight=False, soft_wrap=True).print(table)
    if out is not None:
        make_folder(out)
        with write_rules(overwrite=overwrite):
            write_json(out / "statistics.json", found.to_json())
            write_text(out / "statistics.html", corpus_page(", ".join(corpus), found))
            typer.echo(f"{out / 'statistics.html'}")
