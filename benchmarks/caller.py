"""Tokens of a clip in any company, cut, thread count, process and caller's state, compared with those it has alone.

Each draw is a batch of clips, in one of three kinds of process, with a number of threads, in a state of
``vocable.states``. Every clip of it is compared with itself alone in a state that nobody touched: ids, lengths, voice.
"""

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from anchors import RESULTS, main, record, verdict
from rich.console import Console
from rich.table import Table

MODELS = ("guided-small", "ctap-small", "supervised-small", "taste-small", "vqalattent-fsdd")
TEXTS = ("one", "two three", "the old man", "four", "we need that", "good morning", "seven eight nine")
PROCESSES, THREADS = ("this one", "fork", "spawn"), (1, 2, 3, 4, 8)
_CLIPS, _NEIGHBOR = 24, 2.0  # clips a model; seconds of the long neighbor that others are padded for


def caller(
    model: Annotated[list[str] | None, typer.Option(help="Name or folder of a model; the bundled five.")] = None,
    comparisons: Annotated[int, typer.Option(min=3, help="Comparisons a model, at least.")] = 2_100,
    seed: Annotated[int, typer.Option(help="Seed of clips and draws.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Count clips whose tokens differ from those they have alone; exit code 1 if any does."""
    values: dict[str, Any] = {}
    for name in model or MODELS:
        expected = _alone(name, seed)
        tally: Counter[str] = Counter()
        for kind in PROCESSES:
            arguments = name, seed, kind, -(-comparisons // len(PROCESSES)), expected
            if kind == "this one":
                tally += _compare(*arguments)
            else:
                with multiprocessing.get_context(kind).Pool(1) as pool:
                    tally += pool.apply(_compare, arguments)
        values[name] = {**dict(sorted(tally.items())), "cost": _cost(name)}
        Console().print(f"{name}: {tally['comparisons']:,} comparisons, {tally['mismatches']} mismatches", markup=False)
    total = sum((Counter({k: v for k, v in one.items() if k != "cost"}) for one in values.values()), Counter())
    Console().print(_table(total))
    values["all"] = dict(sorted(total.items())) | {"mismatches": total["mismatches"]}
    record("caller", folder=out, data={"clips": _CLIPS, "kind": "speechlike"}, seed=seed, values=values)
    if total["mismatches"]:
        sys.exit(1)


def _clips(tokenizer: Any, seed: int) -> list[tuple[Any, str]]:
    """Return clips of 0.2 to 1 s with texts."""
    from vocable.testing import speechlike

    random, rate = np.random.default_rng(seed), tokenizer.spec.sample_rate
    sizes = random.integers(rate // 5, rate, size=_CLIPS)
    return [(speechlike(int(size), rate, seed + at), TEXTS[at % len(TEXTS)]) for at, size in enumerate(sizes)]


def _alone(name: str, seed: int) -> list[bytes]:
    """Return the tokens of each clip alone, as bytes."""
    import vocable

    tokenizer = vocable.load(name)
    return [_bytes(tokenizer.encode(clip, text)) for clip, text in _clips(tokenizer, seed)]


def _bytes(tokens: Any) -> bytes:
    voice = b"" if tokens.voice is None else tokens.voice.numpy().tobytes()
    return b"|".join((tokens.ids.numpy().tobytes(), tokens.lengths.numpy().tobytes(), voice))


def _compare(name: str, seed: int, kind: str, comparisons: int, expected: Sequence[bytes]) -> "Counter[str]":
    """Draw batches until there are enough comparisons; return counts for each value of each axis."""
    import torch

    import vocable
    from vocable.interfaces import Streaming
    from vocable.states import CALLER_STATES
    from vocable.testing import speechlike

    tokenizer: Any = vocable.load(name)
    clips, random, tally = _clips(tokenizer, seed), np.random.default_rng([seed, len(kind)]), Counter[str]()
    rate, states = tokenizer.spec.sample_rate, list(CALLER_STATES)
    neighbor = speechlike(int(_NEIGHBOR * rate), rate, 10_000 + seed), "a long neighbor"
    while tally["comparisons"] < comparisons:
        rows = random.permutation(_CLIPS)[: int(random.integers(1, 6))].tolist()
        state, threads = states[tally["draws"] % len(states)], int(random.choice(THREADS))
        is_padded, cut = bool(random.integers(2)), int(random.integers(40, 9_000))
        batch = [clips[row] for row in rows] + [neighbor] * is_padded
        with _threads(threads), CALLER_STATES[state]():
            made = tokenizer.encode_batch([clip for clip, _ in batch], [text for _, text in batch])
            cut_up = {
                row: tokenizer.encode_blocks(_pieces(clips[row][0].samples, cut)) for row in rows[:1]
            } if isinstance(tokenizer, Streaming) else {}  # fmt: skip
        results = [(row, made.clip(at), "batch") for at, row in enumerate(rows)]
        results += [(row, tokens, "cut") for row, tokens in cut_up.items()]
        for row, tokens, way in results:
            tally["comparisons"] += 1
            tally["ids compared"] += tokens.ids.numel()
            tally["mismatches"] += _bytes(tokens) != expected[row]
            tally[f"process: {kind}"] += 1
            tally[f"threads: {threads}"] += 1
            tally[f"state: {state}"] += 1
            is_batch = way == "batch"
            tally[f"way: {('batch of ' + str(len(batch)) if len(batch) > 1 else 'alone') if is_batch else 'cut'}"] += 1
            tally["padding: beside a long neighbor"] += is_padded and is_batch
        tally["draws"] += 1
    assert torch.get_default_dtype() == torch.float32
    return tally


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pieces(samples: np.ndarray, cut: int) -> Iterator[np.ndarray]:
    return (samples[at : at + cut] for at in range(0, samples.size, cut))


def _cost(name: str) -> dict[str, float]:
    """Return CPU milliseconds of encoding 3 s, and of what is done for the caller's state before and after."""
    import vocable
    from vocable.numerics import reference_numerics
    from vocable.systems.weights import check_networks
    from vocable.testing import speechlike

    tokenizer: Any = vocable.load(name)
    clip = speechlike(3 * tokenizer.spec.sample_rate, tokenizer.spec.sample_rate)

    def guard() -> None:
        with reference_numerics():
            check_networks(tokenizer)

    def milliseconds(call: Any, rounds: int) -> float:
        times = []
        for _ in range(rounds):
            start = time.thread_time()
            call()
            times.append(time.thread_time() - start)
        return 1_000 * float(np.median(times))

    encode, guarded = milliseconds(lambda: tokenizer.encode(clip, TEXTS[0]), 15), milliseconds(guard, 301)
    return {"encode_ms": round(encode, 3), "guard_ms": round(guarded, 4), "share": round(guarded / encode, 5)}


def _table(total: "Counter[str]") -> Table:
    table = Table("axis", "comparisons", title=f"{total['comparisons']:,} comparisons, {total['ids compared']:,} ids")
    for axis, count in sorted(total.items()):
        if ":" in axis and not axis.startswith("state:"):
            table.add_row(axis, f"{count:,}")
    states = [count for axis, count in total.items() if axis.startswith("state:")]
    table.add_row(f"state: {len(states)} states, each at least", f"{min(states):,}")
    table.add_row("mismatches, 0 wanted", f"{total['mismatches']}: {verdict(total['mismatches'])}")
    return table


if __name__ == "__main__":
    main(caller)
