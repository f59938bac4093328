"""Command ``vocable edit``."""

from pathlib import Path
from typing import Annotated

import typer


def edit(
    clip: Annotated[Path, typer.Argument(help="Recording to edit.")],
    donor: Annotated[Path, typer.Argument(help="Recording with the same words, spoken differently.")],
    words: Annotated[
        str, typer.Option(help="First and last word to take from the donor, such as 3:5; 1 is the first word.")
    ],
    text: Annotated[
        str | None, typer.Option(help="Transcript of the recording; by default the output of a speech recognizer.")
    ] = None,
    donor_text: Annotated[str | None, typer.Option(help="Transcript of the donor; by default the same.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Audio file to write.")] = Path("edited.wav"),
    model: Annotated[str, typer.Option(help="Name or folder of a model of text-aligned tokens.")] = "taste-small",
) -> None:
    """Replace some words of a recording by their rendition in another recording.

    Prints the duration of each word before and after, according to the tokens. The file's comment names the edited
    words.
    """
    from vocable.apps.asr import transcribe_words
    from vocable.apps.edit import edit as edit_words
    from vocable.audio import Audio
    from vocable.errors import ConfigError
    from vocable.evaluate.judges.find import find_scorer
    from vocable.systems.registry import load

    first, _, last = words.partition(":")
    if not (first.isdecimal() and (last or first).isdecimal()):
        raise ConfigError(f"--words is '{words}'; write first:last, such as 3:5")
    recording = Audio.read(clip)
    transcript = text or transcribe_words(recording, find_scorer("recognizer").transcribe, str(clip))
    swapped = int(first), int(last or first)
    edited = edit_words(load(model), recording, Audio.read(donor), swapped, transcript, donor_text)
    edited.write(out)
    typer.echo(f"{clip} → {out}: {edited.audio.duration:.2f} s, was {edited.unedited.duration:.2f} s")
    for number, (word, before, after) in enumerate(zip(edited.words, edited.before, edited.after, strict=True), 1):
        mark = " ←" if swapped[0] <= number <= swapped[1] else ""
        typer.echo(f"{number:3d} {word:20s} {before:6.2f} s {after:6.2f} s{mark}")
