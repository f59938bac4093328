"""``vocable study``."""

from pathlib import Path
from typing import Annotated

import typer


def study(
    name: Annotated[str, typer.Argument(help="length, codebooks, conditions or sizes.")],
    data: Annotated[list[Path], typer.Option(help="A JSONL manifest; repeat for more.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; one that was stopped goes on.")],
    recipe: Annotated[str, typer.Option(help="What variants are made of.")] = "vqalattent-fsdd",
    steps: Annotated[int | None, typer.Option(min=1, help="Of each training, instead of the recipe's.")] = None,
    fakes: Annotated[int, typer.Option(min=1, help="Of each label, and recordings judged.")] = 50,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that draw fakes.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Of all that is random.")] = None,
) -> None:
    """Ask a question of VQalAttent by training variants of a recipe and measuring them alike.

    length: how long must the prior be trained?  codebooks: which kind, and where entries begin.

    conditions: no label, a shared id, its own id, more before it.  sizes: fewer ids, fewer entries.
    """
    from vocable.recipes import find, override
    from vocable.recipes.study import study as made

    run = override(find(recipe), steps=steps, seed=seed)
    typer.echo(made(name, run, data, out, fakes=fakes, jobs=jobs, say=typer.echo))
