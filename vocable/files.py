"""Files: reading of regular files alone, atomic writing that spares inputs, and digests.

Every file that vocable reads is opened here, or checked here before a library opens it. A named pipe, a device or a
file of ``/proc`` may never end, and may block the one who opens it.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from vocable.errors import OutputError, VocableError
from vocable.write_rules import check_target, is_replaceable

MAX_TEXT_BYTES = 64 << 20  # of a text or JSON file: the largest that vocable writes for a page has a tenth of it
MAX_FILE_BYTES = 1 << 30  # of a token file, a manifest or a list of results
_CHUNK = 1 << 20
_SURROGATE = re.compile("[\ud800-\udfff]")  # file names may have them, UTF-8 may not
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_regular(path: str | os.PathLike[str]) -> None:
    """Refuse what is no regular file on a disk, without opening it: folders, pipes, sockets, devices, ``/proc``.

    Args:
        path: Path of a file that a library will open; links are followed.

    Raises:
        OSError: If the path is missing, or is no regular file; ``strerror`` is the reason.

    Example:
        >>> check_regular(os.devnull)
        Traceback (most recent call last):
        OSError: [Errno 22] it is a device, not a regular file: '/dev/null'
    """
    try:
        found = os.stat(path)  # a POSIX name need not be valid text, and pathlib checks more  # noqa: PTH116
    except ValueError as error:  # a null byte
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    _check_kind(found, path)


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file to read its bytes; see :func:`check_regular`.

    Raises:
        OSError: If the file is missing, is no regular file, or cannot be opened; ``strerror`` is the reason.
    """
    check_regular(path)
    # another program may have put a pipe in its place since: it is opened without waiting, and checked again
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_kind(os.fstat(descriptor), path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_file(
    path: str | os.PathLike[str], error: Callable[[str], VocableError], advice: str, *, limit: int = MAX_TEXT_BYTES
) -> bytes:
    """Read the bytes of a regular file.

    Args:
        path: Path of the file.
        error: Class of the error to raise.
        advice: What the reader of the message can do; closes it.
        limit: Number of bytes that the file may have. The bytes that are read count, not what the system says.

    Raises:
        VocableError: (of the class ``error``) If the file cannot be read, is no regular file, or is larger.
    """
    content = bytearray()
    try:
        with open_regular(path) as file:
            is_large = os.fstat(file.fileno()).st_size > limit
            while not is_large and (chunk := file.read(_CHUNK)):
                content += chunk
                is_large = len(content) > limit
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror}); {advice}") from problem
    if is_large:
        raise error(f"{path}: is larger than {limit >> 20} MiB; {advice}")
    return bytes(content)


def write_whole(
    target: Path, put: Callable[[Path], object], *, same: Callable[[Path, Path], bool] | None = None
) -> None:
    """Write a file atomically, through a temporary file beside it.

    The data are synced to disk before the move, and the move before the return. So the file is complete or absent after
    a kill or a power cut. The rules of :func:`write_rules` apply.

    Args:
        target: Path of the file.
        put: Function that writes the content to the path of the temporary file.
        same: Function that compares two files, the second of which may be unreadable. By default their bytes.

    Raises:
        OutputError: If the folder is missing or not writable, the disk is full, or the target is a folder, a device, an
            input, or a file with other content that must not be replaced.
    """
    _check_name(target)
    check_target(target)
    if exists(target) and not is_file(target):
        raise OutputError(f"{target}: this is a folder or device; pass the path of a file")
    temporary = target.with_name(_temporary_name(target.stem[:40], secrets.token_hex(4), target.suffix))
    with _writing(target):
        try:
            temporary.touch(exist_ok=False)
            mode = temporary.stat().st_mode
            put(temporary)
            _sync(temporary)
            temporary.chmod(mode)  # safetensors makes files that the user alone can read
            if is_replaceable(temporary, target, same):
                temporary.replace(target)
                _sync(target.parent)
        finally:
            with suppress(OSError):
                temporary.unlink()


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove temporary files of :func:`write_whole` that killed processes left; nobody may be writing these files.

    Args:
        folder: Folder of the files.
        pattern: Names of the files, as :meth:`pathlib.Path.glob` takes them, such as ``000001.tokens``.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     (Path(folder) / ".000001.0123abcd.tokens").touch()
        ...     remove_leftovers(Path(folder), "*.tokens")
        ...     list(Path(folder).iterdir())
        []
    """
    names = Path(pattern)
    for leftover in folder.glob(_temporary_name(names.stem, "[0-9a-f]" * 8, names.suffix)):
        leftover.unlink(missing_ok=True)


def _temporary_name(stem: str, number: str, suffix: str) -> str:
    return f".{stem}.{number}{suffix}"


def write_folder(target: Path, put: Callable[[Path], object]) -> None:
    """Write a folder atomically, through a hidden folder beside it; a folder that is there is replaced.

    What killed processes left of the same folder is deleted first: only one process may write a folder. ``put`` writes
    the files into the path of the hidden folder. An OutputError says why the folder cannot be written.
    """
    for path in target.rglob("*") if folder_exists(target) else ():
        check_target(path)
    hidden, old = (target.with_name(f".{target.name}.{suffix}") for suffix in ("part", "gone"))
    for leftover in (hidden, old):
        shutil.rmtree(leftover, ignore_errors=True)
    make_folder(hidden)
    with _writing(target):
        try:
            put(hidden)
            _sync(hidden)
            if target.exists():
                target.rename(old)
            hidden.rename(target)
            _sync(target.parent)
        finally:
            if old.exists() and not target.exists():
                old.rename(target)
            shutil.rmtree(hidden, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Hide a folder, then delete its files, so that a kill leaves none incomplete; an OutputError if it cannot move."""
    hidden = folder.with_name(f".{folder.name}.gone")
    with _writing(folder):
        folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def append_text(path: Path, text: str) -> None:
    """Append text to a file in UTF-8; see :func:`append_bytes`."""
    append_bytes(path, text.encode())


