"""Cost of tokenizing a corpus beside the bare model: overhead, two processes, short clips, memory, planning.

Times are measured in turns in one process, and given as ratios: a busy machine disturbs both sides alike. The bare
model encodes recordings that lie in memory, one by one. CPU time is that of all threads: reading ahead counts as if
nothing ran beside it. Wall time means something on an idle machine alone.
"""

import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import soundfile
import typer
from anchors import RATE, RESULTS, main, memory, record, verdict
from rich.console import Console
from rich.table import Table

_TARGETS = {
    "overhead_cpu": 1.10, "two_processes_wall": 1.8, "two_processes_cpu": 1.8, "short_to_long_cpu": 3.0,
    "memory_10_h_mb": 100.0, "memory_100k_mb": 100.0, "planning_s": 5.0, "ids_that_differ": 0.0,
}  # fmt: skip
_SHORT, _LONG = 0.5, 12.0  # seconds of a clip
_UPWARDS = {"two_processes_wall", "two_processes_cpu"}  # more is better


def measure(
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "guided-small",
    minutes: Annotated[float, typer.Option(min=0.1, help="Speech of a turn.")] = 8.0,
    turns: Annotated[int, typer.Option(min=1, help="Turns, of which the median counts.")] = 3,
    hours: Annotated[float, typer.Option(min=0.0, help="Length of the long recording.")] = 10.0,
    clips: Annotated[int, typer.Option(min=0, help="Number of short clips of the test of memory.")] = 100_000,
    only: Annotated[str, typer.Option(help="One of time, processes, memory, planning.")] = "",
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Measure what tokenizing a corpus costs beside its model."""
    console = Console()
    values: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if only in ("", "time"):
            values |= _fresh(_times, model, folder, minutes, turns)
        if only in ("", "processes"):
            values |= _processes(model, folder / "processes", minutes, turns)
        if only in ("", "memory"):
            values |= _memories(model, folder, hours, clips, console)
        if only in ("", "planning"):
            values |= _fresh(_plan_time, folder / "many", 100_000)
            values["planning_s"] = max(values["planning_manifest_cpu_s"], values["planning_folder_cpu_s"])
    table = Table("", "value", "target", "")
    for name, value in values.items():
        target = _TARGETS.get(name)
        short = None if target is None else (target - value if name in _UPWARDS else value - target)
        table.add_row(name, f"{value:.4g}", "" if target is None else f"{target:g}",
                      "" if short is None else verdict(short))  # fmt: skip
    console.print(table)
    import vocable

    name = f"tokenization_{only}" if only else "tokenization"
    target = record(name, model, vocable.load(model), out, targets=_TARGETS, values=values, seed=0,
                    data={"audio": "vocable.testing.speechlike", "minutes": minutes, "turns": turns})  # fmt: skip
    console.print(f"written: {target}", markup=False)


def _times(model: str, folder: Path, minutes: float, turns: int) -> dict[str, float]:
    """Compare the bare model with the tokenization of a corpus, and short clips with long ones, in turns."""
    import vocable
    from vocable.testing import speechlike

    codec = vocable.load(model)
    codec.encode(speechlike(9_000))
    rows = []
    for kind, seconds in (("short", _SHORT), ("long", _LONG)):
        _write_clips(folder / kind, seconds, int(minutes * 60 / seconds))
    for _ in range(turns):
        row = {}
        for kind, seconds in (("short", _SHORT), ("long", _LONG)):
            paths = sorted((folder / kind).iterdir())
            clips = [vocable.Audio.read(path) for path in paths[: max(10, len(paths) // 4)]]
            alone = _timed(lambda clips=clips: [codec.encode(clip) for clip in clips])
            row[f"bare_{kind}"] = {name: value / len(clips) / seconds for name, value in alone.items()}
            corpus = _corpus(codec, folder / kind, folder / "out")
            row[f"corpus_{kind}"] = {name: corpus[name] / len(paths) / seconds for name in alone}
            row[f"differ_{kind}"] = {"ids": corpus["differ"]}
        rows.append(row)

    def ratio(one: str, other: str, unit: str) -> float:
        return statistics.median(row[one][unit] / row[other][unit] for row in rows)

    values = {
        f"{name}_{unit}": ratio(one, other, unit)
        for unit in ("cpu", "wall")
        for name, one, other in (
            ("overhead", "corpus_long", "bare_long"), ("short_to_long", "corpus_short", "corpus_long"),
            ("short_to_long_alone", "bare_short", "bare_long"),
        )
    }  # fmt: skip
    return values | {
        "cpu_s_per_hour_of_speech": 3600 * statistics.median(row["corpus_long"]["cpu"] for row in rows),
        "ids_that_differ": sum(row[f"differ_{kind}"]["ids"] for row in rows for kind in ("short", "long")),
    }


def _timed(work: Callable[[], object]) -> dict[str, float]:
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - started}


def _memories(model: str, folder: Path, hours: float, clips: int, console: Console) -> dict[str, float]:
    """Compare the peak memory of a long recording and of many clips with that of a few."""
    _write_clips(folder / "few", 12.0, 30)
    base = _fresh(_peak, model, folder / "few", folder / "out")["peak_mb"]
    values = {"memory_few_mb": base}
    console.print(f"30 clips of 12 s: {base:.0f} MB")
    if hours:
        path = folder / "hours" / "a.wav"
        path.parent.mkdir()
        _write_long(path, hours)
        values["memory_10_h_mb"] = _fresh(_peak, model, path.parent, folder / "out")["peak_mb"] - base
        console.print(f"{hours:g} h in one recording: {values['memory_10_h_mb']:+.0f} MB")
        shutil.rmtree(path.parent)
    if clips:
        _link_clips(folder / "many-clips", clips)
        values["memory_100k_mb"] = _fresh(_peak, model, folder / "many-clips", folder / "out")["peak_mb"] - base
        console.print(f"{clips} clips: {values['memory_100k_mb']:+.0f} MB")
    return values


def _fresh(function: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """Run a function in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _corpus(codec: Any, folder: Path, out: Path) -> dict[str, float]:
    """Tokenize the recordings of a folder, and compare some rows with the recordings alone."""
    import vocable
    from vocable.corpus.token_corpus import TokenCorpus
    from vocable.corpus.tokenize import tokenize_corpus

    shutil.rmtree(out, ignore_errors=True)
    times = _timed(lambda: tokenize_corpus(codec, [folder], out, shard_hours=0.02, say=lambda line: None))
    corpus, differ = TokenCorpus.open(out), 0
    for number in range(0, len(corpus), max(1, len(corpus) // 20)) if len(corpus) > 1 else ():
        path = folder / Path(corpus.row(number).id).name
        differ += int((codec.encode(vocable.Audio.read(path)).ids[0].numpy() != corpus.ids(number)).sum())
    return times | {"differ": differ}


def _peak(model: str, folder: Path, out: Path) -> dict[str, float]:
    """Tokenize the recordings of a folder; return the highest memory of the process."""
    import vocable

    _corpus(vocable.load(model), folder, out)
    return {"peak_mb": memory()[1]}


def _processes(model: str, folder: Path, minutes: float, turns: int) -> dict[str, float]:
    """Compare one process with two that share a folder, and begin together."""
    _write_clips(folder / "long", _LONG, int(minutes * 60 / _LONG))
    pairs = [[_together(model, folder / "long", folder / "out", count) for count in (1, 2)] for _ in range(turns)]
    return {
        f"two_processes_{unit}": statistics.median(one[unit] / two[unit] for one, two in pairs)
        for unit in ("cpu", "wall")
    }


def _together(model: str, folder: Path, out: Path, count: int) -> dict[str, float]:
    """Tokenize a folder by processes that begin together; return the times of the one that takes longest."""
    shutil.rmtree(out, ignore_errors=True)
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(count), context.Queue()
    processes = [context.Process(target=_beside, args=(model, folder, out, barrier, results)) for _ in range(count)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return {unit: max(one[unit] for one in found) for unit in ("cpu", "wall")}


def _beside(model: str, folder: Path, out: Path, barrier: Any, results: Any) -> None:
    import vocable
    from vocable.corpus.tokenize import tokenize_corpus
    from vocable.testing import speechlike

    codec = vocable.load(model)
    codec.encode(speechlike(9_000))
    barrier.wait()
    results.put(_timed(lambda: tokenize_corpus(codec, [folder], out, shard_hours=0.02, say=lambda line: None)))


def _plan_time(folder: Path, count: int) -> dict[str, float]:
    """Plan a manifest of so many recordings, which lie in folders of a hundred."""
    from vocable.corpus.work_plan import PlanHeader, make_plan

    paths = [folder / f"s{index // 100}" / f"{index % 100:03d}.wav" for index in range(count)]
    for path in paths[::100]:
        path.parent.mkdir(parents=True)
    for path in paths:
        path.touch()
    manifest = folder / "manifest.jsonl"
    rows = (
        {"audio_path": str(path.relative_to(folder)), "text": "hello", "speaker": path.parent.name} for path in paths
    )
    lines = map(json.dumps, rows)
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    values = {}
    for name, source in (("manifest", manifest), ("folder", folder)):
        started, cpu = time.perf_counter(), time.process_time()
        plan = make_plan(folder / f"out-{name}", [source], PlanHeader(plan=1, tokenizer="none"), lambda line: None)
        values[f"planning_{name}_cpu_s"] = time.process_time() - cpu
        values[f"planning_{name}_wall_s"] = time.perf_counter() - started
        assert sum(map(len, plan.units)) == count
    return values


def _write_clips(folder: Path, seconds: float, count: int) -> None:
    """Write clips of synthetic speech, of which twenty differ."""
    from vocable.testing import speechlike

    folder.mkdir(parents=True)
    kinds = [speechlike(int(seconds * RATE), RATE, seed).samples for seed in range(20)]
    for number in range(count):
        with soundfile.SoundFile(folder / f"{number:06d}.flac", "w", RATE, 1, "PCM_16") as file:
            file.write(np.clip(kinds[number % 20], -1, 1))


def _link_clips(folder: Path, count: int) -> None:
    """Make so many names of twenty short clips."""
    _write_clips(folder.with_name("kinds"), _SHORT, 20)
    folder.mkdir()
    for number in range(count):
        os.link(folder.with_name("kinds") / f"{number % 20:06d}.flac", folder / f"{number:06d}.flac")


def _write_long(path: Path, hours: float) -> None:
    from vocable.testing import speechlike

    kinds = [np.clip(speechlike(10 * RATE, RATE, seed).samples, -1, 1) for seed in range(20)]
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for number in range(int(hours * 360)):
            file.write(kinds[number % 20])


if __name__ == "__main__":
    main(measure)
