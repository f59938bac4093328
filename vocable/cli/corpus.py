"""``vocable corpus``: statistics, export and import of token corpora."""

from pathlib import Path
from typing import Annotated

import typer

from vocable.cli.command import Command, Group
from vocable.cli.options import Count, Overwrite, complain

app = typer.Typer(
    cls=Group, help="Look into corpora of tokens, and exchange them with other toolkits.", no_args_is_help=True
)


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


@app.command("export", cls=Command, no_args_is_help=True)
def export(
    corpus: Annotated[list[str], typer.Argument(help="Folders of token shards, shards, or glob patterns in quotes.")],
    to: Annotated[str, typer.Option(help="Format: parquet, datasets, webdataset or lhotse.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; it must not exist.")],
) -> None:
    """Write a token corpus in the format of another toolkit. Recordings that failed are left out."""
    from vocable.corpus.export import export_corpus
    from vocable.corpus.token_corpus import TokenCorpus

    found = TokenCorpus.open(*corpus)
    export_corpus(found, out, to)
    typer.echo(f"{out}: {len(found)} recordings")


@app.command("import", cls=Command, no_args_is_help=True)
def import_(
    inputs: Annotated[list[str], typer.Argument(help=".npy, .json or .jsonl files, folders, or glob patterns.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of token shards to write; it must not exist.")],
    tokenizer: Annotated[str, typer.Option(help="Name of the tokenizer that made them, such as encodec_24khz.")],
    sample_rate: Annotated[int, typer.Option(parser=Count, metavar="N", help="Samples a second of its speech.")],
    hop: Annotated[int, typer.Option(parser=Count, metavar="N", help="Samples that a frame of tokens covers.")],
    codebook_size: Annotated[int, typer.Option(parser=Count, metavar="N", help="Entries of a level.")],
    levels: Annotated[int, typer.Option(parser=Count, metavar="N", help="Levels of a frame.")] = 1,
) -> None:
    """Make token shards of the tokens of another toolkit: NumPy arrays, lists in JSON, or lines of JSON.

    Rows whose ids do not fit are named, and kept as failures with their reasons.
    """
    from vocable.corpus.imports import import_tokens
    from vocable.errors import InputError
    from vocable.tokens import TokenSpec

    spec = TokenSpec(sample_rate=sample_rate, hop=hop, codebook_size=codebook_size, num_codebooks=levels)
    count, failed = import_tokens(inputs, out, spec, tokenizer)
    for failure in failed:
        complain(f"failed: {failure.reason}")
    typer.echo(f"{out}: {count} rows")
    if failed:
        raise InputError(f"{len(failed)} of {count + len(failed)} rows failed; the others are done")
