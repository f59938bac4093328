"""A limit on the memory of processes, which the system enforces."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vocable.errors import ConfigError

_LEAST = 128 << 20  # bytes that encoding a group of recordings needs beside the loaded networks
_GROUP_SECONDS = 60.0
_BYTES_PER_SECOND = 1 << 20  # of speech in a group: its samples, several times


@dataclass(frozen=True)
class Budget:
    """Memory that one process may take.

    Attributes:
        limit: Bytes; None for no limit.
    """

    limit: int | None = None

    @classmethod
    def of_processes(cls, gigabytes: float | None, jobs: int) -> "Budget":
        """Return the share of each of several processes, of which this one is another if there is more than one.

        Raises:
            ConfigError: If the shares are too small, or this system cannot limit memory.

        Example:
            >>> Budget.of_processes(None, 4)
            Budget(limit=None)
        """
        if gigabytes is None:
            return cls()
        if not sys.platform.startswith("linux"):
            raise ConfigError("max-memory works on Linux alone; leave it out, and take fewer jobs")
        used = _resident()
        limit = int((gigabytes * 1e9 - (used if jobs > 1 else 0)) / jobs)
        if limit < used + _LEAST:
            least = (used * (jobs + (jobs > 1)) + _LEAST * jobs) / 1e9
            raise ConfigError(
                f"max-memory is {gigabytes:g} GB: {jobs} {'jobs' if jobs > 1 else 'job'} with this tokenizer need at "
                f"least {least:.1f} GB; give more, or take fewer jobs"
            )
        return cls(limit)

    def group_seconds(self) -> float:
        """Return the seconds of speech to encode together."""
        if self.limit is None:
            return _GROUP_SECONDS
        return min(_GROUP_SECONDS, max(1.0, (self.limit - _resident() - _LEAST // 2) / _BYTES_PER_SECOND))

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Let the system refuse what is beyond the limit, which raises a MemoryError where it is asked for."""
        if self.limit is None:
            yield
            return
        before = resource.getrlimit(resource.RLIMIT_DATA)
        most = _status("VmData") + max(_LEAST, self.limit - _resident())
        if before[1] != resource.RLIM_INFINITY:
            most = min(most, before[1])
        resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)


def _resident() -> int:
    return _status("VmRSS")


def _status(key: str) -> int:
    """Return a value of this process's status in bytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[key].split()[0]) * 1024
