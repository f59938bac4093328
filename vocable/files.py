"""Files: reading of regular files alone, atomic writing that spares inputs, search by folder and pattern, and digests.

Every file that vocable reads is opened here, or checked here before a library opens it. A named pipe, a device or a
file of ``/proc`` may never end, and may block the one who opens it.
"""

import errno
import filecmp
import glob
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from vocable.errors import InputError, OutputError, VocableError

MAX_TEXT_BYTES = 64 << 20  # of a text or JSON file: the largest that vocable writes for a page has a tenth of it
MAX_FILE_BYTES = 1 << 30  # of a token file, a manifest or a list of results
_CHUNK = 1 << 20
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


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
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


@dataclass
class WriteRules:
    """Rules for the files that a command writes.

    Attributes:
        overwrite: Whether files that exist are replaced.
        inputs: Path of each file that must stay as it is, by device and inode.
        unchanged: Files that were to be written, and had that content before.
    """

    overwrite: bool
    inputs: dict[tuple[int, int], Path] = field(default_factory=dict)
    unchanged: set[Path] = field(default_factory=set)


_RULES: ContextVar[WriteRules | None] = ContextVar("_RULES", default=None)


@contextmanager
def write_rules(inputs: Iterable[str | os.PathLike[str]] = (), *, overwrite: bool = False) -> Iterator[WriteRules]:
    """Set the rules for files that are written inside a ``with`` block: an input is never written over.

    Inputs that an outer block protects stay protected.

    Args:
        inputs: Files that must stay as they are; see :func:`protect`.
        overwrite: Whether other files are replaced. If false, a file that exists stays if it has the same content, and
            is an error if not.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, write_rules():
        ...     write_json(Path(folder) / "a.json", 1)
        ...     write_json(Path(folder) / "a.json", 1)
    """
    outer = _RULES.get()
    rules = WriteRules(overwrite, {} if outer is None else dict(outer.inputs))
    token = _RULES.set(rules)
    try:
        protect(inputs)
        yield rules
    finally:
        _RULES.reset(token)


def protect(inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Protect files from being written over, under any name, until the innermost :func:`write_rules` ends.

    A file is recognized by device and inode. So another spelling of its path, a symbolic link and a hard link are the
    same file. Outside of :func:`write_rules` this does nothing.
    """
    rules = _RULES.get()
    for path in () if rules is None else inputs:
        with suppress(OSError, ValueError):  # missing, or no path at all: reading it raises the error
            status = Path(path).stat()
            rules.inputs[status.st_dev, status.st_ino] = Path(path)


def check_target(target: Path) -> None:
    """Check that a file is none of the protected inputs.

    Raises:
        OutputError: If it is one, under any name.
    """
    rules = _RULES.get()
    if rules is None or not rules.inputs:
        return
    with suppress(OSError, ValueError):
        status = target.stat()
        source = rules.inputs.get((status.st_dev, status.st_ino))
        if source is not None:
            alias = "" if source == target else f" (it is {source})"
            raise OutputError(f"{target}: this input would be overwritten; write to another place{alias}")


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
    check_target(target)
    if target.exists() and not target.is_file():
        raise OutputError(f"{target}: this is a folder or device; pass the path of a file")
    temporary = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}{target.suffix}")
    try:
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        put(temporary)
        _sync(temporary)
        temporary.chmod(mode)  # safetensors makes files that the user alone can read
        if not _is_replaceable(temporary, target, same):
            return
        temporary.replace(target)
        _sync(target.parent)
    except (OSError, RuntimeError, SafetensorError) as error:  # libsndfile reports a full disk as a RuntimeError
        reason = getattr(error, "strerror", None) or str(error).strip().rstrip(".")
        raise OutputError(
            f"{target}: cannot be written ({reason}); check that the folder exists, its rights and the free space"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_json(target: Path, value: Any) -> None:
    """Write a JSON file atomically; see :func:`write_whole`."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(target, lambda path: path.write_text(text, encoding="utf-8"))


def make_folder(folder: Path) -> None:
    """Create a folder and its parents.

    Raises:
        OutputError: If it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: this folder cannot be created ({error.strerror}); take another") from error


def find_files(inputs: Sequence[str | os.PathLike[str]], suffixes: Collection[str], kind: str) -> list[Path]:
    """Return the files that files, folders and glob patterns stand for, each once; see :func:`find_rooted`."""
    return [path for path, _ in find_rooted(inputs, suffixes, kind)]


def find_rooted(
    inputs: Sequence[str | os.PathLike[str]], suffixes: Collection[str], kind: str
) -> list[tuple[Path, Path]]:
    """Return the files that files, folders and glob patterns stand for, each once, with the folder it was found from.

    A file is returned as it is, even if it is missing: reading it raises the error, and other files go on.
    Folders are searched recursively and in sorted order. Files in a folder or pattern must have one of the suffixes and
    must not be hidden, as a killed run may have left hidden ones. A folder that cannot be searched is returned itself,
    so that reading it raises the error.

    Args:
        inputs: Files, folders and glob patterns.
        suffixes: Suffixes in lower case, with the dot.
        kind: Kind of the files, for messages.

    Returns:
        Each file and its root, which outputs mirror: the folder that was searched, the part of a pattern without
        wildcards, or the folder that a named file lies in.

    Raises:
        InputError: If a folder or a pattern has no such files.
    """
    found: dict[Path, Path] = {}
    searched: set[Path] = set()  # a file that is named and also found in a folder has the folder as its root
    for entry in inputs:
        path = Path(entry)
        if path.is_dir():
            candidates = sorted(_walk(path), key=lambda file: file.parts)
            root = path
        elif not path.exists() and glob.has_magic(str(entry)):
            names = sorted(glob.glob(str(entry), recursive=True))  # any root  # noqa: PTH207
            candidates = [Path(name) for name in names if Path(name).is_file()]
            root = _fixed_part(path)
        else:
            found.setdefault(path, path.parent)
            continue
        visible = (file for file in candidates if not file.name.startswith("."))
        matching = [file for file in visible if file.suffix.lower() in suffixes or file.is_dir()]
        if not matching:
            raise InputError(f"{entry}: no {kind} in here (looked for {', '.join(sorted(suffixes))})")
        found |= {file: root for file in matching if file not in searched}
        searched.update(matching)
    protect(found)
    return list(found.items())


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


def _is_replaceable(made: Path, target: Path, same: Callable[[Path, Path], bool] | None) -> bool:
    """Return whether a new file shall take its target's place; raise an OutputError if it must not."""
    rules = _RULES.get()
    if rules is None or rules.overwrite or not target.exists():
        return True
    if (same or _same_bytes)(made, target):
        rules.unchanged.add(target)
        return False
    raise OutputError(f"{target}: exists already and holds something else; pass --overwrite, or name another place")


def _same_bytes(made: Path, target: Path) -> bool:
    return filecmp.cmp(made, target, shallow=False)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder at any depth, without links to folders, and each folder that cannot be searched."""
    folders = [folder]
    while folders:
        current = folders.pop()
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(current / entry.name)
                    elif entry.is_file():
                        yield current / entry.name
        except OSError:
            yield current


def _fixed_part(pattern: Path) -> Path:
    """Return the folder of a glob pattern before its first wildcard."""
    parents = [parent for parent in pattern.parents if not glob.has_magic(str(parent))]
    return parents[0]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if path.is_file():
            raise  # some file systems cannot sync a folder; every one can sync a file
    finally:
        os.close(descriptor)
