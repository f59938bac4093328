"""Training logs: JSON lines, TensorBoard, and a progress bar."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vocable.errors import CheckpointError, OutputError
from vocable.files import MAX_FILE_BYTES, append_text, exists, is_folder, json_line, read_file, write_text
from vocable.train.board import Board
from vocable.train.record import parse_log_line


class Log:
    """Log of one run: ``log.jsonl`` and ``tensorboard/`` in its folder, and a progress bar.

    Without the package tensorboard (extra ``train``) there is no ``tensorboard/``.

    Args:
        folder: Folder of the run.
        steps: Number of steps of the whole run.
        start: Number of finished steps; later lines of an earlier log are removed.
        quiet: Whether to hide the progress bar.

    Raises:
        OutputError: If the folder cannot be written; every method raises it.
    """

    def __init__(self, folder: Path, *, steps: int, start: int = 0, quiet: bool = False) -> None:
        self._path = folder / "log.jsonl"
        with self._writing():
            if exists(self._path):
                text = read_file(self._path, CheckpointError, "move it away", limit=MAX_FILE_BYTES)
                lines = text.decode(errors="replace").splitlines()
                write_text(self._path, "".join(line + "\n" for line in lines if _step_of(line) <= start))
            elif not is_folder(folder):
                raise OutputError(f"{self._path}: cannot be written (there is no such folder); take another")
            self._board = _board(folder / "tensorboard", start)
        self._bar = Progress(
            TextColumn("[bold]train"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(), disable=quiet,
        )  # fmt: skip
        self._task = self._bar.add_task("train", total=steps, completed=start, note="")
        self._bar.start()
        self._clock = time.monotonic()

    def advance(self, step: int, note: str) -> None:
        """Move the progress bar to a step and show a note beside it."""
        self._bar.update(self._task, completed=step, note=note)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Log the values of a step: numbers, or lists with one number for each codebook level."""
        line = {"step": step, "seconds": round(time.monotonic() - self._clock, 1), **values}
        with self._writing():
            append_text(self._path, json_line({name: _plain(value) for name, value in line.items()}) + "\n")
            for name, value in _flat(values) if self._board else ():
                self._board.add_scalar(name, value, step)
            if self._board:
                self._board.flush()

    def say(self, text: str) -> None:
        """Print a line above the progress bar."""
        self._bar.console.print(text, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Flush and close the log."""
        self._bar.stop()
        if self._board:
            with self._writing():
                self._board.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self._path}: cannot be written ({error.strerror}); check the rights and the free space, then resume"
            ) from error


def _board(folder: Path, start: int) -> Any:
    try:
        return Board(folder, start)
    except ImportError:
        return None


def _flat(values: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield scalars by name; the elements of a list are named after their level."""
    for name, value in values.items():
        if isinstance(value, list):
            yield from ((f"{name}/{level}", number) for level, number in enumerate(value, 1))
        else:
            yield name, value


def _plain(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not have, by None."""
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _step_of(line: str) -> float:
    try:
        return float(parse_log_line(line, "log.jsonl")["step"])
    except CheckpointError:
        return float("inf")  # an incomplete line, left by a killed process, is removed
