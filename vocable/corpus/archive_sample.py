"""A recording in an archive, and its file."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vocable.audio import CONVERTIBLE_SUFFIXES

DAMAGED = "copy it again, or leave it out"


@dataclass
class ArchiveSample:
    """A recording in an archive.

    Attributes:
        key: Name in the archive.
        data: Bytes of the audio file; None if there are none.
        suffix: Suffix of the audio file, with the dot.
        text, speaker, split, extra: See :class:`~vocable.corpus.shard_format.ShardRow`.
        problem: Reason why it cannot be encoded; empty otherwise.
    """

    key: str
    data: bytes | None = None
    suffix: str = ""
    text: str | None = None
    speaker: str | None = None
    split: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


@contextmanager
def audio_file(data: bytes, suffix: str) -> Iterator[Path]:
    """Put the bytes of an audio file into a file that lies in memory where the system can do that.

    Args:
        data: Contents.
        suffix: Suffix of the file, with the dot, in lower case.
    """
    if hasattr(os, "memfd_create") and suffix not in CONVERTIBLE_SUFFIXES:  # those are known by their names alone
        descriptor = os.memfd_create(f"sample{suffix}")
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(data)
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(data)
        file.flush()
        yield Path(file.name)
