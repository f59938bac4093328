"""``vocable train``."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe; a wrong name lists those there are.")],
    data: Annotated[list[Path], typer.Option(help="A JSONL manifest; repeat for more. Named twice it counts twice.")],
    out: Annotated[Path, typer.Option(help="The run's folder: logs and checkpoints.")],
    split: Annotated[
        str, typer.Option(help="Which split of the manifests to train on; 'all' takes every line.")
    ] = "train",
    steps: Annotated[int | None, typer.Option(min=1, help="Steps in the whole run, instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Clips in a batch, over all processes.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, batches and all else that is random.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, or bfloat16 (quantizers stay in float32).")] = None,
    not_finite: Annotated[str | None, typer.Option(help="At a NaN: stop, or skip the batch.")] = None,
    init: Annotated[str | None, typer.Option(help="Begin from this model or run (a VQ-VAE, for a prior).")] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="semantic=FOLDER or NAME, acoustic=resemblyzer or FOLDER: of a recipe that is taught."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where to keep what teachers say of recordings. [default: teachers/ in --out]")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the newest checkpoint in the folder.")] = False,
) -> None:
    """Train a tokenizer.

    On several GPUs or processes: torchrun --nproc-per-node N -m vocable.cli.main train …
    """
    from vocable.systems.registry import find_recipe, load
    from vocable.train.run import fit, override

    run = override(
        find_recipe(recipe), steps=steps, batch_size=batch_size, seed=seed, precision=precision, not_finite=not_finite,
        teachers=teacher or (), cache=cache or out / "teachers",
    )  # fmt: skip
    start = None if init is None else load(init)
    fit(run, data, out, split=None if split == "all" else split, start=start, find=load, resume=resume, say=typer.echo)
