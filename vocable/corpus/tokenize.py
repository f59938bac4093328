"""Tokenization of a corpus into shards: each recording once, whatever is killed, by one process or many.

A process works through the units of the plan (see :mod:`vocable.corpus.work_plan`). It claims a unit, encodes its
recordings, and moves the finished shard to its place. A unit that has a shard is done. So nothing but the shards says
what is done, and the finished corpus is the same whoever made which shard, and in which order.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vocable.corpus.memory import Budget
from vocable.corpus.progress import Progress
from vocable.corpus.shard import TokenShard
from vocable.corpus.shard_writer import encoding_settings
from vocable.corpus.unit_work import Work, WorkEvent, work_through
from vocable.corpus.work_plan import PlanHeader, Unit, check_share, make_plan, read_plan
from vocable.errors import ConfigError, VocableError
from vocable.files import exists
from vocable.interfaces import NeedsOthers, Tokenizer
from vocable.processes import end_with_parent, share_work

_StrPath = str | os.PathLike[str]
_Say = Callable[[str], None]
ENGINES = ("processes", "ray")


@dataclass(frozen=True)
class Tokenized:
    """Result of a tokenization.

    Attributes:
        folder: Folder of the corpus.
        shards: Number of shards that are done, of all that this process was to make.
        missing: Number of shards that are not there: other processes make them, or were killed.
        recordings: Number of recordings in the shards, without those that failed.
        hours: Hours of speech in the shards.
        failed: Number of recordings that failed.
    """

    folder: Path
    shards: int
    missing: int
    recordings: int
    hours: float
    failed: int

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        missing = f", {self.missing} shards are missing or made by other processes" if self.missing else ""
        return (
            f"{self.folder}: {self.recordings} recordings, {self.hours:.2f} h in {self.shards} shards{failed}{missing}"
        )

    def finish(self) -> None:
        """Raise a VocableError if the corpus lacks a recording."""
        if self.failed:
            raise VocableError(
                f"{self.failed} of {self.failed + self.recordings} recordings failed; the others are done. `vocable "
                "tokenize --verify` names them, `--retry-failed` tries them again"
            )


def tokenize_corpus(
    tokenizer: Tokenizer, inputs: Sequence[_StrPath], out: _StrPath, *,
    levels: int | None = None, jobs: int = 1, load: Callable[[], Tokenizer] | None = None,
    shard: str | None = None, shard_hours: float | None = None, limit_hours: float | None = None,
    max_memory: float | None = None, retry_failed: bool = False, engine: str = "processes", say: _Say = print,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Tokenized:  # fmt: skip
    """Tokenize recordings into token shards; go on where an earlier run stopped.

    The finished corpus does not depend on how often it was interrupted, nor on the number of processes. Recordings
    that fail are kept in the shards with their reasons.

    Args:
        tokenizer: Tokenizer to encode with.
        inputs: Recordings, folders, glob patterns, manifests (``.jsonl``), WebDataset tar files and Parquet files with
            audio. Recordings that a plan of the folder has already are not added again. None are needed to go on.
        out: Folder of the corpus.
        levels: Number of levels to keep, counted from the first; all by default.
        jobs: Number of processes. Several need ``load``.
        load: Function that loads the tokenizer in another process; it must be picklable.
        shard: Share of the shards to make, as ``i/n`` with i from 1 to n; all by default.
        shard_hours: Hours of speech of a shard at most; by default those of the plan, or 1.
        limit_hours: Hours of speech after which no recording is added to the plan.
        max_memory: Gigabytes that all processes may take together; as much as there is by default.
        retry_failed: Whether recordings that failed are tried again.
        engine: Where jobs run: ``processes`` of this machine, or ``ray``, a cluster; see :mod:`vocable.corpus.on_ray`.
        say: Function that gets a line for each finished shard.
        watch: Function that gets the state after each recording.

    Raises:
        OutputError: If the folder cannot be written, or holds a corpus of another tokenizer or of other settings.
        ConfigError: If a setting is out of range.
        VocableError: If the inputs cannot be used.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from vocable.testing import speechlike
        >>> import vocable
        >>> with TemporaryDirectory() as folder:
        ...     speechlike(8_000).write(f"{folder}/a.wav")
        ...     tokenized = tokenize_corpus(
        ...         vocable.load("guided-small"), [f"{folder}/a.wav"], f"{folder}/tokens", say=lambda line: None
        ...     )
        ...     tokenized.recordings, tokenized.failed
        (1, 0)
    """
    folder = Path(out)
    share = check_share(shard)
    if (jobs > 1 or engine == "ray") and load is None:
        raise ConfigError(f"jobs is {jobs}: other processes load the tokenizer themselves; pass `load`")
    if engine not in ENGINES:
        raise ConfigError(f"engine is {engine!r}; choose one of {', '.join(ENGINES)}")
    if isinstance(tokenizer, NeedsOthers):
        tokenizer.check_encoding()
    budget = Budget.of_processes(max_memory, jobs)
    header = _plan_header(tokenizer, folder, levels, shard_hours, is_limited=limit_hours is not None)
    plan = make_plan(folder, inputs, header, say, limit_hours=limit_hours)
    work = Work(folder, plan.header.model, levels, share, retry_failed, budget)
    units = [unit for unit in plan.units if unit.number % share[1] == share[0] - 1]
    progress = _Watched(folder, units, say, watch)
    if engine == "ray" and load is not None:
        from vocable.corpus.on_ray import work_on_ray

        gpus = int(plan.header.device == "cuda")
        work_on_ray(replace(work, folder=folder.resolve()), units, load, jobs, progress.take, gpus)
    elif jobs > 1 and load is not None:
        share_work(_run_worker, (work, load), jobs, progress.take)  # by claims
    else:
        for event in work_through(work, units, tokenizer):
            progress.take(event)
    return _summarize(folder, units)


def _plan_header(
    tokenizer: Tokenizer, folder: Path, levels: int | None, shard_hours: float | None, *, is_limited: bool
) -> PlanHeader:
    if levels is not None and not 1 <= levels <= tokenizer.spec.num_codebooks:
        raise ConfigError(f"levels is {levels}: this tokenizer has {tokenizer.spec.num_codebooks}")
    if shard_hours is None:
        plan = read_plan(folder)
        shard_hours = 1.0 if plan is None else plan.header.shard_hours
    device = getattr(tokenizer, "device", None)
    return PlanHeader(
        plan=1, tokenizer=tokenizer.digest, model=getattr(tokenizer, "name", None),
        settings=encoding_settings(tokenizer, levels), device=getattr(device, "type", "cpu"),
        shard_hours=float(shard_hours), is_limited=is_limited,
    )  # fmt: skip


class _Watched:
    """Receiver of events, which passes them on as lines and as progress."""

    def __init__(self, folder: Path, units: Sequence[Unit], say: _Say, watch: Callable[[Progress], None]) -> None:
        self._folder, self._say, self._watch = folder, say, watch
        self._sizes = {unit.name: len(unit) for unit in units}
        self._in_work = 0
        self.progress = Progress(items=sum(map(len, units)))
        self._count()

    def take(self, event: WorkEvent) -> None:
        """Take over an event; raise its error."""
        if event.error is not None:
            raise event.error
        if event.unit:
            self._in_work -= self._sizes[event.unit]
            self._count()
            self._say(event.line)
            return
        self._in_work += 1
        self.progress.encoded += 1
        self.progress.done = min(self.progress.items, self.progress.done + 1)
        self.progress.failed += event.seconds is None
        self.progress.seconds += event.seconds or 0.0
        self._watch(self.progress)

    def _count(self) -> None:
        """Count the recordings of all shards that are there, whoever made them."""
        there = sum(self._sizes.get(name, 0) for name in os.listdir(self._folder))  # a scan  # noqa: PTH208
        self.progress.done = min(self.progress.items, there + self._in_work)
        self._watch(self.progress)


def _run_worker(events: Any, work: Work, load: Callable[[], Tokenizer]) -> None:
    """Work through a plan in a process of its own."""
    end_with_parent()
    try:
        plan = read_plan(work.folder)
        assert plan is not None
        units = [unit for unit in plan.units if unit.number % work.share[1] == work.share[0] - 1]
        for event in work_through(work, units, load()):
            events.put(event)
    except VocableError as error:
        events.put(WorkEvent(error=type(error)(str(error))))


def _summarize(folder: Path, units: Sequence[Unit]) -> Tokenized:
    shards = [TokenShard.open(folder / unit.name) for unit in units if exists(folder / unit.name)]
    return Tokenized(
        folder=folder, shards=len(shards), missing=len(units) - len(shards), recordings=sum(map(len, shards)),
        hours=sum(int(shard.samples.sum()) / shard.spec.sample_rate for shard in shards) / 3600,
        failed=sum(shard.failed_count for shard in shards),
    )  # fmt: skip
