"""Evaluation of many clips in processes, with results on disk, so that a killed run can be resumed.

The folder of a run holds ``run.json`` (its settings; another run is refused), ``results.jsonl`` (a row for each entry
and item, appended as they are done) and the files made of the rows. Rows depend on the settings and the item alone. A
run that was killed and resumed therefore has the same rows as an undisturbed one.
"""

import errno
import json
import math
import os
import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import RootModel

from vocable.errors import OutputError, VocableError
from vocable.evaluate.card import Card
from vocable.evaluate.plan import Plan
from vocable.files import (
    MAX_FILE_BYTES,
    append_text,
    exists,
    json_line,
    make_folder,
    read_file,
    reason_of,
    write_json,
    write_text,
)
from vocable.locks import lock_folder
from vocable.metrics.score import Score, undefined
from vocable.processes import end_with_parent
from vocable.schema import config, parse, parse_object, read_object

RESULTS = "results.jsonl"
_SUMMARIES = ("summary.json", "report.md", "report.html")  # what is made of the results
_QUARANTINED = "quarantined"
_CHECKSUM = "crc32"  # of the other values of the line: an altered row must not become a figure


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """Scores of one entry on one item.

    Attributes:
        entry: Name of the tokenizer, codec or anchor, and condition, that this row belongs to.
        item: Key of the clip.
        scores: Scores by metric.
        extra: Further JSON values, such as ``seconds`` and ``payload_bits``.
    """

    entry: str
    item: str
    scores: Mapping[str, Score] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of a run.

    Attributes:
        rows: Rows in the order of items, then of entries.
        quarantined: Reason for each item that could not be evaluated at all.
    """

    rows: Sequence[ResultRow]
    quarantined: Mapping[str, str]


@runtime_checkable
class Task(Protocol):
    """Work that consists of independent items."""

    @abstractmethod
    def items(self) -> Sequence[str]:
        """Return the keys of the items in order, without duplicates."""
        ...

    @abstractmethod
    def work(self, item: str) -> Sequence[ResultRow]:
        """Return the rows of one item. It is called in any process and in any order.

        Raises:
            VocableError: If the item cannot be evaluated. It is quarantined with this reason and the run continues.
        """
        ...


class Evaluation(Task, ABC):
    """A :class:`Task` that is built from a plan and the folder of its run, and that sums up its rows. Inherit from it.

    Attributes:
        takes_several: Whether one run can evaluate several tokenizers.
        left_out: Lines on what this machine lacks for some of the figures, known before the first item.
    """

    takes_several: ClassVar[bool] = False
    left_out: Sequence[str] = ()

    @abstractmethod
    def __init__(self, plan: Plan, out: Path) -> None: ...

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return all values that the rows depend on."""

    @abstractmethod
    def card(self, results: Results) -> Card:
        """Return the figures of all rows as a card."""


def run(
    task: Task, build: Callable[[], Task], settings: Mapping[str, Any], out: Path, *,
    jobs: int = 1, progress: Callable[[int, int], None] = lambda done, total: None,
) -> Results:  # fmt: skip
    """Work through a task, or resume it.

    Args:
        task: Task to work on.
        build: Function that makes the task again in another process: a function of a module, or a
            ``functools.partial`` of one.
        settings: JSON values that the rows depend on.
        out: Folder of the run; created if missing.
        jobs: Number of processes. With one, the work is done in this process, and an item that crashes it ends the run.
        progress: Callback with the number of finished items and of all items.

    Raises:
        OutputError: If the folder holds another run, which is left as it is, or damaged results, or another process
            evaluates into it.
    """
    make_folder(out)
    with lock_folder(out, "evaluation"):
        return _run_locked(task, build, settings, out, jobs, progress)


