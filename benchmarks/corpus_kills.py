"""Killed tokenizations: SIGKILL at random moments of one process, and of two on one folder. None may cost a byte.

After each kill the command is started again. When it finishes, the folder is compared, byte for byte, with that of a
run that nothing disturbed. The command and the checks are those of the tests, which kill a few times.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from anchors import RESULTS, main, record
from rich.console import Console

from vocable.errors import VocableError


def kill_often(
    kills: Annotated[int, typer.Option(min=0, help="Kills of a process that works alone.")] = 100,
    of_two: Annotated[int, typer.Option(min=0, help="Kills of one or both of two processes.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the moments.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Kill tokenizations at random moments, and compare what they leave with an undisturbed run."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.faults import proofs
    from tests.faults.commands import make_inputs

    console, values, failures = Console(), {}, []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        inputs = make_inputs(folder / "inputs")
        finished = partial(proofs.kills, finish=True)
        for name, count, kill in (("one", kills, finished), ("two", of_two, proofs.kills_of_two)):
            proof = kill("tokenize", inputs, folder / "out", count, seed)
            failures += proof.failures
            values[name] = {"kills": proof.disturbed, "finished_equal": proof.finished,
                            "failures": len(proof.failures), "left_hidden": proof.leftovers}  # fmt: skip
            console.print(f"{name}: {values[name]}")
    for failure in failures:
        console.print(failure, markup=False)
    target = record("corpus_kills", folder=out, seed=seed, values=values, failures=failures,
                    data={"audio": "vocable.testing.speechlike, 3 clips in 3 shards"})  # fmt: skip
    console.print(f"written: {target}", markup=False)
    if failures:
        raise VocableError(f"{len(failures)} killed runs lost something; see above")


if __name__ == "__main__":
    main(kill_often)
