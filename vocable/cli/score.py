"""``vocable score``."""

from pathlib import Path
from typing import Annotated

import typer


def score(
    clip: Annotated[Path, typer.Argument(help="A recording.")],
    text: Annotated[list[str], typer.Option(help="What may be said in it; repeat to compare.")],
    model: Annotated[str, typer.Option(help="A model of text-aligned tokens: a name or a folder.")] = "taste-small",
) -> None:
    """How likely a recording is, given each text: its units' log-likelihood in nats, the likeliest text first."""
    from vocable.apps.score import score as scored
    from vocable.audio import Audio
    from vocable.systems.registry import load

    for one in scored(load(model), Audio.read(clip), text):
        typer.echo(
            f"{one.nats:10.2f} nats, {one.nats / one.units:7.3f} a unit (by the text alone {one.text_only_nats:.2f}): "
            f"{one.text}"
        )
