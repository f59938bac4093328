"""Audio that somebody else has decoded: a folder with one file for each clip."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import ClassVar

from vocable.audio import Audio, find_audio
from vocable.errors import AudioError, InputError
from vocable.evaluate.codecs.base import Coded, Kind, like

_APART = 0.1  # seconds that a decoded file may be longer or shorter: five frames of most codecs


@dataclass(frozen=True)
class DecodedFolder:
    """The files of a folder, in the place of a codec's output.

    A clip's file has the clip's path, whatever its suffix; failing that, its file name, if only one file in the folder
    has it. It may be of any rate. It is cut or filled with silence to the clip's length, if that takes no more than
    0.1 s: what differs by more is another clip, or was moved in time, and cannot be compared sample by sample.

    Attributes:
        name: For the table.
        folder: Searched to any depth.

    Raises:
        InputError: The folder is missing or holds no audio.
    """

    name: str
    folder: Path
    kind: ClassVar[Kind] = "decoded"

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder; give the one with the decoded audio")
        _files(self.folder)

    @property
    def family(self) -> str:
        """Its name."""
        return self.name

    @property
    def note(self) -> str:
        """How many files there are."""
        return f"decoded elsewhere, {sum(map(len, _files(self.folder)[0].values()))} files; bits unknown"

    def code(self, clip: Audio, key: str) -> Coded:
        """The clip's file.

        Raises:
            AudioError: There is none, or more than one; it cannot be read; or it is more than 0.1 s longer or shorter.
        """
        path = self._find(key)
        try:
            made = Audio.read(path)
        except AudioError as error:  # a result names no machine's folders
            raise AudioError(str(error).replace(str(path), path.relative_to(self.folder).as_posix())) from error
        if abs(made.duration - clip.duration) > _APART:
            raise AudioError(
                f"{path.relative_to(self.folder).as_posix()} of '{self.name}' lasts {made.duration:.2f} s and the clip "
                f"{clip.duration:.2f} s: they may be {_APART:g} s apart; cut it, or decode the clip again"
            )
        return Coded(audio=like(clip, made.samples, made.sample_rate))

    def _find(self, key: str) -> Path:
        paths, stems = _files(self.folder)
        wanted = PurePosixPath(*(part for part in PurePosixPath(key).parts if part not in ("..", "/")))
        found = paths.get(wanted.with_suffix("").as_posix()) or stems.get(wanted.stem, [])
        if not found:
            raise AudioError(f"'{self.name}' has no file for {key}; decode this clip, or name its file {wanted.stem}")
        if len(found) > 1:
            two = " and ".join(path.relative_to(self.folder).as_posix() for path in found[:2])
            raise AudioError(f"'{self.name}' has {len(found)} files for {key} ({two}); keep one")
        return found[0]


@cache
def _files(folder: Path) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """The folder's audio by path without suffix, and by file name without suffix."""
    paths: dict[str, list[Path]] = defaultdict(list)
    stems: dict[str, list[Path]] = defaultdict(list)
    for path in find_audio([folder]):
        paths[path.relative_to(folder).with_suffix("").as_posix()].append(path)
        stems[path.stem].append(path)
    return dict(paths), dict(stems)
