"""Voices that come with a bundled model: the mean voice vector of recordings of each speaker.

python benchmarks/named_voices.py MODEL NAME=MANIFEST... [--limit 20]

Writes voices.safetensors into the folder of a bundled model, or of MODEL, if it is a folder. Only split train is read.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from anchors import main

_LEAST = 3.0  # seconds of a recording


def named_voices(
    model: Annotated[str, typer.Argument(help="Name or folder of a tokenizer with a voice vector.")],
    speakers: Annotated[list[str], typer.Argument(help="NAME=MANIFEST of one speaker, such as kathleen=m.jsonl.")],
    limit: Annotated[int, typer.Option(help="Number of recordings of each speaker, spread evenly.")] = 20,
) -> None:
    """Write the voices; prints a line for each."""
    import vocable
    from vocable.data.manifest import read_manifest
    from vocable.evaluate.plan import spread_evenly
    from vocable.folder import bundled
    from vocable.systems.named_voices import write_voices

    tokenizer: Any = vocable.load(model)
    for speaker in speakers:
        name, _, manifest = speaker.partition("=")
        lines = [line for line in read_manifest(Path(manifest), "train") if (line.duration or 0.0) >= _LEAST]
        chosen = spread_evenly(lines, limit)
        tokenizer.add_voice(name, [line.audio_path for line in chosen])
        typer.echo(f"{name}: {len(chosen)} of {len(lines)} recordings of at least {_LEAST:g} s in split train")
    folder = bundled(tokenizer.system).get(model, Path(model))
    write_voices(folder, tokenizer.voices, tokenizer.digest)


if __name__ == "__main__":
    main(named_voices)
