"""Progress of a job on standard error, where that is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from vocable.corpus.jobs import Watch


@contextmanager
def show_progress(label: str) -> Iterator[Watch | None]:
    """Show the items that are finished, the hours of speech in them, and the time that the rest will take.

    Args:
        label: Word before the bar, such as ``encoding``.

    Yields:
        Function to call after each item; None where standard error is no terminal.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as RemainingColumn

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[hours]}"),
        TimeElapsedColumn(), TextColumn("left:"), RemainingColumn(), console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),  # lines for a file or a pipe must not go to the terminal
    )  # fmt: skip
    with bar:
        task = bar.add_task(label, total=None, hours="")

        def watch(finished: int, total: int, seconds: float) -> None:
            bar.update(task, completed=finished, total=total, hours=f"{seconds / 3600:.2f} h of speech")

        yield watch
