"""``vocable study``."""

from pathlib import Path
from typing import Annotated

import typer


def study(
    name: Annotated[str, typer.Argument(help="Name of a study, from the list below.")],
    data: Annotated[list[Path], typer.Option(help="JSONL manifest; repeat for more.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; a study that was stopped resumes.")],
    recipe: Annotated[str, typer.Option(help="Recipe that the variants are made of.")] = "vqalattent-fsdd",
    split: Annotated[
        str | None, typer.Option(help="Split to evaluate; default: dev for VQ-CTAP and TASTE, else test, or all.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Variant to train; repeat for more. All by default.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of each training, instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Rows of a batch, instead of the recipe's.")] = None,
    init: Annotated[str | None, typer.Option(help="Model or run that every training begins from.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, or bfloat16.")] = None,
    fakes: Annotated[int, typer.Option(min=1, help="Fakes of each label, and recordings, to evaluate.")] = 50,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="Teacher as PART=SOURCE, such as units=guided-small or acoustic=resemblyzer; repeat for more."
        ),
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder in which features of teachers are kept.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that evaluate.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers.")] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="cpu, or cuda (a GPU). Default: trainings take a GPU where torch sees one."),
    ] = None,
) -> None:
    """Train variants of a recipe and evaluate them in the same way.

    VQalAttent, each at three seeds; take --fakes 150 or more, since TopP&R tells little from fewer. length: how long
    the prior is trained.  codebooks: kind of quantizer and initialization of entries.  conditions: labels of the prior
    and how they are embedded.  sizes: number of ids and of codebook entries.  gender, accent: an attribute of the
    speaker as a further label.

    VQ-CTAP (--recipe ctap-small). rates: half and twice the codebook, 4, 8 and 12 spectra to a token.
    quantizers: moving averages, gradients, finite scalars.  objectives: the published losses, those of the recipe, and
    the recipe without one of its changes, at three seeds.

    TASTE (--recipe taste-small). layers: deep or shallow keys and values, and text only.  fusion: three functions.
    causes: possible causes of a plateau, one by one.  epochs: figures during training, as a table and as curves.
    hours: a quarter, half and all of the speech.  speeds: as recorded, or 10 % slower and faster, too.
    aggregation: values of several encoder layers, finite scalars, and both.

    Guided codec (--recipe guided-small-taught, with --teacher semantic=FOLDER --teacher acoustic=resemblyzer).
    lessons: no teacher, either and both, at three seeds.  weights: teachers' weights, a fifth and five times.
    teachers: other layers, another loss, frames without pooling, level 2 alone.  pooling: attention or a mean.
    rates: frames of 20 and of 25 ms at several numbers of levels, 50 to 400 tokens a second.  There is no
    discriminator.

    Supervised units (--recipe supervised-small, with --teacher encoder=FOLDER and --cache FOLDER). units: learned
    codebook or finite scalars, at the recipe's token rate and at half of it.  tasks: the recipe without letters,
    without Whisper's last layer, without the comparison of decoded audio.
    """
    from vocable.systems.registry import find_recipe, load
    from vocable.train.overrides import override
    from vocable_lab.study import study as run_study

    run = override(
        find_recipe(recipe), steps=steps, batch_size=batch_size, seed=seed, precision=precision, teachers=teacher or (),
        cache=cache, scale=False,
    )  # fmt: skip
    start = None if init is None else load(init)
    typer.echo(
        run_study(
            name,
            run,
            data,
            out,
            split=split,
            only=only or (),
            start=start,
            fakes=fakes,
            jobs=jobs,
            device=device,
            say=typer.echo,
        )
    )