def _run_locked(
    task: Task, build: Callable[[], Task], settings: Mapping[str, Any], out: Path, jobs: int,
    progress: Callable[[int, int], None],
) -> Results:  # fmt: skip
    _claim_folder(out, json.loads(json.dumps(settings)))  # as they come back from a file
    path = out / RESULTS
    lines = _read_finished(path)
    items = list(dict.fromkeys(task.items()))
    remaining = [item for item in items if item not in lines]
    progress(len(items) - len(remaining), len(items))
    for item, rows in _work_through(task, build, remaining, jobs):
        lines[item] = [_to_line(row) for row in rows]
        append_text(path, "".join(lines[item]))
        progress(sum(item in lines for item in items), len(items))
    ordered = [line for item in items for line in lines[item]]
    write_text(path, "".join(ordered))
    return _parse_results(ordered, path)


def _claim_folder(out: Path, settings: dict[str, Any]) -> None:
    """Write the settings into the folder, or check that it holds the same ones."""
    path = out / "run.json"
    if not exists(path):
        found = next((name for name in (RESULTS, *_SUMMARIES) if exists(out / name)), None)
        if found is not None:
            raise OutputError(f"{out}: holds a {found} without its run.json; take another folder for this run")
        write_json(path, settings)
        return
    stored = read_object(path, advice="take another folder", error=OutputError)
    if stored != settings:
        keys = sorted(key for key in {*stored, *settings} if stored.get(key) != settings.get(key))
        raise OutputError(
            f"{out}: holds another run's results, which differs in {', '.join(keys)}; take another folder, "
            "or the same settings to go on with it"
        )


# ---- rows as lines of JSON ------------------------------------------------------------------------------------------


@config
class _StoredScore:
    """A score in a line of ``results.jsonl``."""

    value: float = math.nan
    reason: str = ""
    weight: float = 1.0
    counts: dict[str, int] = field(default_factory=dict)


class _StoredScores(RootModel[dict[str, _StoredScore]]):
    """The scores in a line of ``results.jsonl``, by metric."""


def _read_finished(path: Path) -> dict[str, list[str]]:
    """Return the lines of complete items; remove incomplete items and altered lines from the file.

    The rows of an item are written together, each with their number, so a kill leaves at most one incomplete item.
    """
    if not exists(path):
        return {}
    lines: dict[str, list[str]] = {}
    expected: dict[str, int] = {}
    text = read_file(path, OutputError, "move it away", limit=MAX_FILE_BYTES).decode(errors="replace")
    for line in text.split("\n"):
        try:
            values = _parse_line(line, str(path))
        except OutputError:
            continue
        item = values["item"]
        lines.setdefault(item, []).append(line + "\n")
        expected[item] = values["of"]
    # a line that stands twice may have taken the place of another
    complete = {item: rows for item, rows in lines.items() if len(rows) == len(set(rows)) == expected[item]}
    write_text(path, "".join(line for rows in complete.values() for line in rows))
    return complete


def _to_line(values: Mapping[str, Any]) -> str:
    """Return the values of a row as a line with their checksum."""
    return json_line({**values, _CHECKSUM: _checksum(values)}) + "\n"


def _parse_line(line: str, where: str) -> dict[str, Any]:
    """Return the values of a line with an item and its number of rows; an altered line raises an OutputError."""
    values = parse_object(line, where, OutputError)
    if values.pop(_CHECKSUM, None) != _checksum(values):
        raise OutputError(f"{where}: the line is altered (wrong checksum); remove it, and its item is evaluated again")
    if not isinstance(values.get("item"), str) or not isinstance(values.get("of"), int):
        raise OutputError(f"{where}: names no item; remove the line")
    return values


def _checksum(values: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json_line(values).encode()):08x}"


def _parse_results(lines: Sequence[str], path: Path) -> Results:
    rows, quarantined = [], {}
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        values = _parse_line(line, where)
        item = values.pop("item")
        if _QUARANTINED in values:
            quarantined[item] = str(values[_QUARANTINED])
            continue
        scores = parse(_StoredScores, values.pop("scores", {}), where, OutputError).root
        entry = str(values.pop("entry", ""))
        del values["of"]
        parsed = {key: _parse_score(score) for key, score in scores.items()}
        rows.append(ResultRow(entry=entry, item=item, scores=parsed, extra=values))
    return Results(rows=rows, quarantined=quarantined)


