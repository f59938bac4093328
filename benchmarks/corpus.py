"""Memory and start of a training with 1 h and with 100 h of speech: the same recordings, named again and again.

Each run is a process of its own, which trains a tiny recipe for some steps. Its peak is ``VmHWM``, without loader
workers, which share its memory. Features of teachers are no part of it.
"""

import json
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from anchors import RESULTS, main, memory, record, verdict
from rich.console import Console
from rich.table import Table

_MOST_MB = 100.0
_RECIPES = ("guided-tiny", "vocoder-tiny", "ctap-tiny")
_PHONES_A_SECOND = 11


def corpus(
    data: Annotated[Path, typer.Argument(help="Manifest of recordings with a duration.")],
    hours: Annotated[int, typer.Option(min=2, help="Hours of the larger corpus; the smaller has one.")] = 100,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each run.")] = 20,
    workers: Annotated[int, typer.Option(min=0, help="Loader workers.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Measure peak memory and the CPU time before the first step."""
    console, values = Console(), {}
    table = Table("", "lines", "peak, MB", "apart, MB", "start, CPU s")
    with tempfile.TemporaryDirectory() as folder:
        for recipe in _RECIPES:
            rows = {}
            for size in (1, hours):
                manifest = Path(folder) / f"{size}.jsonl"
                lines = _write(manifest, data, size, aligned=recipe.startswith("ctap"))
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                    run = Path(folder) / f"{recipe}-{size}"
                    rows[f"{size} h"] = {
                        "lines": lines, **pool.submit(_train, recipe, manifest, run, steps, workers).result()
                    }  # fmt: skip
            small, large = rows.values()
            apart = large["peak_mb"] - small["peak_mb"]
            values[recipe] = {**rows, "apart_mb": apart, "met": apart <= _MOST_MB}
            for name, row in rows.items():
                shown = f"{apart:.0f}, ≤ {_MOST_MB:g} {verdict(apart - _MOST_MB)}" if row is large else ""
                table.add_row(
                    f"{recipe}, {name}", f"{row['lines']:,}", f"{row['peak_mb']:.0f}", shown, f"{row['start_s']:.1f}"
                )
    console.print(table)
    record(
        "corpus", folder=out, data={"hours": [1, hours], "n": lines, "excluded": 0}, seed=0,
        steps=steps, workers=workers, targets={"most_mb_apart": _MOST_MB}, values=values,
    )  # fmt: skip


def _write(manifest: Path, data: Path, hours: float, *, aligned: bool) -> int:
    """Write a manifest of so many hours from the recordings of another; return its number of lines."""
    from vocable.data.manifest import read_manifest

    rows = [
        {"audio_path": str(one.audio_path), "duration": one.duration, "speaker": one.speaker, "split": "train"}
        for one in read_manifest(data, "train")
    ]
    if aligned:
        for row in rows:
            count = int(row["duration"] * _PHONES_A_SECOND)
            ends = [round(row["duration"] * (number + 1) / count, 4) for number in range(count)]
            names = ("AA", "K", "IY", "S")
            starts = [0.0, *ends[:-1]]
            row["alignment"] = [[names[at % 4], starts[at], ends[at]] for at in range(count)]
    lines, seconds = 0, 0.0
    with manifest.open("w", encoding="utf-8") as file:
        while seconds < hours * 3600:
            row = rows[lines % len(rows)]
            file.write(json.dumps(row) + "\n")
            lines, seconds = lines + 1, seconds + row["duration"]
    return lines


def _train(recipe: str, manifest: Path, folder: Path, steps: int, workers: int) -> dict[str, Any]:
    """Train in this process; return its peak of memory, and the CPU time before the first step."""
    import torch

    from vocable.systems.registry import find_recipe
    from vocable.train.run import fit

    torch.set_num_threads(1)
    run = find_recipe(recipe)
    run = replace(run, train=replace(run.train, steps=steps, workers=workers))
    started = time.process_time()
    spent: list[float] = []

    def say(line: str) -> None:
        if "hours of speech" in line:  # the last line before the first step
            spent.append(time.process_time() - started)

    fit(run, [manifest], folder, quiet=True, tensorboard=False, device="cpu", say=say)
    return {"peak_mb": memory()[1], "start_s": spent[0]}


if __name__ == "__main__":
    main(corpus)
