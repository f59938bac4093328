"""Token shards: ids read in a second from a memory map, bytes an hour takes, and what damage costs.

Reading is measured in CPU time on one core, checksums included, on shards whose pages are in memory. A mutated shard
must give the ids that were written, or an error of vocable that names the file. A byte that is flipped anywhere must
cost the rows of one block at most, and be named.
"""

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from anchors import RESULTS, main, record, verdict
from rich.console import Console

from vocable.corpus.shard import TokenShard
from vocable.corpus.shard_format import ShardHeader, ShardRow
from vocable.corpus.shard_writer import write_shard
from vocable.errors import TokenFileError, VocableError
from vocable.tokens import Tokens, TokenSpec

_TARGETS = {"million_ids_per_second": 50.0, "mutations": 10_000, "others": 0}
_SPECS = {  # frames of a row, levels and entries: utterances of 12 s and words of half a second
    "utterances, 8 × 1024": (600, 8, 1024), "words, 8 × 1024": (25, 8, 1024), "utterances, 1 × 1024": (300, 1, 1024),
    "words, 1 × 1024": (13, 1, 1024), "utterances, 4 × 512": (40, 4, 512), "words, 1 × 6561": (13, 1, 6561),
}  # fmt: skip


def measure(
    ids: Annotated[int, typer.Option(min=10_000, help="Ids of each shard, of 10,000 rows at most.")] = 4_000_000,
    mutations: Annotated[int, typer.Option(min=1, help="Mutated shards.")] = 12_000,
    flips: Annotated[int, typer.Option(min=1, help="Shards with one flipped bit.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Seed of ids and mutations.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Measure the speed of reading token shards, and mutate some."""
    console = Console()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        speeds = {name: _speed(folder / "a.shard", ids, *sizes) for name, sizes in _SPECS.items()}
        for name, speed in speeds.items():
            console.print(f"{name}: {speed['million_ids_per_second']:.0f} million ids a second of CPU, {speed}")
        damage = _flip(folder / "flipped.shard", flips, seed)
        console.print(f"flips: {damage}")
        outcome = _mutate(folder / "mutated", mutations, seed)
        console.print(f"mutations: {outcome}")
    slowest = min(speed["million_ids_per_second"] for speed in speeds.values())
    console.print(f"slowest: {slowest:.0f} million ids a second, target 50: {verdict(50 - slowest)}")
    target = record("token_shards", folder=out, seed=seed, targets=_TARGETS, data={"ids": ids, "kind": "random"},
                    values={"reading": speeds, "flips": damage, "mutations": outcome})  # fmt: skip
    console.print(f"written: {target}", markup=False)
    if damage["silent"] or outcome["others"]:
        raise VocableError("damage was not named; see above")


def _write(path: Path, ids: int, frames: int, levels: int, entries: int, seed: int = 0) -> None:
    spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=entries, num_codebooks=levels)
    header = ShardHeader(sample_rate=16_000, hop=320, codebook_size=entries, num_codebooks=levels, tokenizer="none")
    rng = torch.Generator().manual_seed(seed)
    rows = (
        (
            ShardRow(id=f"speaker/{number:08d}.flac", audio=f"{number:064x}", text="good morning", speaker="speaker"),
            Tokens(ids=torch.randint(entries, (1, levels, frames), generator=rng), lengths=torch.tensor([frames]),
                   samples=torch.tensor([frames * 320]), spec=spec, tokenizer="none"),
        )
        for number in range(max(2, min(10_000, ids // (frames * levels))))
    )  # fmt: skip
    write_shard(path, rows, header)


def _speed(path: Path, ids: int, frames: int, levels: int, entries: int) -> dict[str, float]:
    """Read all ids three times, and rows one by one."""
    _write(path, ids, frames, levels, entries)
    shard = TokenShard.open(path)
    times = []
    for _ in range(4):
        started = time.process_time()
        count = sum(part.size for part in shard.frames())
        times.append(time.process_time() - started)
    started = time.process_time()
    singly = sum(shard.ids(row).size for row in range(min(len(shard), 20_000)))
    one_by_one = singly / (time.process_time() - started)
    return {
        "million_ids_per_second": count / statistics.median(times[1:]) / 1e6,
        "million_ids_per_second_row_by_row": one_by_one / 1e6,
        "bits_per_id": 8 * path.stat().st_size / count,
    }


def _flip(path: Path, flips: int, seed: int) -> dict[str, Any]:
    """Flip one bit of a shard many times."""
    _write(path, 24_000, 5, 8, 1024)
    data, rng = path.read_bytes(), random.Random(seed)
    shard = TokenShard.open(path)
    expected, rows = shard.all_ids().reshape(len(shard), -1), len(shard)
    most, silent, named = 0, 0, 0
    for _ in range(flips):
        at = rng.randrange(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
        spoiled = TokenShard.open(path)
        damages = spoiled.damages()
        lost = {row for damage in damages for row in damage.rows}
        named += len(damages) == 1 and str(path) in damages[0].reason
        most = max(most, len(lost))
        for row in rng.sample(range(rows), 20):
            try:
                silent += not np.array_equal(spoiled.ids(row).T.reshape(-1), expected[row])
                silent += row in lost
            except TokenFileError:
                silent += row not in lost
    return {"flips": flips, "named": named, "silent": silent, "rows": rows, "most_rows_lost": most}


def _mutate(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Mutate shards, also behind checksums that fit; the reader and the mutations are those of the tests."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.fuzz.harness import fuzz
    from tests.fuzz.readers import READERS

    outcome = fuzz("token shard", READERS["token shard"], folder, count, seed)
    return {"mutations": count, "read": outcome.results, "errors": outcome.errors, "others": len(outcome.failures),
            "max_seconds": round(outcome.seconds, 3), "max_mb": round(outcome.megabytes, 1)}  # fmt: skip


if __name__ == "__main__":
    main(measure)