def _parse_score(stored: _StoredScore) -> Score:
    return undefined(stored.reason) if stored.reason else Score(stored.value, "", stored.weight, stored.counts)


def _evaluate_item(task: Task, item: str) -> list[dict[str, Any]]:
    """Return the rows of an item as JSON values, each with the number of rows."""
    try:
        rows = task.work(item)
    except OutputError:  # a full disk is no fault of the clip: the run ends, and goes on where there is room
        raise
    except VocableError as error:
        return [_quarantine(item, str(error))]
    except Exception as error:  # a failure of a library on one clip must not end a run of hours
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(f"{item}: {reason_of(error)}; make room, and the run goes on") from error
        return [_quarantine(item, f"{type(error).__name__}: {error}")]
    return [
        {"entry": row.entry, "item": row.item, "of": len(rows), **row.extra,
         "scores": {key: _score_to_json(score) for key, score in row.scores.items()}} for row in rows
    ]  # fmt: skip


def _quarantine(item: str, reason: str) -> dict[str, Any]:
    return {"item": item, "of": 1, _QUARANTINED: reason}


def _score_to_json(score: Score) -> dict[str, Any]:
    if not math.isfinite(score.value):
        return {"reason": score.reason or "infinite"}
    weight = {} if score.weight == 1.0 else {"weight": score.weight}
    return {"value": score.value} | weight | ({"counts": dict(score.counts)} if score.counts else {})


# ---- the work, here or in processes ---------------------------------------------------------------------------------


def _work_through(
    task: Task, build: Callable[[], Task], items: Sequence[str], jobs: int
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield items and their rows as they are done."""
    if jobs == 1:
        for item in items:
            yield item, _evaluate_item(task, item)
        return
    remaining = list(items)
    while remaining:
        in_work: list[str] = []
        for item, rows in _work_in_processes(build, tuple(remaining), jobs, in_work):  # a copy: `remaining` shrinks
            remaining.remove(item)
            yield item, rows
        for item in in_work:  # a process died while these were in work; each alone shows which of them killed it
            failed: list[str] = []
            for _, rows in _work_in_processes(build, [item], 1, failed):
                yield item, rows
            if failed:
                yield item, [_quarantine(item, "the process that worked on it died")]
            remaining.remove(item)


def _work_in_processes(
    build: Callable[[], Task], items: Sequence[str], jobs: int, in_work: list[str]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield items and their rows until a process dies; then put the items in work into ``in_work``."""
    waiting = iter(items)
    spawn = get_context("spawn")  # a forked torch may hang
    with ProcessPoolExecutor(jobs, spawn, _start_worker, (build,)) as pool:
        working: dict[Future[list[dict[str, Any]]], str] = {}
        try:
            while True:
                # no more than the processes can work on: if one dies, only these must be tried again
                working |= {pool.submit(_run_in_worker, item): item for item in islice(waiting, jobs - len(working))}
                if not working:
                    return
                for future in wait(working, return_when=FIRST_COMPLETED).done:
                    rows = future.result()
                    yield working.pop(future), rows
        except BrokenProcessPool:
            in_work += working.values()
        except BaseException:  # Ctrl-C: rows that are in work are not waited for
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise


_task: Task | None = None  # the task of a worker process


def _start_worker(build: Callable[[], Task]) -> None:
    global _task
    end_with_parent()
    _task = build()
    if "torch" in sys.modules:  # not every task needs it, and importing it takes seconds
        sys.modules["torch"].set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def _run_in_worker(item: str) -> list[dict[str, Any]]:
    assert _task is not None
    return _evaluate_item(_task, item)
