"""Mutated files through every reader: each is read, or is an error of vocable, within 2 s and 500 MB.

The readers and the mutations are those of the tests, which run the first few of them.
"""

import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Annotated

import typer
from anchors import RESULTS, main, record
from rich.console import Console
from rich.table import Table

from vocable.errors import VocableError


def fuzz_readers(
    mutations: Annotated[int, typer.Option(min=1, help="Mutations of all readers together.")] = 24_000,
    seed: Annotated[int, typer.Option(help="Seed of the mutations.")] = 0,
    only: Annotated[str, typer.Option(help="Name of one reader.")] = "",
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Mutate the files of every reader, and count what comes of it."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.fuzz.harness import MEGABYTES, SECONDS, fuzz
    from tests.fuzz.readers import ELSEWHERE, READERS

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    readers = {name: reader for name, reader in READERS.items() if only in ("", name)}
    each = -(-mutations // sum(reader.share for reader in readers.values()).__ceil__())
    table = Table("reader", "mutations", "read", "errors", "others", "longest, s", "memory, MB")
    rows, failures = {}, []
    for name, reader in readers.items():
        count = max(1, int(each * reader.share))
        with tempfile.TemporaryDirectory() as folder:
            outcome = fuzz(name, reader, Path(folder) / "files", count, seed)
        failures += outcome.failures
        rows[name] = {
            "mutations": count, "read": outcome.results, "errors": outcome.errors, "others": len(outcome.failures),
            "max_seconds": round(outcome.seconds, 3), "max_mb": round(outcome.megabytes, 1),
        }  # fmt: skip
        table.add_row(name, *map(str, rows[name].values()))
    console = Console()
    console.print(table)
    for failure in failures:
        console.print(failure, markup=False)
    total = sum(row["mutations"] for row in rows.values())
    console.print(f"{total} mutations, {len(failures)} that are neither a result nor an error of vocable")
    record(
        "fuzz", folder=out, data={"readers": len(rows)}, seed=seed,
        limits={"seconds": SECONDS, "megabytes": MEGABYTES},
        values={"mutations": total, "others": len(failures), "failures": failures, "readers": rows},
        not_mutated=ELSEWHERE,
    )  # fmt: skip
    if failures:
        raise VocableError(f"{len(failures)} of {total} mutated files are neither read nor refused")


if __name__ == "__main__":
    main(fuzz_readers)
