"""Loss by quantizing the voice vector: decoded spectra and speaker similarity with float32 and with a few levels.

python benchmarks/voice_levels.py MANIFEST... [--model supervised-small]

Tokens of each clip are decoded with the voice in float32, then with each dimension rounded to some levels.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from anchors import main, record

_LEVELS = (16, 8, 4)


def voice_levels(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests.")],
    model: Annotated[str, typer.Option(help="Name or folder of a tokenizer with a voice vector.")] = "supervised-small",
    split: Annotated[str, typer.Option(help="Split of the manifests.")] = "dev",
    limit: Annotated[int, typer.Option(help="Number of clips of each manifest, spread evenly.")] = 8,
) -> None:
    """Measure; prints a line for each number of levels and writes results/voice_levels.json."""
    import vocable
    from vocable.audio import Audio
    from vocable.data.manifest import read_manifest
    from vocable.evaluate.judges.voice import ResemblyzerEncoder
    from vocable.evaluate.plan import spread_evenly
    from vocable.voices import LIMIT, round_voice, voice_bits

    tokenizer: Any = vocable.load(model)
    judge = ResemblyzerEncoder()
    rows: dict[int | None, list[tuple[float, ...]]] = {levels: [] for levels in (None, *_LEVELS)}
    largest, clipped = 0.0, 0
    items = [item for manifest in manifests for item in spread_evenly(read_manifest(manifest, split), limit)]
    for item in items:
        audio = Audio.read(item.audio_path, 16_000)
        tokens = tokenizer.encode(audio)
        voice = tokens.voice
        largest, clipped = max(largest, float(voice.abs().max())), clipped + int((voice.abs() > LIMIT).sum())
        spectra, speech = tokenizer.spectra(tokens, voice), judge.embed(tokenizer.decode(tokens))
        recording = judge.embed(audio)
        for levels, found in rows.items():
            rounded = round_voice(voice, levels)
            difference = float((tokenizer.spectra(tokens, rounded) - spectra).abs().mean())
            decoded = judge.embed(tokenizer.decode(replace(tokens, voice=rounded)))
            found.append((difference, float(decoded @ speech), float(decoded @ recording)))
    results: dict[str, Any] = {}
    for levels, found in rows.items():
        difference, same, likeness = np.mean(found, axis=0).tolist()
        bits = voice_bits(tokenizer.format.voice_width, levels)
        results[str(levels or "float32")] = {
            "bits": bits, "spectra_db": difference, "to_float32": same, "to_recording": likeness
        }  # fmt: skip
        typer.echo(f"{levels or 'float32'}: {bits} bit, {difference:.3f} dB, {same:.4f} to float32, {likeness:.4f}")
    written = record(
        "voice_levels", model=model, digest=tokenizer.digest, split=split, limit=limit, clips=len(items),
        judge=judge.name, largest=largest, beyond_the_limit=clipped, data=results,
    )  # fmt: skip
    typer.echo(f"largest |value| {largest:.2f}, {clipped} beyond {LIMIT:g}: {written}")


if __name__ == "__main__":
    main(voice_levels)
