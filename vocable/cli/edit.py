"""``vocable edit``."""

from pathlib import Path
from typing import Annotated

import typer


def edit(
    clip: Annotated[Path, typer.Argument(help="The recording that is edited.")],
    donor: Annotated[Path, typer.Argument(help="A recording with the same words, said otherwise.")],
    words: Annotated[
        str, typer.Option(help="First and last word to be said as in the donor, such as 3:5; 1 is the first.")
    ],
    text: Annotated[
        str | None, typer.Option(help="What is said in the recording; by default what a recogniser hears.")
    ] = None,
    donor_text: Annotated[str | None, typer.Option(help="What is said in the donor; by default the same.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="An audio file.")] = Path("edited.wav"),
    model: Annotated[str, typer.Option(help="A model of text-aligned tokens: a name or a folder.")] = "taste-small",
) -> None:
    """Say some words of a recording as another recording has them.

    Prints how long each word lasts before and after, as the tokens have it. The file's comment says that it was edited.
    """
    from vocable.apps.asr import transcribe_words
    from vocable.apps.edit import edit as edited
    from vocable.audio import Audio
    from vocable.errors import ConfigError
    from vocable.evaluate.judges.find import find_judge
    from vocable.systems.registry import load

    first, _, last = words.partition(":")
    if not (first.isdecimal() and (last or first).isdecimal()):
        raise ConfigError(f"--words is '{words}'; write first:last, such as 3:5")
    recording = Audio.read(clip)
    said = text or transcribe_words(recording, find_judge("recogniser").transcribe, str(clip))
    made = edited(load(model), recording, Audio.read(donor), (int(first), int(last or first)), said, donor_text)
    made.write(out)
    typer.echo(f"{clip} → {out}: {made.audio.duration:.2f} s, was {made.unedited.duration:.2f} s")
    for place, (word, before, after) in enumerate(zip(made.words, made.before, made.after, strict=True), start=1):
        changed = " ←" if int(first) <= place <= int(last or first) else ""
        typer.echo(f"{place:3d} {word:20s} {before:6.2f} s {after:6.2f} s{changed}")
