"""Command ``vocable edit``."""

from pathlib import Path
from typing import Annotated

import typer

from vocable.cli.options import Device, Overwrite


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
    out: Annotated[str, typer.Option("--out", "-o", help="Audio file to write, or a folder.")] = "edited.wav",
    model: Annotated[str, typer.Option(help="Name or folder of a model of text-aligned tokens.")] = "taste-small",
    overwrite: Overwrite = False,
    device: Device = "cpu",
) -> None:
    """Replace some words of a recording by their rendition in another recording.

    Prints the duration of each word before and after, according to the tokens. The file's comment names the edited
    words.
    """
    from vocable.apps.asr import transcribe_words
    from vocable.apps.edit import edit as edit_words
    from vocable.audio import Audio
    from vocable.corpus.plan import choose_targets
    from vocable.errors import ConfigError
    from vocable.evaluate.judges.find import find_scorer
    from vocable.files import make_folder
    from vocable.systems.registry import load
    from vocable.write_rules import check_target

    first, _, last = words.partition(":")
    if not (first.isdecimal() and (last or first).isdecimal()):
        raise ConfigError(f"--words is '{words}'; write first:last, such as 3:5")
    (target,) = choose_targets([Path(clip.name).with_suffix(".wav")], out, (), is_file=True)
    check_target(target)
    recognizer = find_scorer("recognizer") if text is None else None
    tokenizer = load(model, device)
    tokenizer.check_encoding()
    tokenizer.check_decoding()
    recording = Audio.read(clip)
    transcript = text if recognizer is None else transcribe_words(recording, recognizer.transcribe, str(clip))
    swapped = int(first), int(last or first)
    edited = edit_words(tokenizer, recording, Audio.read(donor), swapped, transcript or "", donor_text)
    make_folder(target.parent)
    edited.write(target)
    typer.echo(f"{clip} → {target}: {edited.audio.duration:.2f} s, was {edited.unedited.duration:.2f} s")
    for index, (word, before, after) in enumerate(zip(edited.words, edited.before, edited.after, strict=True), 1):
        mark = " ←" if swapped[0] <= index <= swapped[1] else ""
        typer.echo(f"{index:3d} {word:20s} {before:6.2f} s {after:6.2f} s{mark}")
