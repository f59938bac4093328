"""``vocable generate``."""

from pathlib import Path
from typing import Annotated

import typer


def generate(
    digit: Annotated[str | None, typer.Option(help="Digit, such as 7; '2 0 2 6' becomes one clip.")] = None,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Number of utterances.")] = 1,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder, or one file, such as 7.wav.")] = Path("generated"),
    seed: Annotated[int, typer.Option(min=0, help="Seed; equal seeds give equal speech.")] = 0,
    speaker: Annotated[str | None, typer.Option(help="Speaker; `vocable inspect MODEL` lists them.")] = None,
    gender: Annotated[str | None, typer.Option(help="Gender, if the model has this condition.")] = None,
    accent: Annotated[str | None, typer.Option(help="Accent, if the model has this condition.")] = None,
    model: Annotated[str, typer.Option(help="Model with a prior: a name or a folder.")] = "vqalattent-fsdd",
    temperature: Annotated[
        float | None, typer.Option(min=0, help="Divisor of the logits; 0: the likeliest ids. Default: the model's.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Likeliest ids to sample from. Default: all.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Probability mass to sample from. Default: the model's.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Weight of guidance. Default: the model's.")] = None,
) -> None:
    """Generate speech: sample ids from a model's prior and decode them.

    Files are named after the labels: 7-000.wav, 7-001.wav, …
    """
    from vocable.apps.generate import generate as generate_clips
    from vocable.apps.generate import generate_strip
    from vocable.audio import AUDIO_SUFFIXES
    from vocable.errors import ConfigError
    from vocable.files import make_folder
    from vocable.systems.registry import load

    one_file = out.suffix.lower() in AUDIO_SUFFIXES
    if one_file and n > 1:
        raise ConfigError(f"{out} is one file and {n} utterances are asked for; name a folder")
    tokenizer, labels = load(model), (digit or "").split()
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "speaker": speaker, "gender": gender,
             "accent": accent, "guidance": guidance}  # fmt: skip
    if len(labels) > 1:
        clips = [generate_strip(tokenizer, labels, seed=seed + index, **options) for index in range(n)]
    else:
        clips = generate_clips(tokenizer, labels[0] if labels else None, n, seed=seed, **options)  # type: ignore[arg-type]
    if not one_file:
        make_folder(out)
    stem = "-".join(labels) or "any"
    for index, clip in enumerate(clips):
        target = out if one_file else out / f"{stem}-{index:03d}.wav"
        clip.write(target)
        typer.echo(f"{target}: {clip.duration:.2f} s")
