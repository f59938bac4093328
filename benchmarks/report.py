"""The report card of a manifest, how long it takes, and how long each metric takes by itself.

The report is run as a user runs it, in a process of its own. Each metric is then timed in one process on one thread, as
CPU time: judges that hear a clip once for several metrics are counted with the first of them.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from anchors import RESULTS, main, record, verdict
from rich.console import Console
from rich.table import Table

from vocable.errors import ConfigError

_TARGET = 300.0  # seconds, for 80 clips, two tokenizers and three codecs on two cores


def report(
    manifest: Annotated[Path, typer.Argument(help="A JSONL manifest.")],
    models: Annotated[list[str], typer.Option("--model", help="Tokenizers of the report.")],
    split: Annotated[str, typer.Option(help="Of the manifest.")] = "test",
    codecs: Annotated[str, typer.Option(help="Codecs of the report.")] = "opus:6,codec2:3200,speex",
    levels: Annotated[str, typer.Option(help="Levels of the report, beside all of them.")] = "",
    lyra: Annotated[Path | None, typer.Option(help="Folder of Lyra v2's three TFLite files.")] = None,
    recognise: Annotated[int | None, typer.Option(help="So many clips go to the recogniser; all by default.")] = None,
    clips: Annotated[int, typer.Option(min=2, help="On which each metric is timed.")] = 8,
    jobs: Annotated[int, typer.Option(min=1, help="Processes of the report.")] = 2,
    name: Annotated[str, typer.Option(help="Of the result file.")] = "report",
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Make a whole report, and time it and each of its metrics."""
    console = Console()
    more = {"--levels": levels, "--lyra": lyra, "--recognise": recognise}
    given = [str(part) for option, value in more.items() if value for part in (option, value)]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "vocable.cli.main", "evaluate", *models, "--data", str(manifest),
                   "--split", split, "--codecs", codecs, "--jobs", str(jobs), "--out", folder, *given]  # fmt: skip
        start = time.perf_counter()
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        wall = time.perf_counter() - start
        if done.returncode:
            raise ConfigError(f"the report failed: {done.stderr.strip().splitlines()[-1]}")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        summary, settings = (json.loads((Path(folder) / file).read_text()) for file in ("summary.json", "run.json"))
    cpu = used.ru_utime + used.ru_stime
    costs, seconds = _costs(manifest, models[0], split, clips)
    table = Table(title=f"CPU seconds for a clip of {seconds:.1f} s (mean of {clips - 1})")
    for column in ("metric", "CPU s", "× real time"):
        table.add_column(column)
    for key, cost in costs.items():
        table.add_row(key, f"{cost:.3f}", f"{seconds / cost:,.0f}" if cost > 5e-4 else "with the one above")
    console.print(table)
    said = verdict(wall - _TARGET)
    console.print(
        f"report: {wall:.0f} s with {jobs} processes, {cpu:.0f} CPU s; ≤ {_TARGET:.0f} s: {said}", markup=False
    )
    values = {
        "report": {"wall_s": wall, "cpu_s": cpu, "jobs": jobs, "target_s": _TARGET, "met": wall <= _TARGET},
        "metrics": {key: {"cpu_s": cost, "real_time_factor": cost / seconds} for key, cost in costs.items()},
        "clip_seconds": seconds,
    }
    short = {entry: {key: _short(cell) for key, cell in cells.items()} for entry, cells in summary.items()}
    data = {"manifest": manifest.parent.name, "split": split, "models": [Path(model).name for model in models]}
    target = record(name, folder=out, data=data, settings=settings, values=values, summary=short)
    console.print(f"written: {target}", markup=False)


def _short(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell without what ``settings`` says once for all entries."""
    return {key: value for key, value in cell.items() if key not in ("settings", "unit", "better")}


def _costs(manifest: Path, model: str, split: str, count: int) -> tuple[dict[str, float], float]:
    """Mean CPU seconds of every metric on a clip, and the clips' mean length; the first clip only warms up."""
    import vocable
    from vocable.data.manifest import read_manifest
    from vocable.evaluate.measures import NAMES, find_measures
    from vocable.evaluate.pairs import Pair, ScoredClip
    from vocable.evaluate.plan import as_scored, spread_evenly

    tokenizer = vocable.load(model)
    measures, _ = find_measures(NAMES)
    texts = {str(utterance.audio_path): utterance.text for utterance in read_manifest(manifest, split)}
    costs = {"encode and decode": 0.0} | dict.fromkeys((measure.column.key for measure in measures), 0.0)
    seconds = 0.0
    for number, path in enumerate(spread_evenly(list(texts), count)):
        clip = as_scored(vocable.Audio.read(path))
        start = time.process_time()
        made = as_scored(tokenizer.decode(tokenizer.encode(clip)))
        spent = {"encode and decode": time.process_time() - start}
        reference = ScoredClip(clip)
        for measure in measures:  # the recording is heard once for all codecs: not counted here
            measure(Pair(reference=reference, decoded=reference, text=texts[path]))
        pair = Pair(reference=reference, decoded=ScoredClip(made), text=texts[path])
        for measure in measures:
            start = time.process_time()
            measure(pair)
            spent[measure.column.key] = time.process_time() - start
        if number:
            seconds += clip.duration
            costs = {key: costs[key] + spent[key] for key in costs}
    return {key: cost / (count - 1) for key, cost in costs.items()}, seconds / (count - 1)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main(report)
