"""Many clips judged: in processes, with rows kept as they are made, so that a killed run goes on where it stood.

A run's folder holds ``run.json`` (what is being measured; another run is refused), ``results.jsonl`` (a row for each
entry and item, appended as they are done) and what the rows are made into. Rows depend on nothing but the settings and
the item, so a run that was killed and went on has the rows of one that was not.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vocable.errors import OutputError, VocableError
from vocable.files import make_folder, write_json, write_whole
from vocable.metrics.score import Score, undefined

_QUARANTINED = "quarantined"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one entry scored on one item.

    Attributes:
        entry: Which tokenizer, codec or anchor.
        item: Which clip.
        scores: By metric.
        facts: What else was counted, such as ``seconds`` and ``payload_bits``; JSON values.
    """

    entry: str
    item: str
    scores: Mapping[str, Score] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything a run found.

    Attributes:
        rows: In the order of items, then of entries.
        quarantined: Items that could not be judged at all, with the reason.
    """

    rows: Sequence[Row]
    quarantined: Mapping[str, str]


@runtime_checkable
class Task(Protocol):
    """Work that falls into items which know nothing of one another."""

    def items(self) -> Sequence[str]:
        """Their keys, each once, in order."""
        ...

    def work(self, item: str) -> Sequence[Row]:
        """The rows of one item; in another process, in any order.

        Raises:
            VocableError: The item cannot be judged: it is quarantined with this reason and the others go on.
        """
        ...


def run(
    task: Task, again: Callable[[], Task], settings: Mapping[str, Any], out: Path, *,
    jobs: int = 1, done: Callable[[int, int], None] = lambda done, of: None,
) -> Results:  # fmt: skip
    """Work through a task, or go on with it.

    Args:
        task: The work.
        again: Makes it anew in another process: a function of a module, or a ``functools.partial`` of one.
        settings: All that the rows depend on, as JSON values.
        out: The run's folder; created if missing.
        jobs: Processes. With one, the work is done in this process, and an item that crashes it ends the run.
        done: Hears how many items are done, and of how many.

    Raises:
        OutputError: The folder holds another run's results; nothing in it is changed.
    """
    _claim(out, json.loads(json.dumps(settings)))
    path = out / "results.jsonl"
    lines = _kept(path)
    items = list(dict.fromkeys(task.items()))
    missing = [item for item in items if item not in lines]
    done(len(items) - len(missing), len(items))
    with path.open("ab") as file:
        for item, rows in _each(task, again, missing, jobs):
            lines[item] = [_line(row) for row in rows]
            file.write("".join(lines[item]).encode())
            file.flush()
            done(sum(item in lines for item in items), len(items))
    ordered = [line for item in items for line in lines[item]]
    write_whole(path, lambda temporary: temporary.write_text("".join(ordered), encoding="utf-8"))
    return _results(ordered)


def settings_of(out: Path) -> dict[str, Any] | None:
    """What the run in this folder measures; None if there is none."""
    try:
        return json.loads((out / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OutputError(f"{out / 'run.json'}: cannot be read ({error}); take another folder") from error


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Make the folder this run's, or find that it is."""
    make_folder(out)
    there = settings_of(out)
    if there is None:
        if (out / "results.jsonl").exists():
            raise OutputError(f"{out}: holds a results.jsonl without its run.json; take another folder for this run")
        write_json(out / "run.json", settings)
    elif there != settings:
        keys = sorted(key for key in {*there, *settings} if there.get(key) != settings.get(key))
        raise OutputError(
            f"{out}: holds another run's results, which differs in {', '.join(keys)}; take another folder, "
            "or the same settings to go on with it"
        )


