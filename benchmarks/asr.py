"""Words of a tokenizer's phonemes beside a speech recognizer's: word errors, and settings of the search tuned on dev.

python benchmarks/asr.py MODEL MANIFEST... [--tune] [--decoded] [--split dev] [--limit N]

Also phone errors of the most likely phonemes and, with --decoded, the recognizer's word errors in the decoded speech.

Scores are computed once for each clip, so that a setting takes a pass of the search alone. With --tune, settings are
chosen one after the other for the fewest word errors over all manifests: tune on dev, and put the result into the
tokenizer's `word_search`. Whisper's English normalization.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from anchors import main, record

_GRID: dict[str, tuple[float, ...]] = {
    "lm_weight": (0.4, 0.6, 0.8, 1.0, 1.5, 2.0), "word_bonus": (-1.0, 0.0, 1.0, 2.0), "blank_penalty": (0.0, 0.5),
}  # fmt: skip


def asr(
    model: Annotated[str, typer.Argument(help="Name or folder of a tokenizer that recognizes phonemes.")],
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of English speech with texts.")],
    tune: Annotated[bool, typer.Option("--tune", help="Choose the settings of the search.")] = False,
    split: Annotated[str, typer.Option(help="Split of the manifests.")] = "dev",
    limit: Annotated[int | None, typer.Option(help="Number of clips of each manifest, spread evenly.")] = None,
    decoded: Annotated[
        bool, typer.Option("--decoded", help="Decode the tokens, and recognize that speech, too.")
    ] = False,
    beside: Annotated[bool, typer.Option(help="Whether the default speech recognizer is measured, too.")] = True,
    name: Annotated[str, typer.Option(help="Name of the result.")] = "asr",
) -> None:
    """Measure; prints a line for each manifest and writes results/NAME.json."""
    import vocable
    from vocable.apps.asr import recognize_words
    from vocable.audio import Audio
    from vocable.data.alignment.words import words_of
    from vocable.data.manifest import read_manifest
    from vocable.evaluate.judges.find import load_recognizer
    from vocable.evaluate.plan import spread_evenly
    from vocable.metrics.text import normalize_english, per, wer
    from vocable.schema import to_json
    from vocable.text.pronounce import ArpabetPronouncer
    from vocable.text.word_model import bundled_search

    pronouncer = ArpabetPronouncer()
    tokenizer: Any = vocable.load(model)
    judge = load_recognizer() if beside else None
    results: dict[str, Any] = {}
    clips: list[tuple[str, str, Any]] = []
    for manifest in manifests:
        folder = manifest.absolute().parent.name
        items = spread_evenly([item for item in read_manifest(manifest, split) if item.text], limit)
        errors_of: dict[str, list[Any]] = {}
        for item in items:
            audio, text = Audio.read(item.audio_path, 16_000), item.text or ""
            tokens = tokenizer.encode(audio)
            clips.append((folder, text, tokenizer.phoneme_scores(tokens).cpu().numpy()))
            phones = [phone for word in words_of(item, lambda: pronouncer) for phone in word]
            errors_of.setdefault("per", []).append(per(phones, tokenizer.transcribe(tokens), strip_stress=True))
            heard = {"recognizer": audio} | ({"decoded": tokenizer.decode(tokens)} if decoded else {})
            for key, speech in heard.items() if judge is not None else ():
                found = recognize_words(judge, speech).text
                errors_of.setdefault(key, []).append(wer(text, found, normalizer=normalize_english))
        results[folder] = {"clips": len(items)}
        results[folder] |= {key: sum(found[1:], found[0]).rate for key, found in errors_of.items()}
    search = bundled_search(tokenizer.phonemes.symbols)

    def errors(settings: Any) -> dict[str, Any]:
        """Return the counts of word errors of each manifest."""
        counts: dict[str, Any] = {}
        finder = search.with_settings(settings)
        for folder, text, scores in clips:
            found = " ".join(word.text for word in finder.find(scores))
            count = wer(text, found, normalizer=normalize_english)
            counts[folder] = counts[folder] + count if folder in counts else count
        return counts

    def rate(settings: Any) -> float:
        counts = list(errors(settings).values())
        return sum(counts[1:], counts[0]).rate

    settings, tried = tokenizer.word_search, []
    if tune:
        settings, tried = choose(settings, rate)
    begin = time.process_time()
    counts = errors(settings)
    seconds = time.process_time() - begin
    for folder, count in counts.items():
        results[folder] |= {"wer": count.rate, "words": count.reference}
        beside_text = f"; {judge.name} {results[folder]['recognizer']:.4f}" if judge is not None else ""
        typer.echo(f"{folder} {split}: WER {count.rate:.4f}{beside_text}; PER {results[folder]['per']:.4f}")
        if "decoded" in results[folder]:
            typer.echo(f"{folder} {split}: WER of the decoded speech {results[folder]['decoded']:.4f}")
    spoken = sum(len(scores) for *_, scores in clips)
    written = record(
        name, model=model, digest=tokenizer.digest, split=split, limit=limit, settings=to_json(settings), tried=tried,
        recognizer=None if judge is None else judge.name, search_seconds=seconds, positions=spoken, data=results,
    )  # fmt: skip
    typer.echo(f"{to_json(settings)}: {written}")


def choose(settings: Any, rate: Callable[[Any], float]) -> tuple[Any, list[Any]]:
    """Return the best settings, and all that were tried with their word error rate; one setting after the other."""
    from vocable.schema import to_json

    best, tried = rate(settings), []
    for setting, values in _GRID.items():
        for value in values:
            other = replace(settings, **{setting: value})
            if other == settings:
                continue
            found = rate(other)
            tried.append([to_json(other), found])
            typer.echo(f"{setting} {value:g}: WER {found:.4f}")
            if found < best:
                best, settings = found, other
    return settings, tried


if __name__ == "__main__":
    main(asr)
