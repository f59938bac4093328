"""What a vocoder makes of the same mel spectra as another: of recordings' own, and of those a tokenizer decodes to.

Everything is scored against the recording at the spectra's own rate. Differences are of the same clips, first vocoder
minus the last.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from anchors import RESULTS, interval, main, need, record
from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import track
from rich.table import Table

from vocable.errors import AudioError, ConfigError

_METRICS = {
    "pesq_wb": ("PESQ-WB ↑", ".2f"), "pesq_nb": ("PESQ-NB ↑", ".2f"), "stoi": ("STOI ↑", ".3f"),
    "log_mel": ("log-mel distance, dB ↓", ".2f"), "dnsmos": ("DNSMOS P.808 ↑", ".2f"),
}  # fmt: skip
Row = dict[str, Any]  # of a clip, a source of spectra and a vocoder


def vocoders(
    manifest: Annotated[Path, typer.Argument(help="A JSONL manifest.")],
    vocoder: Annotated[list[str] | None, typer.Option(help="By name or folder; repeat to compare.")] = None,
    model: Annotated[str | None, typer.Option(help="A tokenizer that ends in mel spectra, by name or folder.")] = None,
    recipe: Annotated[str, typer.Option(help="Whose spectra are taken without a model.")] = "vocoder-8k",
    split: Annotated[str, typer.Option(help="Of the manifest.")] = "test",
    clips: Annotated[int, typer.Option(min=2, help="Spread evenly over the split.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    name: Annotated[str, typer.Option(help="Of the result file.")] = "vocoder",
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Score vocoders on the same clips."""
    need("pesq", "pesq")
    need("onnxruntime and speechmos", "onnxruntime", "vocable[evaluate]")
    import vocable
    from vocable import recipes
    from vocable.data.manifest import read_manifest
    from vocable.evaluate.plan import spread_evenly
    from vocable.vocoders import find_vocoder

    names = vocoder or ["vocoder-8k", "griffin-lim"]
    tokenizer = None if model is None else vocable.load(model)
    if tokenizer is not None and not hasattr(tokenizer, "vocoder"):
        raise ConfigError(f"--model {model}: does not end in mel spectra; take another")
    spec = tokenizer.vocoder.spec if tokenizer is not None else recipes.find_recipe(recipe).model.mel
    makers = {each: find_vocoder(each, spec) for each in names}
    utterances = {str(utterance.audio_path): utterance for utterance in read_manifest(manifest, split)}
    paths = spread_evenly(list(utterances), clips)
    rows: list[Row] = []
    excluded: dict[str, str] = {}
    score = _scorer(spec.sample_rate)
    for path in track(paths, "clips"):
        try:
            rows += list(_rows(vocable.Audio.read(path, spec.sample_rate), makers, tokenizer, score))
        except AudioError as error:
            excluded[Path(path).name] = str(error)
    summary = _summary(rows, names, seed)
    console = Console(width=160)
    console.print(_table(summary, names))
    data = {
        "manifest": manifest.parent.name, "split": split, "n": len(paths) - len(excluded), "excluded": excluded,
        "speakers": sorted({str(utterances[path].speaker) for path in paths}),
    }  # fmt: skip
    target = record(
        name,
        model,
        tokenizer,
        folder=out,
        data=data,
        seed=seed,
        mel=asdict(spec),
        vocoders=[{"name": Path(each).name, "digest": getattr(made, "digest", None)} for each, made in makers.items()],
        values=summary,
    )
    console.print(f"written: {target}", markup=False)


def _rows(audio: Any, makers: Mapping[str, Any], tokenizer: Any, score: Callable[[Any, Any], Row]) -> Iterator[Row]:
    """Every vocoder on the clip's own spectra and, with a tokenizer, on those its tokens decode to."""
    import torch

    samples = audio.samples
    tokens = None if tokenizer is None else tokenizer.encode(audio)
    yield {"source": "recording", "vocoder": "", **score(samples, samples)}
    for name, vocoder in makers.items():
        hop = vocoder.spec.hop
        whole = torch.from_numpy(np.pad(samples, (0, -samples.size % hop)))[None]
        begun = time.process_time()
        made = vocoder.render(vocoder.spec.mel(whole)[0])[: samples.size]
        cost = (time.process_time() - begun) / audio.duration
        yield {"source": "its spectra", "vocoder": name, "cost": cost, **score(samples, made)}
        if tokens is not None:
            tokenizer.vocoder = vocoder
            yield {"source": "its tokens", "vocoder": name, **score(samples, tokenizer.decode(tokens).samples)}


def _scorer(rate: int) -> Callable[[Any, Any], Row]:
    """All metrics of a pair; NaN where one is undefined."""
    from vocable.audio import Audio
    from vocable.evaluate.judges.quality import DnsmosPredictor
    from vocable.metrics.quality import pesq, stoi
    from vocable.metrics.spectral import log_mel_distance

    judge = DnsmosPredictor(("p808",))

    def opinion(made: Any) -> float:
        try:
            return judge.rate(Audio(made, rate))["p808"]
        except AudioError:
            return float("nan")

    def score(real: Any, made: Any) -> Row:
        return {
            "pesq_wb": pesq(real, made, rate, "wb").value if rate == 16_000 else float("nan"),
            "pesq_nb": pesq(real, made, rate, "nb").value,
            "stoi": stoi(real, made, rate).value,
            "log_mel": log_mel_distance(real, made, rate).value,
            "dnsmos": opinion(made),
        }

    return score


def _summary(rows: Sequence[Row], names: Sequence[str], seed: int) -> list[Row]:
    """Means with intervals, and the differences of the first vocoder from the last, clip by clip."""
    found: list[Row] = []
    for source in dict.fromkeys(row["source"] for row in rows):
        of = {name: [row for row in rows if (row["source"], row["vocoder"]) == (source, name)] for name in ["", *names]}
        for name, members in of.items():
            if members:
                keys = [*_METRICS, *(["cost"] if "cost" in members[0] else [])]
                cells = {key: interval([_known(row[key]) for row in members], seed=seed) for key in keys}
                found.append({"source": source, "vocoder": name, **cells})
        first, last = of[names[0]], of[names[-1]]
        if len(names) > 1 and first:
            pairs = list(zip(first, last, strict=True))
            cells = {key: interval([_known(one[key] - two[key]) for one, two in pairs], seed=seed) for key in _METRICS}
            found.append({"source": source, "vocoder": f"{names[0]} − {names[-1]}", **cells})
    return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _table(summary: Sequence[Row], names: Sequence[str]) -> Table:
    table = Table(box=MARKDOWN)
    for column in ("spectra of", "vocoder", *(title for title, _ in _METRICS.values()), "CPU ms for a second"):
        table.add_column(column)
    for row in summary:
        cells = [f"{row[key]['mean']:{form}} ({row[key]['low']:{form}} to {row[key]['high']:{form}})"
                 if row[key]["mean"] is not None else "undefined" for key, (_, form) in _METRICS.items()]  # fmt: skip
        cost = f"{1000 * row['cost']['mean']:.0f}" if "cost" in row else ""
        table.add_row(row["source"], Path(row["vocoder"]).name or "–", *cells, cost)
    return table


if __name__ == "__main__":
    main(vocoders)
