"""Loading of batches ahead of the step that needs them, in a thread or in processes of their own.

A batch is a function of its step. So who makes it, and when, changes nothing, and a run may have another number of
workers at every start.

What the batch of a step needs and what is missing, such as features of a teacher, is prepared before the batch is asked
for, by the process and the thread that train: a forked worker cannot use a GPU, and two threads would compete for it.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import torch

from vocable.errors import ConfigError, TrainingError, VocableError

_AHEAD = 2  # batches that each worker makes before they are due
_MAX_DEFAULT = 4  # workers
_PATIENCE = 5.0  # seconds after which a worker looks whether its training still runs
_GROWTH = 2  # batches that are prepared in a step, until all workers have theirs
_Load = Callable[[int], Any]
_Prepare = Callable[[int], None]


class Loader(Protocol):
    """Batches of steps, in order."""

    def next(self) -> Any:
        """Return the batch of the next step.

        Raises:
            VocableError: If the batch cannot be made, or its worker has ended.
        """


@contextmanager
def load_ahead(load: _Load, steps: range, *, workers: int, prepare: _Prepare | None = None) -> Iterator[Loader]:
    """Load the batches of steps before they are due, until the body ends.

    Args:
        load: Function from a step to its batch.
        steps: Steps whose batches will be asked for, in order.
        workers: Number of processes that make batches; 0 makes them in a thread of this process.
        prepare: Function that the calling thread calls before a batch is made. The error that it raises is that of the
            batch.

    Raises:
        ConfigError: If there are workers and the system cannot fork processes.

    Example:
        >>> with load_ahead(lambda step: torch.full((2,), step), range(3, 5), workers=0) as loader:
        ...     loader.next(), loader.next()
        (tensor([3, 3]), tensor([4, 4]))
    """
    if workers == 0:
        threads = torch.get_num_threads()  # a setting of each thread: with the default two would compete
        with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
            yield _ThreadLoader(load, steps, pool, prepare)
        return
    loader = _ProcessLoader(load, steps, workers, prepare)
    try:
        yield loader
    finally:
        loader.close()


def default_workers(device: torch.device, world: int) -> int:
    """Return the number of workers where none is named: 0 beside a CPU, for which they would compete.

    Args:
        device: Torch device of the networks.
        world: Number of ranks.

    Example:
        >>> default_workers(torch.device("cpu"), 1)
        0
    """
    if device.type == "cpu" or not _can_fork():
        return 0
    return max(1, min(_MAX_DEFAULT, (os.cpu_count() or 1) // world - 1))


class _ThreadLoader:
    """Loader in one thread, one batch ahead."""

    def __init__(self, load: _Load, steps: range, pool: ThreadPoolExecutor, prepare: _Prepare | None) -> None:
        self._load, self._steps, self._pool, self._prepare = load, iter(steps), pool, prepare
        self._following = self._submit()

    def next(self) -> Any:
        if self._following is None:
            raise StopIteration
        batch = self._following.result()
        self._following = self._submit()
        return batch

    def _submit(self) -> Future[Any] | None:
        step = next(self._steps, None)
        if step is None:
            return None
        try:
            if self._prepare is not None:
                self._prepare(step)
        except VocableError as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed
        return self._pool.submit(self._load, step)


class _ProcessLoader:
    """Loader in W processes that take turns: worker w makes the batches w, w + W, w + 2 W, and so on."""

    def __init__(self, load: _Load, steps: range, workers: int, prepare: _Prepare | None) -> None:
        if not _can_fork():
            raise ConfigError("this system cannot fork processes, as loader workers must be; leave --workers out")
        context = multiprocessing.get_context("fork")  # nothing is copied: memory is shared until it is written
        self._steps, self._count, self._requested, self._prepare = steps, 0, 0, prepare
        self._errors: dict[int, VocableError] = {}  # of batches that could not be prepared, by their positions
        self._workers: list[tuple[BaseProcess, Connection]] = []
        for number in range(min(workers, len(steps))):
            near, far = context.Pipe()
            worker = context.Process(target=_serve, args=(load, far, os.getpid()), name=str(number), daemon=True)
            worker.start()
            far.close()
            self._workers.append((worker, near))
        self._request(_AHEAD * len(self._workers) if prepare is None else 1)

    def next(self) -> Any:
        if self._count == len(self._steps):
            raise StopIteration
        worker, connection = self._workers[self._count % len(self._workers)]
        if self._count in self._errors:
            raise self._errors[self._count]
        try:
            if connection not in wait([connection, worker.sentinel]):
                raise EOFError
            batch = connection.recv()
        except (EOFError, OSError, RuntimeError) as error:  # RuntimeError: the memory that it shared is gone
            raise _describe_end(worker) from error
        if isinstance(batch, Exception):
            raise batch
        self._count += 1
        self._request(_GROWTH)
        return batch

    def close(self) -> None:
        """End the workers."""
        for worker, connection in self._workers:
            connection.close()
            worker.terminate()
        for worker, _ in self._workers:
            worker.join()

    def _request(self, most: int) -> None:
        """Ask the workers whose turn it is for the next batches, until they have enough to do."""
        last = min(len(self._steps), self._count + _AHEAD * len(self._workers), self._requested + most)
        for position in range(self._requested, last):
            try:
                if self._prepare is not None:
                    self._prepare(self._steps[position])
            except VocableError as error:
                self._errors[position] = error
                continue
            with suppress(OSError):  # it has ended, which `next` says when this batch is due
                self._workers[position % len(self._workers)][1].send(self._steps[position])
        self._requested = max(self._requested, last)


def _can_fork() -> bool:
    return "fork" in multiprocessing.get_all_start_methods()


def _serve(load: _Load, connection: Connection, parent: int) -> None:
    """Make the batches that are asked for, until the training ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes, and the training ends its workers
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)  # a forked process cannot use the threads of its parent
    with suppress(EOFError, OSError):  # the training has ended
        while True:
            while not connection.poll(_PATIENCE):
                if os.getppid() != parent:
                    return
            step = connection.recv()
            try:
                answer = load(step)
            except VocableError as error:
                answer = error
            except Exception as error:
                answer = TrainingError(f"its batch cannot be made ({type(error).__name__}: {error})")
            connection.send(answer)


def _describe_end(worker: BaseProcess) -> TrainingError:
    """Return the error of a worker that has ended before the training."""
    worker.join(_PATIENCE)
    code = worker.exitcode or 0
    end = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return TrainingError(
        f"loader worker {worker.name}, process {worker.pid}, {end}; see whether memory or /dev/shm is full, and take "
        "fewer --workers"
    )
