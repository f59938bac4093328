"""Search for input files by name, folder and pattern."""

import glob
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from vocable.arguments import check_arguments
from vocable.errors import InputError
from vocable.files import exists, folder_exists
from vocable.write_rules import protect


def find_files(inputs: Sequence[str | os.PathLike[str]], suffixes: Collection[str], kind: str) -> list[Path]:
    """Return the files that files, folders and glob patterns stand for, each once; see :func:`find_rooted`."""
    return [path for path, _ in find_rooted(inputs, suffixes, kind)]


@check_arguments
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
        if entry == "":  # pathlib takes it for the current folder
            raise InputError(f"the name of an input is empty; name a file or folder, such as . ({kind})")
        path = Path(entry)
        if folder_exists(path):
            candidates = list(_walk(path))
            root = path
        elif not exists(path) and glob.has_magic(str(entry)):
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


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder at any depth, sorted, and each folder that cannot be searched."""
    waiting: list[tuple[Path, bool]] = [(folder, True)]  # paths, and whether they are folders
    while waiting:
        current, is_directory = waiting.pop()
        if not is_directory:
            yield current
            continue
        try:
            with os.scandir(current) as entries:
                kinds = {entry.name: (entry.is_dir(follow_symlinks=False), entry.is_file()) for entry in entries}
        except OSError:
            yield current
            continue
        names = (name for name in sorted(kinds, reverse=True) if any(kinds[name]))
        waiting += [(current / name, kinds[name][0]) for name in names]


def _fixed_part(pattern: Path) -> Path:
    """Return the folder of a glob pattern before its first wildcard."""
    parents = [parent for parent in pattern.parents if not glob.has_magic(str(parent))]
    return parents[0]
