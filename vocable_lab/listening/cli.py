"""The command ``vocable evaluate listen``."""

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
    out: Annotated[Path, typer.Option(help="The page; with --ratings the folder of the results.")] = Path(
        "listen.html"
    ),
    test: Annotated[str, typer.Option(help="'mushra' or 'mos'.")] = "mushra",
    scales: Annotated[str, typer.Option(help="What is asked, each on its own screens.")] = "quality,prosody,speaker",
    seed: Annotated[int, typer.Option(help="Of the codes that stand for the systems.")] = 0,
    ratings: Annotated[list[Path] | None, typer.Option(help="Analyse these ratings files; repeat for more.")] = None,
    key: Annotated[Path | None, typer.Option(help="The test's key, which was written beside its page.")] = None,
) -> None:
    """Build a listening test as one page, or analyse its ratings (--ratings, --key).

    The page works offline and on a phone; each rater sends back the file it saves.
    """
    from vocable.errors import ConfigError

    if ratings:
        from vocable_lab.listening.analysis import listen_analyse

        if key is None or folders:
            raise ConfigError("--ratings needs --key, the file that was written beside the page, and no folders")
        typer.echo(listen_analyse(ratings, key, out if out.suffix != ".html" else None).to_markdown())
        return
    from vocable_lab.listening.build import listen_build

    reference, *systems = folders or [""]
    built = listen_build(
        Path(reference), systems, out, test, tuple(part.strip() for part in scales.split(",") if part.strip()), seed
    )
    for remark in built.remarks:
        typer.echo(remark)
    typer.echo(
        f"{built.page}: {len(built.clips)} clips, {built.screens} screens; keep {built.key} to analyse the ratings"
    )
