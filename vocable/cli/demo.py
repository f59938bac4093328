"""Command ``vocable demo``."""

from pathlib import Path
from typing import Annotated

import typer

from vocable.cli.options import Device, Overwrite


def demo(
    audio: Annotated[
        Path | None, typer.Argument(help="Recording to encode. Default: a recorded sentence that comes with auditok.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for tokens, speech and report.html.")] = Path("demo"),
    model: Annotated[str, typer.Option(help="Bundled model, folder of a model, or folder of a run.")] = "guided-small",
    overwrite: Overwrite = False,
    device: Device = "cpu",
) -> None:
    """Encode a recording, decode it, score the decoded speech, and write a report to look at and listen to."""
    from rich.console import Console
    from rich.table import Table

    from vocable.evaluate.demo import run_demo

    table = Table(show_header=False, box=None)
    for label, value in run_demo(audio, out, model, device=device, overwrite=overwrite).rows():
        table.add_row(label, value)
    Console(highlight=False, soft_wrap=True).print(table)
