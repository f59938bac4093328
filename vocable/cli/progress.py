"""Progress of a job on standard error, where that is a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vocable.corpus.jobs import Watch
from vocable.corpus.progress import Progress

_LINE_SECONDS = 60.0  # between two lines in a log


@contextmanager
def show_progress(label: str) -> Iterator[Watch | None]:
    """Show the items that are finished, the hours of speech in them, and the time that the rest will take.

    Args:
        label: Word before the bar, such as ``encoding``.

    Yields:
        Function to call after each item; None where standard error is no terminal.
    """
    with _shown_bar(label) as update:
        if update is None:
            yield None
        else:
            yield lambda finished, total, seconds: update(finished, total, f"{seconds / 3600:.2f} h of speech")


@contextmanager
def show_corpus_progress(label: str = "tokenizing") -> Iterator[Callable[[Progress], None]]:
    """Show the state of a job on a corpus: recordings, hours, times real time, time left, failures.

    Args:
        label: Word before the bar.

    Yields:
        Function to call after each recording. Where standard error is no terminal, it prints a line once a minute.
    """
    started = printed = time.monotonic()
    with _shown_bar(label) as update:

        def watch(progress: Progress) -> None:
            nonlocal printed
            now = time.monotonic()
            speed = progress.seconds / max(now - started, 1e-9)
            failed = f", {progress.failed} failed" if progress.failed else ""
            hours = f"{progress.seconds / 3600:.2f} h of speech, {speed:.0f} × real time{failed}"
            if update is not None:
                update(progress.done, progress.items, hours)
            elif now - printed >= _LINE_SECONDS:
                printed = now
                left = (progress.items - progress.done) * (now - started) / max(progress.encoded, 1)
                print(
                    f"{progress.done} of {progress.items} recordings, {hours}, {left / 60:.0f} min left",
                    file=sys.stderr, flush=True,
                )  # fmt: skip

        yield watch


@contextmanager
def _shown_bar(label: str) -> Iterator[Callable[[int, int, str], None] | None]:
    """Show a bar; yield the function that updates it, or None where standard error is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.progress import TimeRemainingColumn as RemainingColumn

    bar = Bar(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[hours]}"),
        TimeElapsedColumn(), TextColumn("left:"), RemainingColumn(), console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),  # lines for a file or a pipe must not go to the terminal
    )  # fmt: skip
    with bar:
        task = bar.add_task(label, total=None, hours="")
        yield lambda finished, total, hours: bar.update(task, completed=finished, total=total, hours=hours)
