"""Audio that was decoded elsewhere: a folder with one file per clip."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import ClassVar

from vocable.audio import Audio, find_audio
from vocable.errors import AudioError, InputError
from vocable.evaluate.codecs.base import Coded, Kind, match_clip
from vocable.files import folder_exists

_TOLERANCE = 0.1  # seconds that a decoded file may be longer or shorter: five frames of most codecs


@dataclass(frozen=True)
class DecodedFolder:
    """A codec whose output is read from the files of a folder.

    The file of a clip has the path of the clip, with any suffix; otherwise its file name, if only one file has it. It
    may have any rate. It is cut or filled with silence to the clip's length if that changes at most 0.1 s. A larger
    difference means another clip or a shift in time, which cannot be compared sample by sample.

    Attributes:
        name: Name in the results.
        folder: Folder that is searched recursively.

    Raises:
        InputError: If the folder is missing or holds no audio.
    """

    name: str
    folder: Path
    kind: ClassVar[Kind] = "decoded"

    def __post_init__(self) -> None:
        if not folder_exists(self.folder):
            raise InputError(f"{self.folder}: no such folder; give the one with the decoded audio")
        _files(self.folder)

    @property
    def family(self) -> str:
        """Name of the folder's entry."""
        return self.name

    @property
    def note(self) -> str:
        """Number of files, in one line."""
        return f"decoded elsewhere, {sum(map(len, _files(self.folder)[0].values()))} files; bits unknown"

    def code(self, clip: Audio, key: str) -> Coded:
        """Read the clip's file."""
        path = self._find(key)
        try:
            decoded = Audio.read(path)
        except AudioError as error:  # a result names no folder of this machine
            raise AudioError(str(error).replace(str(path), path.relative_to(self.folder).as_posix())) from error
        if abs(decoded.duration - clip.duration) > _TOLERANCE:
            raise AudioError(
                f"{path.relative_to(self.folder).as_posix()} of '{self.name}' lasts {decoded.duration:.2f} s and the "
                f"clip {clip.duration:.2f} s: they may be {_TOLERANCE:g} s apart; cut it, or decode the clip again"
            )
        return Coded(audio=match_clip(clip, decoded.samples, decoded.sample_rate))

    def _find(self, key: str) -> Path:
        paths, stems = _files(self.folder)
        target = PurePosixPath(*(part for part in PurePosixPath(key).parts if part not in ("..", "/")))
        found = paths.get(target.with_suffix("").as_posix()) or stems.get(target.stem, [])
        if not found:
            raise AudioError(f"'{self.name}' has no file for {key}; decode this clip, or name its file {target.stem}")
        if len(found) > 1:
            two = " and ".join(path.relative_to(self.folder).as_posix() for path in found[:2])
            raise AudioError(f"'{self.name}' has {len(found)} files for {key} ({two}); keep one")
        return found[0]


@cache
def _files(folder: Path) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Return the audio files of a folder by path and by file name, both without suffix."""
    paths: dict[str, list[Path]] = defaultdict(list)
    stems: dict[str, list[Path]] = defaultdict(list)
    for path in find_audio([folder]):
        paths[path.relative_to(folder).with_suffix("").as_posix()].append(path)
        stems[path.stem].append(path)
    return dict(paths), dict(stems)
