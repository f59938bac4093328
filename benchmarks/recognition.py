"""The default speech recognizer on recordings: word errors, speed on one thread, and independence of the order.

python benchmarks/recognition.py MANIFEST... [--recogniser NAME]

Of each manifest, all clips of the split that have a text. Whisper's English normalization.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from anchors import interval, main, record, verdict

_ERRORS = {"read_librispeech": 0.13, "read_librispeech_tc5": 0.08}  # WER that is asked for, by the manifest's folder
_SPEED = 20.0  # times real time
_SHOWN = 6  # clips that are recognized again, alone


def recognition(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of English speech with texts.")],
    recogniser: Annotated[str | None, typer.Option(help="Another recognizer: pocketsphinx, or a Whisper.")] = None,
    split: Annotated[str, typer.Option(help="Split of the manifests.")] = "test",
    limit: Annotated[int | None, typer.Option(help="Number of clips of each manifest, spread evenly.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the intervals.")] = 0,
    name: Annotated[str, typer.Option(help="Name of the result.")] = "recognition",
) -> None:
    """Measure; prints a line for each manifest and writes results/recognition.json."""
    from vocable.apps.asr import recognize_words
    from vocable.audio import Audio
    from vocable.data.manifest import read_manifest
    from vocable.evaluate.judges.find import find_scorer
    from vocable.evaluate.plan import spread_evenly
    from vocable.metrics.text import english_normalizer_name, normalize_english, wer

    scorer = find_scorer("recognizer", recogniser)
    results: dict[str, Any] = {}
    for manifest in manifests:
        items = [item for item in read_manifest(manifest, split) if item.text]
        clips = [(Audio.read(item.audio_path, 16_000), item.text or "") for item in spread_evenly(items, limit)]
        begin = time.process_time()
        found = [recognize_words(scorer, clip) for clip, _ in clips]
        seconds = time.process_time() - begin
        counts = [
            wer(text, one.text, normalizer=normalize_english) for (_, text), one in zip(clips, found, strict=True)
        ]
        total = sum(counts[1:], counts[0])
        again = [recognize_words(scorer, clips[at][0]) for at in reversed(range(min(_SHOWN, len(clips))))][::-1]
        audio = sum(clip.duration for clip, _ in clips)
        folder = manifest.absolute().parent.name
        results[folder] = {
            "clips": len(clips),
            "minutes": audio / 60,
            "wer": total.rate,
            "wer_of_clips": interval([count.rate for count in counts], seed=seed),
            "words": total.reference,
            "errors": {
                "substitutions": total.substitutions,
                "deletions": total.deletions,
                "insertions": total.insertions,
            },
            "empty": sum(not one.text for one in found),
            "loops": sum(one.is_loop for one in found),
            "times_real_time": audio / seconds,
            "differ_in_another_order": sum(one != other for one, other in zip(again, found, strict=False)),
        }
        line = f"{folder}: {len(clips)} clips, WER {total.rate:.4f}, {audio / seconds:.1f} × real time"
        if recogniser is None:
            line += f" ({verdict(_SPEED - audio / seconds)})"
            line += f"; WER {verdict(total.rate - _ERRORS[folder])}" if folder in _ERRORS else ""
        typer.echo(line)
    written = record(
        name,
        scorer=scorer.name,
        normalizer=english_normalizer_name(),
        split=split,
        limit=limit,
        seed=seed,
        data=results,
    )
    typer.echo(written)


if __name__ == "__main__":
    main(recognition)
