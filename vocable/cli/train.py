"""``vocable train``."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a training recipe; an unknown name lists all.")],
    data: Annotated[list[Path], typer.Option(help="JSONL manifest; repeat for several. One named twice counts twice.")],
    out: Annotated[Path, typer.Option(help="Folder of the run, for logs and checkpoints.")],
    split: Annotated[str, typer.Option(help="Split of the manifests to train on; 'all' takes every line.")] = "train",
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the whole run. Default: the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Clips in a batch, over all processes.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, batches and all else that is random.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, or bfloat16 (quantizers stay in float32).")] = None,
    not_finite: Annotated[str | None, typer.Option(help="At a loss that is not finite: stop, or skip.")] = None,
    init: Annotated[str | None, typer.Option(help="Model or run to initialize from (a VQ-VAE, for a prior).")] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="Teacher of a distilled recipe: semantic=FOLDER or NAME, acoustic=resemblyzer or FOLDER."),
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Cache of teachers' features. Default: OUT/teachers.")] = None,
    resume: Annotated[bool, typer.Option(help="Continue from the newest checkpoint in the folder.")] = False,
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
