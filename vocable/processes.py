"""Processes that work for another one."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import parent_process
from queue import Empty
from typing import Any

from vocable.errors import VocableError


def share_work(run: Callable[..., None], arguments: tuple[Any, ...], jobs: int, take: Callable[[Any], None]) -> None:
    """Run a function in several processes, which share its work by themselves, and take their events.

    Args:
        run: Function of a module, called as ``run(events, *arguments)``; ``events`` is a queue.
        arguments: Arguments, which must be picklable.
        jobs: Number of processes.
        take: Function that gets each event. If it raises an error, the processes are ended.

    Raises:
        VocableError: If a process died.
    """
    context = multiprocessing.get_context("spawn")  # a forked torch may hang
    events: Any = context.Queue()
    processes = [context.Process(target=run, args=(events, *arguments)) for _ in range(jobs)]
    try:
        for process in processes:
            process.start()
        while any(process.is_alive() for process in processes) or not events.empty():
            with suppress(Empty):
                take(events.get(timeout=0.2))
    except BaseException:  # Ctrl-C, or a full disk: what is in work is not waited for
        for process in processes:
            if process.is_alive():
                process.terminate()
        raise
    finally:
        for process in processes:
            if process.pid is not None:
                process.join()
    lost = [process.exitcode for process in processes if process.exitcode]
    if lost:
        raise VocableError(
            f"{len(lost)} of {jobs} processes died (exit code {lost[0]}); nothing is lost. Run the command again, with "
            "fewer --jobs if the memory was full"
        )


def end_with_parent() -> None:
    """End this process when the one that started it has ended, however it ended: nobody else would stop it."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
