"""Files: atomic writing, search by folder and pattern, and digests."""

import glob
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from vocable.errors import InputError, OutputError


def write_whole(target: Path, put: Callable[[Path], object]) -> None:
    """Write a file atomically, through a temporary file beside it.

    The data are synced to disk before the move, and the move before the return. So the file is complete or absent after
    a kill or a power cut.

    Args:
        target: Path of the file.
        put: Function that writes the content to the path of the temporary file.

    Raises:
        OutputError: If the folder is missing or not writable, the disk is full, or the target is a folder or a device.
    """
    if target.exists() and not target.is_file():
        raise OutputError(f"{target}: this is a folder or device; pass the path of a file")
    temporary = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}{target.suffix}")
    try:
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        put(temporary)
        _sync(temporary)
        temporary.chmod(mode)  # safetensors makes files that the user alone can read
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
    """Return the files that files, folders and glob patterns stand for, each once.

    A file is returned as it is, even if it is missing: reading it raises the error, and other files go on.
    Folders are searched recursively and in sorted order. Files in a folder or pattern must have one of the suffixes and
    must not be hidden, as a killed run may have left hidden ones.

    Args:
        inputs: Files, folders and glob patterns.
        suffixes: Suffixes in lower case, with the dot.
        kind: Kind of the files, for messages.

    Raises:
        InputError: If a folder or a pattern has no such files.
    """
    found: list[Path] = []
    for entry in inputs:
        path = Path(entry)
        if path.is_dir():
            candidates = sorted(path.rglob("*"))
        elif not path.exists() and glob.has_magic(str(entry)):
            candidates = sorted(Path(name) for name in glob.glob(str(entry), recursive=True))  # any root  # noqa: PTH207
        else:
            found.append(path)
            continue
        visible = (file for file in candidates if not file.name.startswith("."))
        matching = [file for file in visible if file.suffix.lower() in suffixes and file.is_file()]
        if not matching:
            raise InputError(f"{entry}: no {kind} in here (looked for {', '.join(sorted(suffixes))})")
        found += matching
    return list(dict.fromkeys(found))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if path.is_file():
            raise  # some file systems cannot sync a folder; every one can sync a file
    finally:
        os.close(descriptor)
