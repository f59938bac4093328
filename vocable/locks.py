"""Locks of folders, and claims on single files: two processes do not write the same results."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vocable.errors import OutputError
from vocable.files import read_file

try:
    import fcntl
except ImportError:  # Windows: nothing is locked
    fcntl = None  # type: ignore[assignment]

LOCK = ".vocable.lock"
CLAIM = ".claim"  # suffix of the hidden file of a claim


@contextmanager
def lock_folder(folder: Path, task: str) -> Iterator[None]:
    """Hold the lock of a folder, which the system releases when the process ends, however it ends.

    The lock lies in the file ``.vocable.lock``, which a process that ends in the usual way removes. One that a kill
    leaves is no lock. On a system without such locks nothing is locked.

    Args:
        folder: Existing folder.
        task: Task of the holder for the message of another process, such as ``training``.

    Raises:
        OutputError: If another process, or another lock of this one, holds the folder, or it cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as name, lock_folder(Path(name), "training"):
        ...     with lock_folder(Path(name), "training"):
        ...         pass  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        vocable.errors.OutputError: ...: training by process ... writes into this folder; wait for it, or take ...
    """
    path = folder / LOCK
    try:
        descriptor = _open_locked(path)
    except BlockingIOError as error:
        raise OutputError(
            f"{folder}: {_read_holder(path)} writes into this folder; wait for it, or take another folder"
        ) from error
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); check the rights and the free space"
        ) from error
    with _released(descriptor, path):
        with suppress(OSError):  # a full disk: the lock holds without its holder's name
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{task} by process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield


@contextmanager
def claim(target: Path) -> Iterator[bool]:
    """Claim a file that is to be made, so that several processes share the work on the files of a folder.

    The claim is the lock of a hidden file beside the target, which the system releases when the process ends, however
    it ends. No clock is used, and what a kill leaves is no claim. On a file system without such locks every process
    gets every claim: work is done twice then, and each result is whole.

    Args:
        target: File to make, in a folder that exists. Whether it exists must be asked while the claim is held.

    Yields:
        Whether this process holds the claim. If not, another one does.

    Raises:
        OutputError: If the folder cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as name, claim(Path(name) / "a.shard") as first:
        ...     with claim(Path(name) / "a.shard") as second:
        ...         first, second
        (True, False)
    """
    path = claim_path(target)
    try:
        descriptor = _open_locked(path)
    except BlockingIOError:
        yield False
        return
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); check the rights and the free space"
        ) from error
    with _released(descriptor, path):
        yield True


def claim_path(target: Path) -> Path:
    """Return the hidden file whose lock is the claim of a file. What a kill leaves of it may be removed."""
    return target.with_name(f".{target.name}{CLAIM}")


def is_claimed(target: Path) -> bool:
    """Return whether a process holds the claim of a file at present; see :func:`claim`.

    To ask takes the lock for a moment. So a process whose claim must not fail claims again until it succeeds.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as name, claim(Path(name) / "a.shard"):
        ...     is_claimed(Path(name) / "a.shard"), is_claimed(Path(name) / "b.shard")
        (True, False)
    """
    path = claim_path(target)
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        _lock(descriptor)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def _released(descriptor: int, path: Path) -> Iterator[None]:
    """Remove and release the file of a lock at the end."""
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _open_locked(path: Path) -> int:
    """Open and lock a file; raise a BlockingIOError if another process holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            _lock(descriptor)
            with suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed the file after it was opened here: another one is the lock


def _lock(descriptor: int) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return  # a file system without locks


def _read_holder(path: Path) -> str:
    with suppress(OutputError):
        if text := read_file(path, OutputError, "remove it", limit=200).decode(errors="replace").strip():
            return text
    return "another process"
