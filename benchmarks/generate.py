"""What it costs to draw an utterance from VQalAttent's prior: parameters, ids, time with and without cache, memory.

Each model is measured in a fresh process on one thread. Without ``--model`` the two sizes of the recipe for FSDD are
taken with random weights, on which speed does not depend; the ids must be the same with and without cache.
"""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from anchors import RESULTS, main, memory, record, verdict
from rich.console import Console
from rich.table import Table

_FASTER = 10.0  # times, with cache, at 1,408 ids
_SECONDS = 60.0  # for 100 digits at 352 ids on two cores
_DIGITS = 100
_LONG, _SHORT = 1_408, 352  # ids of an utterance


def generate(
    model: Annotated[list[str] | None, typer.Option(help="A model's name or folder; repeat for more.")] = None,
    seed: Annotated[int, typer.Option(help="Of random weights and of what is drawn.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Draw one utterance with and without cache, then 100, for each model."""
    console = Console()
    names = model or ["recipe vqalattent-fsdd", "recipe vqalattent-fsdd-cr4"]
    values = {}
    for name in names:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            values[name] = pool.submit(_measure, name, seed).result()
    console.print(_table(values))
    long = [row for row in values.values() if row["ids"] == _LONG]
    short = [row for row in values.values() if row["ids"] == _SHORT]
    met = {
        "same_ids": all(row["same_ids"] for row in values.values()),
        "cache_at_1408_ids": all(row["times_as_fast"] >= _FASTER for row in long) if long else None,
        "100_digits_at_352_ids": all(row["hundred_s"] <= _SECONDS for row in short) if short else None,
    }
    for row in long:
        console.print(f"cache at 1,408 ids: {row['times_as_fast']:.0f} ×, at least {_FASTER:g} "
                      f"{verdict(_FASTER - row['times_as_fast'])}", markup=False)  # fmt: skip
    for row in short:
        console.print(f"100 digits at 352 ids: {row['hundred_s']:.1f} s on one core, at most {_SECONDS:g} s on two "
                      f"{verdict(row['hundred_s'] - _SECONDS)}", markup=False)  # fmt: skip
    tokenizer = _made(names[0], seed)
    data = {"n": _DIGITS, "excluded": 0}
    target = record("generate", names[0], tokenizer, out, data=data, seed=seed, values=values, met=met)
    console.print(f"written: {target}", markup=False)


def _made(name: str, seed: int) -> Any:
    """A model by name, or one of a recipe with random weights."""
    import torch

    import vocable
    from vocable.systems.registry import find_recipe
    from vocable.systems.vqalattent.model import VqalattentModel
    from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer

    if not name.startswith("recipe "):
        return vocable.load(name)
    torch.manual_seed(seed)
    sizes = find_recipe(name.removeprefix("recipe ")).model
    labels = {"digit": tuple("0123456789"), "speaker": ("a", "b", "c")}
    network = VqalattentModel(replace(sizes, labels=labels))
    network.prior_codebook.fill_(network.codebook_fingerprint())
    return VqalattentTokenizer(network)


def _measure(name: str, seed: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    tokenizer = _made(name, seed)
    _, before = memory()
    tokenizer.sample([{}], seed=seed)
    spent = {}
    drawn = {}
    for cache in (True, False):
        begun = time.perf_counter()
        drawn[cache] = tokenizer.sample([{"digit": 7}], seed=seed, cache=cache)
        spent[cache] = time.perf_counter() - begun
    hundred: float | None = None  # of long utterances 100 are not drawn: that says no more than one does
    if int(drawn[True].lengths[0]) <= _SHORT:
        begun = time.perf_counter()
        tokenizer.sample([{"digit": place % 10} for place in range(_DIGITS)], seed=seed)
        hundred = time.perf_counter() - begun
    begun = time.perf_counter()
    tokenizer.decode(drawn[True])
    decoded = time.perf_counter() - begun
    _, peak = memory()
    return {
        "parameters": sum(parameter.numel() for parameter in tokenizer.model.parameters()),
        "ids": int(drawn[True].lengths[0]), "guidance": tokenizer.config.prior.guidance,
        "ms_with_cache": 1e3 * spent[True], "ms_without_cache": 1e3 * spent[False],
        "times_as_fast": spent[False] / spent[True], "same_ids": bool((drawn[True].ids == drawn[False].ids).all()),
        "hundred_s": hundred, "ms_each_of_hundred": None if hundred is None else 1e3 * hundred / _DIGITS,
        "decode_ms": 1e3 * decoded, "loaded_mb": before, "peak_mb": peak, "digest": tokenizer.digest,
    }  # fmt: skip


def _table(values: dict[str, dict[str, Any]]) -> Table:
    table = Table("", *values, title="Drawing an utterance, one CPU thread")
    rows = (
        ("parameters", "parameters", ","),
        ("ids of an utterance", "ids", ","),
        ("with cache, ms", "ms_with_cache", ".0f"),
        ("without, ms", "ms_without_cache", ".0f"),
        ("times as fast", "times_as_fast", ".1f"),
        ("same ids", "same_ids", ""),
        ("each of 100 together, ms", "ms_each_of_hundred", ".0f"),
        ("decoding one to a waveform, ms", "decode_ms", ".0f"),
        ("highest memory, MB", "peak_mb", ".0f"),
    )
    for title, key, form in rows:
        table.add_row(title, *("" if row[key] is None else format(row[key], form) for row in values.values()))
    return table


if __name__ == "__main__":
    main(generate)
