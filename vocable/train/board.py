"""Files of TensorBoard, written in this thread.

The writer of the package works in a thread of its own, where a full disk becomes a traceback on the terminal and an
error of a later step. This one has the methods of torch's ``SummaryWriter`` that vocable needs.
"""

import io
import os
import platform
import time
from pathlib import Path
from typing import Any

from vocable.files import append_bytes, make_folder


class Board:
    """Curves, pictures and sounds of one run for TensorBoard. They are written when :meth:`flush` is called.

    Args:
        folder: Folder of the files; created if missing.
        start: Number of finished steps; TensorBoard leaves later ones of an earlier run out.

    Raises:
        ImportError: If the package tensorboard is not installed.
        OutputError: If the folder cannot be written; every method raises it.
    """

    def __init__(self, folder: Path, start: int) -> None:
        import torch.utils.tensorboard  # noqa: F401 raises the error where the package is missing
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from torch.utils.tensorboard import summary

        self._event, self._summary = Event, summary
        make_folder(folder)
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.{platform.node()}.{os.getpid()}"
        self._events = [
            Event(wall_time=time.time(), file_version="brain.Event:2"),
            Event(wall_time=time.time(), step=start + 1, session_log=SessionLog(status=SessionLog.START)),
        ]
        self.flush()

    def add_scalar(self, name: str, value: float | int, step: int) -> None:
        """Add a point of a curve."""
        self._add(self._summary.scalar(name, value), step)

    def add_audio(self, name: str, samples: Any, step: int, sample_rate: int) -> None:
        """Add a sound of shape (1, T) with values in [-1, 1]."""
        self._add(self._summary.audio(name, samples, sample_rate=sample_rate), step)

    def add_image(self, name: str, image: Any, step: int) -> None:
        """Add a picture of shape (1, H, W) or (3, H, W) with values in [0, 1]."""
        self._add(self._summary.image(name, image, dataformats="CHW"), step)

    def flush(self) -> None:
        """Write what was added."""
        from tensorboard.summary.writer.record_writer import RecordWriter

        data = io.BytesIO()
        records = RecordWriter(data)
        for event in self._events:
            records.write(event.SerializeToString())
        self._events = []
        append_bytes(self._path, data.getvalue())

    def close(self) -> None:
        """Write what is left."""
        if self._events:
            self.flush()

    def _add(self, summary: Any, step: int) -> None:
        self._events.append(self._event(wall_time=time.time(), step=step, summary=summary))
