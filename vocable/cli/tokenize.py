"""``vocable tokenize``."""

from pathlib import Path
from typing import Annotated

import typer

from vocable.cli.options import Beam, Count, Device, Levels, number

_Hours = number(1e-6)


def tokenize(
    tokenizer: Annotated[
        str, typer.Argument(help="Name of a bundled model, or folder of a model or run; DIR with --verify or --merge.")
    ],
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA…",
            help="Manifests (.jsonl), audio, folders, quoted patterns, WebDataset .tar, .parquet with audio bytes.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the corpus. A stopped run continues.")
    ] = None,
    levels: Levels = None,
    beam: Beam = 1,
    jobs: Annotated[int, typer.Option(parser=Count, metavar="N", help="Number of processes, of one thread each.")] = 1,
    engine: Annotated[
        str, typer.Option(help="Engine of the processes: processes of this machine, or ray, a Ray cluster.")
    ] = "processes",
    device: Device = "cpu",
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Make the I-th of N shares, as on one of N machines.")
    ] = None,
    shard_hours: Annotated[
        float | None,
        typer.Option(parser=_Hours, metavar="H", help="Hours of speech of a shard, 1,000 recordings an hour at most. "
                     "Default: 1."),
    ] = None,
    limit_hours: Annotated[
        float | None, typer.Option(parser=_Hours, metavar="H", help="Stop planning after so many hours of speech.")
    ] = None,
    max_memory: Annotated[
        float | None,
        typer.Option(parser=_Hours, metavar="GB", help="Memory of all processes together, in gigabytes."),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try recordings again that failed.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the corpora that are named: checksums, plan, failures.")
    ] = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge the corpora that are named into --out; a recording stands once.")
    ] = False,
) -> None:  # fmt: skip
    """Tokenize a corpus into token shards: each recording once, in one process or many, whatever is interrupted.

    Several processes on one folder share the work. The result does not depend on how often one was killed.
    Recordings that fail are kept with their reasons, and the exit code is then 1.

    vocable tokenize --verify DIR…             vocable tokenize --merge DIR DIR… --out DIR
    """
    if verify or merge:
        _check_or_merge([tokenizer, *(data or [])], out, merge=merge)
        return
    if out is None:
        raise typer.BadParameter("is missing.", param_hint="'--out' / '-o'")
    from functools import partial

    from vocable.cli.progress import show_corpus_progress
    from vocable.corpus.tokenize import tokenize_corpus
    from vocable.systems.registry import load

    loader = partial(load, tokenizer, device, beam=beam)
    with show_corpus_progress() as watch:
        tokenized = tokenize_corpus(
            loader(), data or [], out, levels=levels, jobs=jobs, load=loader, shard=shard, shard_hours=shard_hours,
            limit_hours=limit_hours, max_memory=max_memory, retry_failed=retry_failed,
            engine=engine, say=typer.echo, watch=watch,
        )  # fmt: skip
    typer.echo(str(tokenized))
    tokenized.finish()


def _check_or_merge(folders: list[str], out: Path | None, *, merge: bool) -> None:
    from vocable.corpus.jobs import printable
    from vocable.corpus.merge import merge_corpora
    from vocable.corpus.verify import verify_corpus

    if merge:
        if out is None:
            raise typer.BadParameter("is missing.", param_hint="'--out' / '-o'")
        merge_corpora(folders, out, typer.echo)
        folders = [str(out)]
    verified = [verify_corpus(Path(folder)) for folder in folders]
    for one in verified:
        for line in one.lines():
            typer.echo(printable(line))
    for one in verified:
        one.finish()
