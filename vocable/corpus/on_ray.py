"""Work units of a tokenization on a Ray cluster: Ray Data places them, and everything else is as in processes."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from vocable.corpus.unit_work import Work, WorkEvent, work_through
from vocable.corpus.work_plan import Unit
from vocable.errors import VocableError
from vocable.interfaces import Tokenizer
from vocable.plugins import check_installed


def work_on_ray(
    work: Work, units: Sequence[Unit], load: Callable[[], Tokenizer], jobs: int, take: Callable[[WorkEvent], None],
    gpus: int = 0,
) -> None:  # fmt: skip
    """Work through units on Ray; every node must see the inputs and the folder of the corpus under the same paths.

    The cluster is that of the running Ray, or of ``RAY_ADDRESS``; without either, a Ray is started on this machine.
    A unit that is lost with its node is made again by the next run, or by Ray itself.

    Args:
        work: Settings of the work.
        units: Units to make.
        load: Function that loads the tokenizer in a worker; it must be picklable.
        jobs: Number of workers.
        take: Function that gets the events of each finished unit.
        gpus: Number of GPUs of each worker; Ray hides them from a worker that asks for none.

    Raises:
        MissingDependencyError: If Ray is not installed.
        VocableError: If a worker raises it.
    """
    check_installed("workers on Ray", ("ray", "pyarrow", "pandas"), "ray")  # Ray Data needs both
    import ray

    is_started = not ray.is_initialized()
    if is_started:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    context = ray.data.DataContext.get_current()
    had_bars, context.enable_progress_bars = context.enable_progress_bars, False
    try:
        rows = ray.data.from_items([{"number": place} for place in range(len(units))])
        made = rows.map(
            _UnitWorker,  # type: ignore[arg-type]  # a class whose instances are called
            fn_constructor_args=(work, list(units), load),
            concurrency=min(jobs, max(1, len(units))),
            num_cpus=1,
            num_gpus=gpus,
        )
        for row in made.iter_rows():
            for event in row["events"]:
                take(WorkEvent(**event))
            if row["error"]:
                raise VocableError(row["error"])
    finally:
        context.enable_progress_bars = had_bars
        if is_started:
            ray.shutdown()


class _UnitWorker:
    """Worker that loads the tokenizer once."""

    def __init__(self, work: Work, units: Sequence[Unit], load: Callable[[], Tokenizer]) -> None:
        self._work, self._units, self._tokenizer = work, units, load()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        events, problem = [], ""
        try:
            for event in work_through(self._work, [self._units[row["number"]]], self._tokenizer):
                events.append({"seconds": event.seconds, "unit": event.unit, "line": event.line})
        except VocableError as error:
            problem = str(error)
        return {"events": events, "error": problem}
