"""Disturbed commands: a fault at every write, SIGKILL at random moments, full disks. Each finishes when run again.

The commands and the checks are those of the tests, which run a few of each. A disk of a few KiB needs the right to
mount one; where that is missing, the limit on the size of a file stands for it.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from anchors import RESULTS, main, record
from rich.console import Console
from rich.table import Table

from vocable.errors import VocableError


def disturb(
    kills: Annotated[int, typer.Option(min=0, help="Kills of each command.")] = 20,
    only: Annotated[str, typer.Option(help="Name of one command.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the moments.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Disturb commands that write, and compare what they leave with an undisturbed run."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.faults import proofs
    from tests.faults.commands import WORKS, make_inputs

    table = Table("command", "disturbance", "runs", "finished equal", "left hidden", "failures", "s")
    rows, failures = [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        inputs, mounts = make_inputs(folder / "inputs"), _can_mount(folder / "probe")
        for name in WORKS if not only else [only]:
            tasks = {
                "fault at a write": lambda name=name: proofs.faults(name, inputs, folder / "out"),
                "SIGKILL": lambda name=name: proofs.kills(name, inputs, folder / "out", kills, seed),
                "file size limit": lambda name=name: proofs.full_disks(
                    name, inputs, folder / "out", [1, 64, 1_000, 4_000, 9_000, 30_000]
                ),
            }
            if mounts:
                tasks["full disk"] = lambda name=name: proofs.small_disks(
                    name, inputs, folder / "small", [4, 8, 16, 32, 64, 128, 256]
                )
            for what, task in tasks.items():
                start = time.monotonic()
                proof = task()
                failures += proof.failures
                rows.append({
                    "command": name, "disturbance": what, "runs": proof.disturbed, "finished_equal": proof.finished,
                    "left_hidden": proof.leftovers, "failures": len(proof.failures),
                })  # fmt: skip
                table.add_row(*map(str, rows[-1].values()), f"{time.monotonic() - start:.0f}")
    console = Console()
    console.print(table)
    for failure in failures:
        console.print(failure, markup=False)
    record("faults", folder=out, data={"commands": list(WORKS)}, seed=seed, errors=["ENOSPC", "EIO", "EACCES"],
           values={"disturbed": sum(row["runs"] for row in rows), "failures": failures, "rows": rows})  # fmt: skip
    if failures:
        raise VocableError(f"{len(failures)} disturbed runs lost something; see the table")


def _can_mount(place: Path) -> bool:
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        return False
    subprocess.run(["umount", str(place)], check=True)
    return True


if __name__ == "__main__":
    main(disturb)
