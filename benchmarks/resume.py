"""An evaluation that is killed at random moments (SIGKILL) and goes on, beside one left alone: the same rows."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from anchors import RESULTS, main, record
from rich.console import Console

from vocable.errors import ConfigError, VocableError


def resume(
    manifest: Annotated[Path, typer.Argument(help="A JSONL manifest.")],
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "guided-small",
    limit: Annotated[int, typer.Option(min=2, help="Clips.")] = 24,
    kills: Annotated[int, typer.Option(min=1, help="How often it is killed.")] = 10,
    metrics: Annotated[str, typer.Option(help="Of the evaluation.")] = "pesq_wb,stoi,mcd_dtw,speaker_similarity,dwer",
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Kill an evaluation again and again, and compare its rows with those of an undisturbed one."""
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        calm, disturbed = Path(folder) / "calm", Path(folder) / "disturbed"
        command = [
            *(sys.executable, "-m", "vocable.cli.main", "evaluate", model, "--data", str(manifest)),
            *("--limit", str(limit), "--metrics", metrics, "--probes", "none", "--codecs", "opus:6", "--jobs", "2"),
        ]
        start = time.perf_counter()
        subprocess.run([*command, "--out", str(calm)], check=False, capture_output=True)
        whole = time.perf_counter() - start
        killed = 0
        while killed < kills:
            process = subprocess.Popen([*command, "--out", str(disturbed)], start_new_session=True,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
            time.sleep(moments.uniform(0.05, 0.25) * whole)
            if process.poll() is not None:
                break  # it was through before all the kills: it had been killed often enough to be done by then
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
        subprocess.run([*command, "--out", str(disturbed)], check=False, capture_output=True)
        files = [folder / name for folder in (calm, disturbed) for name in ("results.jsonl", "summary.json")]
        if not all(file.exists() for file in files):
            raise ConfigError("the evaluation failed: run it by itself and see why")
        same = all(files[at].read_bytes() == files[at + 2].read_bytes() for at in (0, 1))
        rows = len(files[0].read_text().splitlines())
    values = {"kills": killed, "rows": rows, "same_bytes": same}
    Console().print(f"{killed} kills, {rows} rows: {'the same bytes' if same else 'THEY DIFFER'}")
    record("resume", folder=out, data={"manifest": manifest.parent.name, "limit": limit}, seed=seed, values=values)
    if not same:
        raise VocableError("the rows of a run that was killed differ from those of one that was not")


if __name__ == "__main__":
    main(resume)
