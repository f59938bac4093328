"""Rate of packed sequences: steps that a language model's data loader reads from token shards in a second of one core.

CPU time of the process is measured, as another program may use the core. Turns alternate, and the median counts. The
ratio is to unpacking the same shard from begin to end, in the same run.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from anchors import RESULTS, main, record
from rich.console import Console
from rich.table import Table

from vocable.corpus.sequence_layout import SequenceLayout
from vocable.corpus.sequences import PackedSequences
from vocable.corpus.shard_format import ShardHeader, ShardRow
from vocable.corpus.shard_writer import write_shard
from vocable.corpus.token_corpus import TokenCorpus
from vocable.tokens import Tokens

_CASES = {"1 level, 5 s": (1, 250, 4_000), "8 levels, 10 s": (8, 500, 500), "1 level, .5 s": (1, 25, 10_000)}
_LENGTH, _SEED = 2_048, 0


def measure(
    turns: Annotated[int, typer.Option(min=1, help="Turns, of which the median counts.")] = 5,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Measure how fast packed sequences are read."""
    torch.set_num_threads(1)
    table = Table("clips", "steps", "in order, 10⁶/s", "shuffled, 10⁶/s", "whole shard, 10⁶/s", "shuffled / whole")
    values: dict[str, dict[str, float]] = {}
    for name, (levels, frames, rows) in _CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            corpus = _corpus(Path(folder), levels, frames, rows)
            layout = SequenceLayout.of(corpus.spec)
            ordered, shuffled = (PackedSequences(corpus, layout, _LENGTH, shuffle=each) for each in (False, True))
            times: dict[str, list[float]] = {"ordered": [], "shuffled": [], "whole": []}
            for _ in range(turns):
                times["ordered"].append(_cpu_seconds(lambda ordered=ordered: _read(ordered)))
                times["shuffled"].append(_cpu_seconds(lambda shuffled=shuffled: _read(shuffled)))
                times["whole"].append(_cpu_seconds(corpus.shard(0).all_ids))
            steps = len(ordered) * _LENGTH
            rates = {key: steps / statistics.median(each) for key, each in times.items()}
            values[name] = {"steps": steps, **{f"{key}_per_second": rate for key, rate in rates.items()}}
            values[name]["shuffled_to_whole"] = rates["shuffled"] / rates["whole"]
            shown = [f"{rate / 1e6:.2f}" for rate in rates.values()]
            table.add_row(name, f"{steps:,}", *shown, f"{values[name]['shuffled_to_whole']:.3f}")
    Console().print(table)
    data = {"n": sum(rows for *_, rows in _CASES.values()), "set": "random ids of 1,024 entries", "excluded": 0}
    record("sequences", folder=out, data=data, seed=_SEED, turns=turns, length=_LENGTH, values=values)


def _corpus(folder: Path, levels: int, frames: int, rows: int) -> TokenCorpus:
    """Write one shard of clips of half to one and a half times so many frames."""
    random = np.random.default_rng(_SEED)
    header = ShardHeader(
        sample_rate=16_000, hop=320, codebook_size=1_024, num_codebooks=levels, tokenizer="sha256:" + "0" * 64
    )

    def clips() -> Iterator[tuple[ShardRow, Tokens]]:
        for number in range(rows):
            count = int(random.integers(frames // 2, frames * 3 // 2))
            yield ShardRow(id=str(number)), Tokens(
                ids=torch.from_numpy(random.integers(0, 1_024, (1, levels, count))), lengths=torch.tensor([count]),
                samples=torch.tensor([320 * count]), spec=header.spec, tokenizer=header.tokenizer,
            )  # fmt: skip

    write_shard(folder / "a.shard", clips(), header)
    return TokenCorpus.open(folder)


def _read(sequences: PackedSequences) -> None:
    for _ in sequences:
        pass


def _cpu_seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


if __name__ == "__main__":
    main(measure)
