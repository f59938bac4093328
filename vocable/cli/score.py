"""Command ``vocable score``."""

from pathlib import Path
from typing import Annotated

import typer

from vocable.cli.options import Device


def score(
    clip: Annotated[Path, typer.Argument(help="Recording.")],
    text: Annotated[list[str], typer.Option(help="Candidate transcript; repeat to compare several.")],
    model: Annotated[str, typer.Option(help="Name or folder of a model of text-aligned tokens.")] = "taste-small",
    device: Device = "cpu",
) -> None:
    """Print how likely a recording is, given each text: log-likelihood of its units in nats, the highest first."""
    from vocable.apps.score import score as score_texts
    from vocable.audio import Audio
    from vocable.systems.registry import load

    for one in score_texts(load(model, device), Audio.read(clip), text):
        typer.echo(
            f"{one.nats:10.2f} nats, {one.nats / one.units:7.3f} per unit (text alone: {one.text_only_nats:.2f}): "
            f"{one.text}"
        )
