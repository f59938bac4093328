"""``vocable train``."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe: guided-paper, guided-small or guided-tiny.")],
    data: Annotated[list[Path], typer.Option(help="A JSONL manifest; repeat for more. Named twice it counts twice.")],
    out: Annotated[Path, typer.Option(help="The run's folder: logs and checkpoints.")],
    split: Annotated[
        str, typer.Option(help="Which split of the manifests to train on; 'all' takes every line.")
    ] = "train",
    steps: Annotated[int | None, typer.Option(min=1, help="Steps in the whole run, instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Crops in a batch, over all processes.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, batches and level dropout.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, or bfloat16 (quantizers stay in float32).")] = None,
    not_finite: Annotated[str | None, typer.Option(help="At a NaN: stop, or skip the batch.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the newest checkpoint in the folder.")] = False,
) -> None:
    """Train a tokenizer.

    On several GPUs or processes: torchrun --nproc-per-node N -m vocable.cli.main train …
    """
    from vocable.recipes import find, fit, override

    run = override(
        find(recipe), steps=steps, batch_size=batch_size, seed=seed, precision=precision, not_finite=not_finite
    )
    fit(run, data, out, split=None if split == "all" else split, resume=resume, say=typer.echo)