def _kept(path: Path) -> dict[str, list[str]]:
    """The lines of items that are whole; a tail that a kill cut off is removed from the file.

    The rows of an item are written together, so a cut leaves at most one item in pieces: its rows carry their count.
    """
    if not path.exists():
        return {}
    lines: dict[str, list[str]] = {}
    wanted: dict[str, int] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
            lines.setdefault(row["item"], []).append(line + "\n")
            wanted[row["item"]] = row["of"]
        except (ValueError, KeyError, TypeError):
            continue
    whole = {item: rows for item, rows in lines.items() if len(rows) == wanted[item]}
    text = "".join(line for rows in whole.values() for line in rows)
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return whole


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def _results(lines: Sequence[str]) -> Results:
    rows, quarantined = [], {}
    for line in lines:
        values = json.loads(line)
        if _QUARANTINED in values:
            quarantined[values["item"]] = values[_QUARANTINED]
            continue
        scores = {key: _score_from_json(score) for key, score in values.pop("scores").items()}
        del values["of"]
        rows.append(Row(entry=values.pop("entry"), item=values.pop("item"), scores=scores, facts=values))
    return Results(rows=rows, quarantined=quarantined)


# ---- the work, here or in processes ---------------------------------------------------------------------------------


def _each(
    task: Task, build: Callable[[], Task], items: Sequence[str], jobs: int
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Items and their rows, as they are done."""
    if jobs == 1:
        for item in items:
            yield item, _work(task, item)
        return
    left = list(items)
    while left:
        suspects: list[str] = []
        for item, rows in _in_processes(build, tuple(left), jobs, suspects):  # a copy: what is done is taken off
            left.remove(item)
            yield item, rows
        for item in suspects:  # a process died with these in work: which of them killed it shows alone
            alone: list[str] = []
            for _, rows in _in_processes(build, [item], 1, alone):
                yield item, rows
            if alone:
                yield item, [{"item": item, "of": 1, _QUARANTINED: "the process that worked on it died"}]
            left.remove(item)


def _in_processes(
    build: Callable[[], Task], items: Sequence[str], jobs: int, suspects: list[str]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """As many items as can be done until a process dies; those in work then are the suspects."""
    waiting = iter(items)
    spawn = get_context("spawn")  # a forked torch may hang
    with ProcessPoolExecutor(jobs, spawn, _start, (build,)) as pool:
        working: dict[Future[list[dict[str, Any]]], str] = {}
        try:
            while True:
                # no more than can be in work: were the whole list handed over, all of it would be suspect
                working |= {pool.submit(_work_there, item): item for item in islice(waiting, jobs - len(working))}
                if not working:
                    return
                for future in wait(working, return_when=FIRST_COMPLETED).done:
                    rows = future.result()
                    yield working.pop(future), rows
        except BrokenProcessPool:
            suspects += working.values()


_task: Task | None = None  # what a worker process works on


def _start(build: Callable[[], Task]) -> None:
    global _task
    _task = build()
    if "torch" in sys.modules:  # a task need not have it, and importing it takes seconds
        sys.modules["torch"].set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def _work_there(item: str) -> list[dict[str, Any]]:
    assert _task is not None
    return _work(_task, item)


def _work(task: Task, item: str) -> list[dict[str, Any]]:
    """An item's rows as JSON values; each says how many there are."""
    try:
        rows = task.work(item)
    except VocableError as error:
        return [{"item": item, "of": 1, _QUARANTINED: str(error)}]
    except Exception as error:  # a library's own failure on one clip must not end a run of hours
        return [{"item": item, "of": 1, _QUARANTINED: f"{type(error).__name__}: {error}"}]
    return [
        {"entry": row.entry, "item": row.item, "of": len(rows), **row.facts,
         "scores": {key: _score_to_json(score) for key, score in row.scores.items()}} for row in rows
    ]  # fmt: skip


def _score_to_json(score: Score) -> dict[str, Any]:
    if not math.isfinite(score.value):
        return {"reason": score.reason or "infinite"}
    weight = {} if score.weight == 1.0 else {"weight": score.weight}
    return {"value": score.value} | weight | ({"counts": dict(score.counts)} if score.counts else {})


def _score_from_json(values: Mapping[str, Any]) -> Score:
    if "reason" in values:
        return undefined(values["reason"])
    return Score(values["value"], "", values.get("weight", 1.0), values.get("counts", {}))
