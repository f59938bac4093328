"""Requests to stop a training: Ctrl-C, and the signals of schedulers and closed terminals."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import torch

from vocable.collective import global_max
from vocable.errors import VocableError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FAILED = 1 << 10  # above the numbers of signals
_SHOW_CURSOR = "\x1b[?25h"


class StopRequest:
    """Request to stop after the step in progress.

    Attributes:
        signal: Number of the signal that asked for it; 0 while there is none.
        error: Error of this process for which it must stop; None while there is none.
        has_failed: Whether any process of the group must stop for an error.
    """

    def __init__(self) -> None:
        self.signal: int = 0
        self.error: VocableError | None = None
        self.has_failed = False

    def fail(self, error: VocableError) -> None:
        """Ask all processes of the group to stop, for an error of this one."""
        self.error = error

    def is_made(self, device: torch.device) -> bool:
        """Return whether a process of the group was asked to stop; the result is the same in all of them.

        Args:
            device: Torch device of the messages between processes.
        """
        reason = self.signal if self.error is None else _FAILED
        reason = int(global_max(torch.tensor(reason, device=device)))
        self.has_failed = reason == _FAILED
        self.signal = 0 if self.has_failed else reason
        return reason != 0

    @property
    def name(self) -> str:
        """Name of the signal, such as ``SIGTERM``."""
        return signal.Signals(self.signal).name

    @property
    def exit_code(self) -> int:
        """Exit code of a process that a signal ends: 128 and its number."""
        return 128 + self.signal


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn the first signal of the body into a request; let a second one end the process at once.

    Signals that are ignored stay ignored, such as SIGHUP under ``nohup``. Outside of the main thread, where Python
    handles no signals, nothing changes.

    Example:
        >>> with stop_requests() as request:
        ...     os.kill(os.getpid(), signal.SIGTERM)
        ...     request.name, request.exit_code
        ('SIGTERM', 143)
    """
    request = StopRequest()
    before: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        if request.signal:
            _exit_at_once(128 + number)
        request.signal = int(number)

    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handle)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_at_once(code: int) -> None:
    """End the process without cleaning up; every file is written whole or not at all, so nothing is lost."""
    with suppress(OSError, ValueError):
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), _SHOW_CURSOR.encode())  # which the progress bar hid
    os._exit(code)
