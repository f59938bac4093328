"""``vocable study``."""

from pathlib import Path
from typing import Annotated

import typer


def study(
    name: Annotated[str, typer.Argument(help="One of those below.")],
    data: Annotated[list[Path], typer.Option(help="A JSONL manifest; repeat for more.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; one that was stopped goes on.")],
    recipe: Annotated[str, typer.Option(help="What variants are made of.")] = "vqalattent-fsdd",
    split: Annotated[
        str | None, typer.Option(help="Judged on; default: dev for VQ-CTAP and TASTE, else test, or all.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Of its variants this one; repeat for more.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each training, instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Rows of a batch, instead of the recipe's.")] = None,
    init: Annotated[str | None, typer.Option(help="Every training begins from this model or run.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, or bfloat16.")] = None,
    fakes: Annotated[int, typer.Option(min=1, help="Of each label, and recordings judged.")] = 50,
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="PART=SOURCE of each, such as units=guided-small or acoustic=resemblyzer; repeat for more."),
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder where what teachers say is kept.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that measure.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Of all that is random.")] = None,
) -> None:
    """Ask a question of a system by training variants of a recipe and measuring them alike.

    VQalAttent. length: how long must the prior be trained?  codebooks: which kind, and where entries begin.
    conditions: no label, a shared id, its own id, more before it.  sizes: fewer ids, fewer entries.

    VQ-CTAP (--recipe ctap-small). rates: half and twice the codebook, 4, 8 and 12 spectra to a token.
    quantizers: moving means, gradients, finite scalars.

    TASTE (--recipe taste-small). layers: deep or shallow keys and values, and text only.  fusion: how both are joined.
    causes: what may keep it on a plateau, one by one.  epochs: losses and accuracies on its way, as a table and drawn.
    hours: a quarter, half and all of the speech.  speeds: as recorded, or a tenth slower and faster, too.

    Guided codec (--recipe guided-small-taught, with --teacher semantic=FOLDER --teacher acoustic=resemblyzer).
    lessons: no teacher, each alone, both, at three seeds, with differences over seeds.  weights: a fifth, five times.
    teachers: other layers, another loss, frames as they are, level 2 alone.  pooling: attention or a plain mean.
    rates: one training at 1, 2, 4 and all levels.  No adversary takes part.
    """
    from vocable.systems.registry import find_recipe, load
    from vocable.train.run import override
    from vocable_lab.study import study as made

    run = override(
        find_recipe(recipe), steps=steps, batch_size=batch_size, seed=seed, precision=precision, teachers=teacher or (),
        cache=cache,
    )  # fmt: skip
    start = None if init is None else load(init)
    typer.echo(
        made(name, run, data, out, split=split, only=only or (), start=start, fakes=fakes, jobs=jobs, say=typer.echo)
    )
