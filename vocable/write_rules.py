"""Rules for the files that a command writes: inputs stay as they are, and other files unless asked for."""

import filecmp
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from vocable.errors import OutputError


@dataclass
class WriteRules:
    """Rules for the files that a command writes.

    Attributes:
        overwrite: Whether files that exist are replaced.
        inputs: Path of each file that must stay as it is, by device and inode.
        unchanged: Files that were to be written, and had that content before.
    """

    overwrite: bool
    inputs: dict[tuple[int, int], str | os.PathLike[str]] = field(default_factory=dict)
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
        >>> from vocable.files import write_json
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
    if rules is None:
        return
    for path in inputs:
        with suppress(OSError, ValueError):  # missing, or no path at all: reading it raises the error
            status = os.stat(path)  # ten times as fast as pathlib's, for a hundred thousand files  # noqa: PTH116
            rules.inputs[status.st_dev, status.st_ino] = path


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
            alias = "" if Path(source) == target else f" (it is {source})"
            raise OutputError(f"{target}: this input would be overwritten; write to another place{alias}")


def is_replaceable(made: Path, target: Path, same: Callable[[Path, Path], bool] | None) -> bool:
    """Return whether a new file shall take its target's place.

    Args:
        made: File with the new content.
        target: File to replace; may be missing.
        same: Function that compares two files, the second of which may be unreadable. By default their bytes.

    Raises:
        OutputError: If the target holds something else and must not be replaced.
    """
    rules = _RULES.get()
    if rules is None or rules.overwrite or not os.path.exists(target):  # noqa: PTH110 pathlib raises where a name is too long
        return True
    if (same or _same_bytes)(made, target):
        rules.unchanged.add(target)
        return False
    raise OutputError(f"{target}: exists already and holds something else; pass --overwrite, or name another place")


def _same_bytes(made: Path, target: Path) -> bool:
    return filecmp.cmp(made, target, shallow=False)
