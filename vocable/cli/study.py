"""``vocable study``."""

from pathlib import Path
from typing import Annotated

import typer


def study(
    name: Annotated[str, typer.Argument(help="length, codebooks, conditions, sizes; of VQ-CTAP rates, quantizers.")],
    data: Annotated[list[Path], typer.Option(help="A JSONL manifest; repeat for more.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; one that was stopped goes on.")],
    recipe: Annotated[str, typer.Option(help="What variants are made of.")] = "vqalattent-fsdd",
    split: Annotated[
        str | None, typer.Option(help="Judged on; by default dev for VQ-CTAP, else test, or all where there is none.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each training, instead of the recipe's.")] = None,
    fakes: Annotated[int, typer.Option(min=1, help="Of each label, and recordings judged.")] = 50,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that measure.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Of all that is random.")] = None,
) -> None:
    """Ask a question of a system by training variants of a recipe and measuring them alike.

    VQalAttent. length: how long must the prior be trained?  codebooks: which kind, and where entries begin.
    conditions: no label, a shared id, its own id, more before it.  sizes: fewer ids, fewer entries.

    VQ-CTAP (--recipe ctap-small). rates: half and twice the codebook, 4, 8 and 12 spectra to a token.
    quantizers: moving means, gradients, finite scalars.
    """
    from vocable.recipes import find, override
    from vocable.recipes.study import study as made

    run = override(find(recipe), steps=steps, seed=seed)
    typer.echo(made(name, run, data, out, split=split, fakes=fakes, jobs=jobs, say=typer.echo))
