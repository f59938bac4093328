"""Plan of a job: which recordings there are, and which file each becomes. The cost is linear in the number of files."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from vocable.data.manifest import read_manifest
from vocable.errors import OutputError, VocableError
from vocable.files import folder_exists

_Item = TypeVar("_Item")
_StrPath = str | os.PathLike[str]
Rooted = tuple[Path, Path]
"""A file, and the folder that outputs mirror."""


@dataclass(frozen=True)
class Recording:
    """A recording to encode.

    Attributes:
        path: Path of the audio file.
        text: Transcript, where it is known.
        where: Manifest and line that name it; empty where no manifest does.
    """

    path: Path
    text: str | None = None
    where: str = ""

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """Name in messages about several recordings."""
        return f"{self.path} ({self.where})" if self.where else str(self.path)


@dataclass
class Clashes:
    """Items that cannot be written because they share a target.

    Attributes:
        errors: Error of each item by its index; items that share a target have the same one.
        repeated: Indices of items that are equal to an earlier one: the same file, with the same text.
    """

    errors: dict[int, VocableError] = field(default_factory=dict)
    repeated: set[int] = field(default_factory=set)


def read_recordings(manifest: Path) -> list[tuple[Recording, Path]]:
    """Return the recordings of a manifest, each with the folder that outputs mirror.

    That is the manifest's folder if every recording lies in it, else the deepest folder that holds them all.

    Raises:
        ManifestError: If the manifest cannot be used.
    """
    lines = read_manifest(manifest)
    # without "..", so that outputs stay in their folder
    recordings = [Recording(_normalized(line.audio_path), line.text, line.where) for line in lines]
    folders = {os.path.dirname(recording.path) for recording in recordings}  # as texts: 10 × as fast  # noqa: PTH120
    common, beside = Path(os.path.commonpath(folders)), Path(os.path.normpath(manifest.parent.absolute()))
    root = beside if common.is_relative_to(beside) else common
    return [(recording, root) for recording in recordings]


def _normalized(path: Path) -> Path:
    return Path(os.path.normpath(path)) if ".." in path.parts else path


def mirror_names(found: Sequence[Rooted], suffix: str) -> list[Path]:
    """Return the path of each output in the folder of outputs, which mirrors the folders of the inputs.

    Example:
        >>> [path.as_posix() for path in mirror_names([(Path("in/deep/a.flac"), Path("in"))], ".wav")]
        ['deep/a.wav']
    """
    return [path.relative_to(root).with_suffix(suffix) for path, root in found]


def choose_targets(
    names: Sequence[Path], out: _StrPath, suffixes: Collection[str], *, is_file: bool = False
) -> list[Path]:
    """Return the output where it is one file, else the files in it as a folder.

    Args:
        names: Paths of the files in the folder.
        out: Path of a file or a folder. It is a folder if it exists as one, or ends in a slash.
        suffixes: Suffixes that show that ``out`` is a file.
        is_file: Whether ``out`` is a file with any other suffix, too.

    Raises:
        OutputError: If ``out`` is empty, or is one file and there are several results.

    Example:
        >>> [str(path) for path in choose_targets([Path("a.wav")], "new/", {".wav"})]
        ['new/a.wav']
        >>> [str(path) for path in choose_targets([Path("a.wav")], "new.wav", {".wav"})]
        ['new.wav']
    """
    if out == "":
        raise OutputError("the name of the output is empty; name a file or folder, such as .")
    place = Path(out)
    if is_folder(out):
        return [place / name for name in names]
    if place.suffix.lower() in suffixes and len(names) > 1:
        raise OutputError(f"{place} is one file and there are {len(names)} results; pass a folder")
    if place.suffix.lower() in suffixes or is_file:
        return [place]
    return [place / name for name in names]


def is_folder(out: _StrPath) -> bool:
    """Return whether a path names a folder: one that exists, or one that ends in a slash.

    Example:
        >>> is_folder("new/"), is_folder("new")
        (True, False)
    """
    separators = tuple(filter(None, (os.sep, os.altsep)))
    return os.fspath(out).endswith(separators) or folder_exists(Path(out))


def find_clashes(items: Sequence[_Item], targets: Sequence[Path], name: Callable[[_Item], str] = str) -> Clashes:
    """Return the items that share a target with another item.

    Two spellings of one folder count as the same. An item that is the same file as an earlier one, with the same text,
    is not needed and no clash.

    Args:
        items: Items in order: paths, recordings or others.
        targets: File to write for each item.
        name: Function that names an item in messages.

    Example:
        >>> clashes = find_clashes(["x/a.wav", "y/a.wav"], [Path("out/a.tokens")] * 2)
        >>> str(clashes.errors[0])
        'out/a.tokens: two inputs would be written here; rename one, or write them to different folders: \
x/a.wav, y/a.wav'
    """
    folders: dict[str, str] = {}  # the real path of each folder, which takes some system calls
    groups: dict[tuple[str, str], list[int]] = {}
    for index, target in enumerate(targets):
        folder, file = os.path.split(target)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        groups.setdefault((folders[folder], file), []).append(index)
    clashes = Clashes()
    for group in groups.values():
        if len(group) == 1:
            continue
        distinct: dict[object, int] = {}
        for index in group:
            if distinct.setdefault(_identity(items[index], index), index) != index:
                clashes.repeated.add(index)
        if len(distinct) > 1:
            names = [name(items[index]) for index in distinct.values()]
            clashes.errors |= dict.fromkeys(distinct.values(), _clash(names, targets[group[0]]))
    return clashes


def _clash(names: Sequence[str], target: Path) -> VocableError:
    count = "two" if len(names) == 2 else str(len(names))
    shown = ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
    return OutputError(
        f"{target}: {count} inputs would be written here; rename one, or write them to different folders: {shown}"
    )


def _identity(item: object, index: int) -> object:
    """Return what equal items have in common: the same file, with the same text. Two hard links are two inputs."""
    if isinstance(item, Recording):
        return os.path.realpath(item.path), item.text
    return os.path.realpath(item) if isinstance(item, Path) else index
