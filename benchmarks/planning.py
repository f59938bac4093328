"""Time of planning a job over many files: finding them, naming their outputs, and finding names that clash."""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from anchors import RESULTS, main, record, verdict
from rich.console import Console

from vocable.corpus.files import find_recordings
from vocable.corpus.plan import choose_targets, find_clashes, mirror_names
from vocable.write_rules import write_rules

_MOST = 5.0  # seconds of CPU for the target number of files
_EACH = 100  # files in a folder


def planning(
    files: Annotated[int, typer.Option(min=_EACH, help="Number of files, 100 in a folder.")] = 100_000,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Plan the encoding of a folder, and of a manifest that lies elsewhere, and measure the CPU time of each."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        manifest = place / "lists" / "manifest.jsonl"
        manifest.parent.mkdir()
        paths = [place / "audio" / f"s{index // _EACH}" / f"{index % _EACH:03d}.wav" for index in range(files)]
        for path in paths[::_EACH]:
            path.parent.mkdir(parents=True)
        for path in paths:
            os.close(os.open(path, os.O_CREAT))
        lines = (json.dumps({"audio_path": str(path), "text": "good morning"}) + "\n" for path in paths)
        manifest.write_text("".join(lines), encoding="utf-8")
        seconds = {"folder": _plan(place / "audio", place / "out"), "manifest": _plan(manifest, place / "out")}
    for name, value in seconds.items():
        console.print(f"{name}: {files:,} files in {value:.2f} s of CPU", markup=False)
    console.print(f"target of {_MOST:g} s: {verdict(max(seconds.values()) - _MOST)}", markup=False)
    target = record(
        "planning", folder=out, data={"files": files, "n": files, "excluded": 0}, seed=0,
        targets={"most_cpu_s": _MOST}, values={"cpu_s": seconds},
    )  # fmt: skip
    console.print(f"written: {target}", markup=False)


def _plan(source: Path, out: Path) -> float:
    """Plan one job as ``vocable encode`` does; return its CPU time in seconds."""
    started = time.process_time()
    manifests = [source] if source.is_file() else []
    with write_rules():
        found = find_recordings([source], manifests, None)
        targets = choose_targets(mirror_names([(item.path, root) for item, root in found], ".tokens"), out, {".tokens"})
        clashes = find_clashes([item for item, _ in found], targets)
    assert not clashes.errors
    assert len(set(targets)) == len(found)
    return time.process_time() - started


if __name__ == "__main__":
    main(planning)
