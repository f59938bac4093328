"""Parts of an audio file: recordings that stand one after the other in it, each complete in itself.

Files that were joined by ``cat``, streams of several songs, and headers that do not know their length are valid files
for their makers. libsndfile reads the first part of such a file, or nothing, and reports no error.
"""

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from vocable.errors import AudioError

_UNKNOWN_LENGTHS = ((2_000_000_000, 1 << 16), (1 << 31, 1 << 16), (1 << 32, 1 << 16))  # and how far a writer is off
_CHUNK = 1 << 16
_ID3_VERSIONS = (2, 3, 4)
_MAX_PARTS = 1 << 12  # recordings in one file


@dataclass(frozen=True)
class Part:
    """A range of bytes of a file that is an audio file in itself.

    Attributes:
        start: First byte.
        stop: Byte after the last one.
        header: Bytes to read in place of those from ``start`` to ``body``.
        body: First byte that is read from the file itself; ``start`` by default.
        least: Number of samples that must come out; a decoder that gives up early reports no error.
        is_counted: Whether its header names its length in frames, so that bytes of no kind behind it are no part of it.
    """

    start: int
    stop: int
    header: bytes = b""
    body: int | None = None
    least: int = 0
    is_counted: bool = False


class PartStream(io.RawIOBase):
    """A part of an open file as a file of its own."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        super().__init__()
        self._file, self._header = file, part.header
        self._body = part.start if part.body is None else part.body
        self._size = len(part.header) + part.stop - self._body
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position from the beginning of the part."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position; see :meth:`io.IOBase.seek`."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Read up to ``len(buffer)`` bytes."""
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._position))
        if self._position < len(self._header):
            content = self._header[self._position : self._position + wanted]
        else:
            self._file.seek(self._body + self._position - len(self._header))
            content = self._file.read(wanted)
        view[: len(content)] = content
        self._position += len(content)
        return len(content)


class Bytes:
    """Random access to the bytes of a file of any size, through a buffer.

    Args:
        file: File, opened to read bytes.
        name: Path for messages.

    Attributes:
        size: Number of bytes.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file, self.name = file, name
        self.size = file.seek(0, os.SEEK_END)
        self._start, self._buffer = 0, b""

    def at(self, position: int, count: int) -> bytes:
        """Return up to ``count`` bytes from a position on; fewer at the end of the file."""
        if position >= self.size:
            return b""
        offset = position - self._start
        if offset < 0 or offset + min(count, self.size - position) > len(self._buffer):
            self.file.seek(position)
            self._start, self._buffer = position, self.file.read(max(_CHUNK, count))
            offset = 0
        return self._buffer[offset : offset + count]

    def number(self, position: int, count: int, order: str = "little") -> int:
        """Return an unsigned integer of ``count`` bytes."""
        return int.from_bytes(self.at(position, count), "big" if order == "big" else "little")

    def find(self, pattern: bytes, start: int) -> int:
        """Return the position of a pattern from a position on, or -1."""
        while start < self.size:
            content = self.at(start, _CHUNK)
            if (found := content.find(pattern)) >= 0:
                return start + found
            start += max(1, len(content) - len(pattern) + 1)
        return -1


def is_unknown_length(promised: int) -> bool:
    """Return whether a length in bytes is one that writers use who do not know the length.

    Example:
        >>> [is_unknown_length(size) for size in (0, 2_000_000_000, 0x7FFFF000, 0xFFFFFFFF, 32_000)]
        [True, True, True, True, False]
    """
    return promised == 0 or promised >= 1 << 62 or any(abs(promised - one) <= off for one, off in _UNKNOWN_LENGTHS)


def id3_size(head: bytes) -> int:
    r"""Return the number of bytes of an ID3v2 tag, given its first ten; 0 if they begin none.

    Example:
        >>> id3_size(b"ID3\x03\0\0\0\0\2\0"), id3_size(b"ID3 by chance")
        (266, 0)
    """
    is_tag = head[:3] == b"ID3" and len(head) >= 10 and head[3] in _ID3_VERSIONS and head[4] != 0xFF
    if not is_tag or head[5] & 0x0F or max(head[6:10]) >= 0x80:
        return 0
    return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + (10 if head[5] & 0x10 else 0)


def skip_tags(data: Bytes, position: int) -> int:
    """Return the position after tags and zero bytes, which players put before, between and after recordings."""
    while position < data.size:
        head = data.at(position, 32)
        if size := id3_size(head[:10]):
            position += size
        elif head.startswith(b"TAG+"):
            position += 227
        elif head.startswith(b"TAG"):
            position += 128
        elif head.startswith(b"APETAGEX") and len(head) == 32:
            position += 32 + (int.from_bytes(head[12:16], "little") if head[23] & 0x20 else 0)
        elif head.startswith(b"LYRICSBEGIN"):
            ends = [(data.find(mark, position), len(mark)) for mark in (b"LYRICS200", b"LYRICSEND")]
            position = min((at + size for at, size in ends if at >= 0), default=data.size)
        elif head[:1] == b"\0":
            content = data.at(position, _CHUNK)
            position += len(content) - len(content.lstrip(b"\0"))
        else:
            break
    return min(position, data.size)


Walker = Callable[[Bytes, int], tuple[list[Part], int]]
"""Function from a file and the first byte of a container to its parts, and to the byte after it."""


def find_parts(data: Bytes, kind_at: Callable[[Bytes, int], str | None], walkers: Mapping[str, Walker]) -> list[Part]:
    """Return the parts of a file; none if its beginning is no container of the walkers.

    Args:
        data: File.
        kind_at: Function that recognizes a container by its first bytes.
        walkers: For each container, the function that finds its parts.

    Raises:
        AudioError: If bytes are left that belong to no recording.
    """
    parts: list[Part] = []
    position = skip_tags(data, 0)
    while (walk := walkers.get(kind_at(data, position) or "")) is not None:
        found, end = walk(data, position)
        parts += found
        if len(parts) > _MAX_PARTS:
            raise AudioError(f"{data.name}: holds more than {_MAX_PARTS} recordings; write them to files of their own")
        position = skip_tags(data, end)
        if position + 8 > data.size:
            return parts
    if parts and not parts[-1].is_counted:
        raise AudioError(
            f"{data.name}: {data.size - position} bytes follow the end that the header names, and are no audio file; "
            "copy it again, or convert it with ffmpeg (-ignore_length 1 reads a WAV beyond its header)"
        )
    return parts
