"""Memory and start of a training with 1 h and with 100 h of speech: the same recordings, named again and again.

Each run is a process of its own, which trains a tiny recipe for some steps. Its peak is ``VmHWM``, without loader
workers, which share its memory. Teachers are a Whisper and an ECAPA-TDNN of random weights and next to no size.
"""

import json
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

import typer
from anchors import RESULTS, main, memory, record, verdict
from rich.console import Console
from rich.table import Table

_MOST_MB = 100.0
_RECIPES = (
    "guided-tiny", "guided-tiny-taught", "vocoder-tiny", "vqalattent-tiny", "ctap-tiny", "supervised-tiny", "taste-tiny"
)  # fmt: skip
_WORDS = "a good deal of what he said that day was not for her and so she"
_PARTS = {"guided-tiny-taught": ("semantic", "acoustic"), "supervised-tiny": ("encoder",), "taste-tiny": ("encoder",)}
_PHONES_A_SECOND = 11
_WORDS_A_SECOND = 2


def corpus(
    data: Annotated[Path, typer.Argument(help="Manifest of recordings with a duration.")],
    hours: Annotated[int, typer.Option(min=2, help="Hours of the larger corpus; the smaller has one.")] = 100,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each run.")] = 20,
    workers: Annotated[int, typer.Option(min=0, help="Loader workers.")] = 0,
    only: Annotated[list[str] | None, typer.Option(help="Recipes to run; all by default.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Measure peak memory and the CPU time before the first step."""
    console, values = Console(), {}
    table = Table("", "lines", "peak, MB", "apart, MB", "start, CPU s")
    with tempfile.TemporaryDirectory() as folder:
        teachers = _write_teachers(Path(folder))
        for recipe in only or _RECIPES:
            rows = {}
            for size in (1, hours):
                manifest = Path(folder) / f"{size}.jsonl"
                lines = _write(manifest, data, size, aligned=recipe.startswith("ctap"))
                sources = {part: str(path) for part, path in teachers.items() if part in _PARTS.get(recipe, ())}
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                    run = Path(folder) / f"{recipe}-{size}"
                    rows[f"{size} h"] = {
                        "lines": lines, **pool.submit(_train, recipe, sources, manifest, run, steps, workers).result()
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
        {"audio_path": str(one.audio_path), "duration": one.duration, "speaker": one.speaker, "split": "train",
         "digit": number % 10, "text": " ".join(islice(cycle(_WORDS.split()), int(one.duration * _WORDS_A_SECOND)))}
        for number, one in enumerate(read_manifest(data, "train"))
    ]  # fmt: skip
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


def _write_teachers(folder: Path) -> dict[str, Path]:
    """Write small frozen models of random weights; return the folder of each teacher, by its part."""
    import torch
    from safetensors.torch import save_file

    from vocable.features.ecapa import EcapaTdnn
    from vocable.features.whisper import WhisperEncoder

    whisper, ecapa = folder / "whisper", folder / "ecapa"
    torch.manual_seed(0)
    for path in (whisper, ecapa):
        path.mkdir()
    weights = {f"encoder.{name}": value for name, value in WhisperEncoder(width=128, depth=2).state_dict().items()}
    save_file(weights, whisper / "encoder.safetensors")
    save_file(EcapaTdnn(width=16, outputs=24).state_dict(), ecapa / "embedding_model.safetensors")
    return {"semantic": whisper, "acoustic": ecapa, "encoder": whisper}


def _train(
    recipe: str, teachers: dict[str, str], manifest: Path, folder: Path, steps: int, workers: int
) -> dict[str, Any]:
    """Train in this process; return its peak of memory, and the CPU time before the first step."""
    import torch

    from vocable.systems.registry import find_recipe, load
    from vocable.train.run import fit

    torch.set_num_threads(1)
    run = find_recipe(recipe)
    run = replace(run, train=replace(run.train, steps=steps, workers=workers))
    if teachers:
        run = run.with_teachers(teachers, str(folder.parent / "features"))
    if recipe == "taste-tiny":
        run = replace(run, units="guided-small")
    started = time.process_time()
    spent: list[float] = []

    def say(line: str) -> None:
        if "hours of speech" in line:  # the last line before the first step
            spent.append(time.process_time() - started)

    fit(run, [manifest], folder, quiet=True, tensorboard=False, device="cpu", find=load, say=say)
    return {"peak_mb": memory()[1], "start_s": spent[0]}


if __name__ == "__main__":
    main(corpus)