def append_bytes(path: Path, data: bytes) -> None:
    """Append bytes to a file and sync it to disk. After an error the file has the length that it had before.

    A kill may leave a part of them; readers drop an incomplete last line.

    Raises:
        OutputError: If the file cannot be written, or the disk is full.
    """
    _check_name(path)
    check_target(path)
    with _writing(path), path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(before)
            raise


def write_json(target: Path, value: Any) -> None:
    """Write a JSON file atomically; see :func:`write_whole`."""
    write_text(target, json_line(value, indent=2) + "\n")


def write_text(target: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically; see :func:`write_whole`. What UTF-8 cannot hold is escaped."""
    write_whole(target, lambda path: path.write_bytes(text.encode(errors="backslashreplace")))


def json_line(value: Any, indent: int | None = None) -> str:
    r"""Return a value as JSON, on one line unless it is indented, and without the line's end.

    Texts are written as they are. Where one is no valid text, as the name of a file may be, all are escaped.

    Raises:
        ValueError: If a number is not finite.

    Example:
        >>> json_line({"text": "Grüße"}), json_line(["Grüße" + chr(0xDCFF)])
        ('{"text": "Grüße"}', '["Gr\\u00fc\\u00dfe\\udcff"]')
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return json.dumps(value, indent=indent, allow_nan=False) if _SURROGATE.search(text) else text


def make_folder(folder: Path) -> None:
    """Create a folder and its parents.

    Raises:
        OutputError: If it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a path that no system call takes
        raise OutputError(f"{folder}: this folder cannot be created ({reason_of(error)}); take another") from error


def exists(path: Path) -> bool:
    """Return whether a file or folder exists; a path that the system refuses, such as one too long, does not."""
    return os.path.exists(path)  # pathlib raises an error where a path is too long or may not be looked at  # noqa: PTH110


def folder_exists(path: Path) -> bool:
    """Return whether a folder exists; see :func:`exists`."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """Return whether a file exists; see :func:`exists`."""
    return os.path.isfile(path)  # noqa: PTH113


def reason_of(error: BaseException) -> str:
    """Return why a file cannot be read or written, in one line without its path."""
    return getattr(error, "strerror", None) or " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_kind(found: os.stat_result, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = next((name for has_kind, name in _KINDS if has_kind(found.st_mode)), None)
    if kind is None and found.st_dev in _system_devices():
        kind = "a file of the system"
    if kind is not None:
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))


@cache
def _system_devices() -> frozenset[int]:
    """Return the device numbers of the file systems whose files the kernel makes up, such as ``/proc``."""
    roots = (Path("/proc"), Path("/sys"))
    return frozenset(root.stat().st_dev for root in roots if root.is_mount())


def _check_name(target: Path) -> None:
    """Raise an OutputError if no file can have the name of a target."""
    try:
        if b"\0" not in os.fsencode(target):
            return
        reason = "it holds a null byte"
    except ValueError as error:  # a lone surrogate
        reason = str(error)
    raise OutputError(f"{str(target)[:200]!r}: no file can have this name ({reason}); take another")


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Convert errors of the system and of libraries that write files into an OutputError with advice."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # libsndfile reports a full disk as a RuntimeError
        raise OutputError(
            f"{target}: cannot be written ({reason_of(error)}); check that the folder exists, its rights and the free "
            "space"
        ) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if path.is_file():
            raise  # some file systems cannot sync a folder; every one can sync a file
    finally:
        os.close(descriptor)
