"""Files that are whole or absent, and the digests that tell whether they are what they were."""

import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from vocable.errors import InputError, OutputError


def write_whole(target: Path, put: Callable[[Path], object]) -> None:
    """Let ``put`` fill a temporary file beside the target, then move it there: whole or not at all.

    The data reach the disk before the move and the move before the return, so that a file written this way is
    complete after a kill or a power cut.

    Raises:
        OutputError: The folder is missing or unwritable, the disk is full, or the target is a folder or a device.
    """
    if target.exists() and not target.is_file():
        raise OutputError(f"{target}: a folder or device cannot be replaced by a file; name a file")
    temporary = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem[:40]}.", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        put(temporary)
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
        _sync(target.parent)
    except (OSError, RuntimeError, SafetensorError) as error:  # libsndfile reports a full disk as a RuntimeError
        reason = getattr(error, "strerror", None) or str(error).strip().rstrip(".")
        raise OutputError(
            f"{target}: cannot be written ({reason}); check that the folder exists, its rights and the free space"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_json(target: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(target, lambda path: path.write_text(text, encoding="utf-8"))


def make_folder(folder: Path) -> None:
    """Create a folder and its parents.

    Raises:
        OutputError: It cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: this folder cannot be created ({error.strerror}); take another") from error


def find_files(inputs: Sequence[str | os.PathLike[str]], suffixes: Collection[str], kind: str) -> list[Path]:
    """Files meant by files, folders (searched to any depth) and glob patterns; each once, folders in sorted order.

    A file that is named is taken as it is, even if missing (reading it says so, and the other files go on); in a
    folder or pattern only the suffixes given count, and hidden files do not (a killed run may have left one).

    Args:
        inputs: Files, folders, patterns.
        suffixes: In lower case, with the dot.
        kind: What is looked for, for the message.

    Raises:
        InputError: A folder or a pattern without such files.
    """
    found: list[Path] = []
    for entry in inputs:
        path = Path(entry)
        inside = None
        if path.is_dir():
            inside = sorted(path.rglob("*"))
        elif not path.exists() and glob.has_magic(str(entry)):
            inside = sorted(Path(name) for name in glob.glob(str(entry), recursive=True))  # any root  # noqa: PTH207
        if inside is None:
            found.append(path)
            continue
        seen = (file for file in inside if not file.name.startswith("."))
        matching = [file for file in seen if file.suffix.lower() in suffixes and file.is_file()]
        if not matching:
            raise InputError(f"{entry}: no {kind} in here (looked for {', '.join(sorted(suffixes))})")
        found += matching
    return list(dict.fromkeys(found))


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
