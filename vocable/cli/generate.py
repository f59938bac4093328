"""``vocable generate``."""

from pathlib import Path
from typing import Annotated

import typer

from vocable.cli.options import Count, Device, Overwrite, SeedNumber, complain, number


def generate(
    digit: Annotated[str | None, typer.Option(help="Digit, such as 7; '2 0 2 6' becomes one clip.")] = None,
    n: Annotated[int, typer.Option("--n", "-n", parser=Count, metavar="N", help="Number of utterances.")] = 1,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder, or one file, such as 7.wav.")] = "generated",
    seed: Annotated[int, typer.Option(parser=SeedNumber, metavar="N", help="Seed; equal seeds give equal speech.")] = 0,
    speaker: Annotated[str | None, typer.Option(help="Speaker; `vocable inspect MODEL` lists them.")] = None,
    gender: Annotated[str | None, typer.Option(help="Gender, if the model has this condition.")] = None,
    accent: Annotated[str | None, typer.Option(help="Accent, if the model has this condition.")] = None,
    model: Annotated[str, typer.Option(help="Model with a prior: a name or a folder.")] = "vqalattent-fsdd",
    temperature: Annotated[
        float | None,
        typer.Option(
            parser=number(0.0),
            metavar="NUMBER",
            help="Divisor of the logits; 0 takes the most likely ids. Default: the model's.",
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(parser=Count, metavar="N", help="Number of most likely ids to sample from. Default: all."),
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Probability mass to sample from, over 0 and up to 1. Default: the model's.")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            parser=number(0.0), metavar="NUMBER", help="Weight of guidance by the labels. Default: the model's."
        ),
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "cpu",
) -> None:
    """Generate speech: sample ids from a model's prior and decode them.

    Files are named after the labels: 7-000.wav, 7-001.wav, …
    """
    from vocable.apps.generate import generate as generate_clips
    from vocable.apps.generate import generate_strip
    from vocable.audio import AUDIO_SUFFIXES
    from vocable.corpus.jobs import Made, write_each
    from vocable.corpus.plan import choose_targets
    from vocable.systems.registry import load

    labels = (digit or "").split()
    stem = "-".join(labels) or "any"
    targets = choose_targets([Path(f"{stem}-{index:03d}.wav") for index in range(n)], out, AUDIO_SUFFIXES)
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "speaker": speaker, "gender": gender,
             "accent": accent, "guidance": guidance}  # fmt: skip
    tokenizer = load(model, device)
    if len(labels) > 1:
        clips = [generate_strip(tokenizer, labels, seed=seed + index, **options) for index in range(n)]
    else:
        clips = generate_clips(tokenizer, labels[0] if labels else None, n, seed=seed, **options)  # type: ignore[arg-type]

    def make(index: int) -> Made:
        return Made(result=clips[index], summary=f"{clips[index].duration:.2f} s", seconds=clips[index].duration)

    write_each(range(n), targets, make, say=typer.echo, complain=complain, overwrite=overwrite).finish()
