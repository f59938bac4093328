"""Command ``vocable evaluate listen``."""

from pathlib import Path
from typing import Annotated

import typer


def listen(
    folders: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REFERENCE SYSTEM…", help="Folder of recordings, then folders of systems (NAME=FOLDER)."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Page to write; with --ratings, folder of the results.")] = Path(
        "listen.html"
    ),
    test: Annotated[str, typer.Option(help="Kind of test: 'mushra' or 'mos'.")] = "mushra",
    scales: Annotated[
        str, typer.Option(help="Scales to rate, separated by commas; each has its own screens.")
    ] = "quality,prosody,speaker",
    seed: Annotated[int, typer.Option(help="Seed of the codes that stand for the systems.")] = 0,
    ratings: Annotated[list[Path] | None, typer.Option(help="Ratings file to analyze; repeat it for several.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of the test, which was written beside its page.")] = None,
) -> None:
    """Build a listening test as one page, or analyze its ratings (--ratings, --key).

    The page works offline and on a phone. It saves a ratings file, which each rater sends back.
    """
    from vocable.errors import ConfigError

    if ratings:
        from vocable_lab.listening.analysis import analyze_files

        if key is None or folders:
            raise ConfigError("--ratings needs --key, the file that was written beside the page, and no folders")
        typer.echo(analyze_files(ratings, key, out if out.suffix != ".html" else None).to_markdown())
        return
    from vocable_lab.listening.build import build_from_arguments

    reference, *systems = folders or [""]
    listening_test = build_from_arguments(
        Path(reference), systems, out, test, tuple(part.strip() for part in scales.split(",") if part.strip()), seed
    )
    for warning in listening_test.warnings:
        typer.echo(warning)
    counts = f"{len(listening_test.clips)} clips, {listening_test.screens} screens"
    typer.echo(f"{listening_test.page}: {counts}; keep {listening_test.key} to analyze the ratings")
