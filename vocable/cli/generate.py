"""``vocable generate``."""

from pathlib import Path
from typing import Annotated

import typer


def generate(
    digit: Annotated[
        str | None, typer.Option(help="What is said, such as 7; several, such as '2 0 2 6', become one clip.")
    ] = None,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="How many.")] = 1,
    out: Annotated[Path, typer.Option("--out", "-o", help="A folder; or one file, such as 7.wav.")] = Path("generated"),
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds, equal speech.")] = 0,
    speaker: Annotated[str | None, typer.Option(help="Whose voice; a wrong one lists those there are.")] = None,
    gender: Annotated[str | None, typer.Option(help="Where the model was trained to be asked for it.")] = None,
    accent: Annotated[str | None, typer.Option(help="Where the model was trained to be asked for it.")] = None,
    model: Annotated[str, typer.Option(help="A model with a prior: a name or a folder.")] = "vqalattent-fsdd",
    temperature: Annotated[
        float | None,
        typer.Option(min=0, help="Under 1: likelier speech. 0: the likeliest ids. Default: the model's own."),
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Draw among so many of the likeliest ids.")] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Draw among ids that have this much probability together. Default: the model's."),
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0, help="Over 0: what is asked counts for more. Default: the model's own.")
    ] = None,
) -> None:
    """Speak: draw ids from a model's prior and decode them.

    Files are named after what is said: 7-000.wav, 7-001.wav, …
    """
    from vocable.apps.generate import generate as spoken
    from vocable.apps.generate import generate_strip
    from vocable.audio import AUDIO_SUFFIXES
    from vocable.errors import ConfigError
    from vocable.files import make_folder
    from vocable.systems.registry import load

    one_file = out.suffix.lower() in AUDIO_SUFFIXES
    if one_file and n > 1:
        raise ConfigError(f"{out} is one file and {n} utterances are asked for; name a folder")
    tokenizer, labels = load(model), (digit or "").split()
    asked = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "speaker": speaker, "gender": gender,
             "accent": accent, "guidance": guidance}  # fmt: skip
    if len(labels) > 1:
        clips = [generate_strip(tokenizer, labels, seed=seed + index, **asked) for index in range(n)]  # type: ignore[arg-type]
    else:
        clips = spoken(tokenizer, labels[0] if labels else None, n, seed=seed, **asked)  # type: ignore[arg-type]
    if not one_file:
        make_folder(out)
    stem = "-".join(labels) or "any"
    for index, clip in enumerate(clips):
        target = out if one_file else out / f"{stem}-{index:03d}.wav"
        clip.write(target)
        typer.echo(f"{target}: {clip.duration:.2f} s")
