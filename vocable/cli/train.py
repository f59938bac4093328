"""``vocable train``."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    out: Annotated[Path, typer.Option(help="Folder of the run, for logs and checkpoints.")],
    recipe: Annotated[
        str | None, typer.Argument(help="Name of a training recipe; `vocable recipes` lists them. --resume knows it.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="JSONL manifest; repeat for several, with shares as in a.jsonl:0.7, or one twice to count twice. "
            "--resume knows it."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of the manifests to train on; 'all' takes every line. Default: train.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the whole run. With fewer than the recipe's, schedules shrink.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Clips in a batch, over all processes.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, batches and all else that is random.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, or bfloat16 (quantizers stay in float32).")] = None,
    not_finite: Annotated[str | None, typer.Option(help="At a loss that is not finite: stop, or skip.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting as NAME=VALUE, such as model.num_codebooks=4; repeat for more. "
                     "`vocable recipes NAME` lists them."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML or YAML file of settings; --set wins over it.")] = None,
    save_every: Annotated[int | None, typer.Option(min=1, help="Steps between checkpoints.")] = None,
    log_every: Annotated[int | None, typer.Option(min=1, help="Steps between lines of the log.")] = None,
    eval_every: Annotated[
        int | None,
        typer.Option(min=0, help="Steps between evaluations on the split dev, 0 for none. Default: at checkpoints."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Model or run to initialize from (a VQ-VAE, for a prior), or cosyvoice:FOLDER."),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="Teacher of a distilled recipe: semantic=FOLDER or NAME, acoustic=resemblyzer or FOLDER, "
                     "representation=FOLDER of Whisper."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Cache of teachers' features and of decoded audio. Default: OUT/teachers.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes of each rank that load batches; 0 loads in a thread. Default: 0 on a CPU, "
                     "up to 4 beside a GPU."),
    ] = None,
    tensorboard: Annotated[
        bool | None,
        typer.Option(help="Log to OUT/tensorboard, too. Default: if the package tensorboard is installed."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the newest checkpoint in OUT, with the settings of the run.")
    ] = False,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Let --resume change losses, learning rates and batches.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="cpu, or cuda (a GPU). Default: a GPU where torch sees one.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Resume only if the run goes on bit for bit: same threads, versions, steps.")
    ] = False,
) -> None:  # fmt: skip
    """Train a tokenizer.

    Ctrl-C or SIGTERM finishes the step, writes a checkpoint and says how to go on; a second one stops at once.

    On several GPUs or processes: torchrun --nproc-per-node N -m vocable.cli.main train …
    """
    from vocable.evaluate.dev_split import DevSplit
    from vocable.systems.registry import find_recipe, load
    from vocable.train.plan import plan_training
    from vocable.train.run import fit

    given = {
        "train.save_every": save_every, "train.log_every": log_every, "train.eval_every": eval_every,
        "train.workers": workers,
    }  # fmt: skip
    plan = plan_training(
        out, find_recipe, recipe=recipe, manifests=data or [], split=split, init=init, resume=resume, cache=cache,
        config=config, steps=steps, batch_size=batch_size, seed=seed, precision=precision, not_finite=not_finite,
        teachers=teacher or (),
        assignments=[*(assignments or ()), *(f"{name}={value}" for name, value in given.items() if value is not None)],
    )  # fmt: skip
    run, start = (plan.run, None) if plan.init is None else plan.run.begin_from(plan.init, load)
    fit(
        run, plan.manifests, out, split=plan.split, start=start,
        init=plan.init, find=load, validate=DevSplit.opener(plan.manifests, load, say=typer.echo), resume=resume,
        allow_changes=allow_changes, exact=exact, tensorboard=tensorboard, device=device,
        say=typer.echo,
    )  # fmt: skip
