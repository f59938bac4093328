"""Training logs: JSON lines, TensorBoard, and a progress bar."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jaxtyping import Float
from numpy import ndarray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vocable.errors import CheckpointError, MissingDependencyError, OutputError
from vocable.files import MAX_FILE_BYTES, append_text, exists, folder_exists, json_line, read_file, write_text
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
        board: Whether to write TensorBoard's files; by default if its package is installed.

    Raises:
        MissingDependencyError: If TensorBoard's files are requested and its package is not installed.
        OutputError: If the folder cannot be written; every method raises it.
    """

    def __init__(self, folder: Path, *, steps: int, start: int = 0, quiet: bool = False,
                 board: bool | None = None) -> None:  # fmt: skip
        self._path = folder / "log.jsonl"
        with self._writing():
            if exists(self._path):
                text = read_file(self._path, CheckpointError, "move it away", limit=MAX_FILE_BYTES)
                lines = text.decode(errors="replace").splitlines()
                write_text(self._path, "".join(line + "\n" for line in lines if _step_of(line) <= start))
            elif not folder_exists(folder):
                raise OutputError(f"{self._path}: cannot be written (there is no such folder); take another")
            self._board = None if board is False else _open_board(folder / "tensorboard", start, required=bool(board))
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
            if self._board:
                for name, value in _flat(values):
                    self._board.add_scalar(name, value, step)
                self._board.flush()

    def write_sound(self, name: str, samples: Float[ndarray, " T"], sample_rate: int, step: int) -> None:
        """Add audio to TensorBoard, if it is written.

        Args:
            name: Name of the clip, and of its reconstruction or original.
            samples: Samples in [-1, 1].
            sample_rate: Sample rate in Hz.
            step: Step that the audio belongs to.
        """
        if self._board:
            with self._writing():
                self._board.add_audio(name, samples[None], step, sample_rate)

    def write_image(self, name: str, image: Float[ndarray, "H W"], step: int) -> None:
        """Add a gray image with values in [0, 1] to TensorBoard, if it is written; see :meth:`write_sound`."""
        if self._board:
            with self._writing():
                self._board.add_image(name, image[None], step)

    def say(self, text: str) -> None:
        """Print a line above the progress bar; do nothing if the terminal is closed."""
        with suppress(OSError):
            self._bar.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def close(self) -> None:
        """Flush and close the log."""
        with suppress(OSError):  # a closed terminal
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


def check_board() -> None:
    """Raise a MissingDependencyError if the package tensorboard is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "--tensorboard needs the package tensorboard: pip install 'vocable[train]'"
        ) from error


def _open_board(folder: Path, start: int, *, required: bool) -> Board | None:
    try:
        return Board(folder, start)
    except ImportError:
        if required:
            check_board()
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


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the complete lines of a run's log; none if there is no log."""
    path = folder / "log.jsonl"
    if not exists(path):
        return []
    rows, text = [], read_file(path, CheckpointError, "move it away", limit=MAX_FILE_BYTES)
    for line in text.decode(errors="replace").splitlines():
        with suppress(CheckpointError):
            rows.append(parse_log_line(line, str(path)))
    return rows


def _step_of(line: str) -> float:
    try:
        return float(parse_log_line(line, "log.jsonl")["step"])
    except CheckpointError:
        return float("inf")  # an incomplete line, left by a killed process, is removed
