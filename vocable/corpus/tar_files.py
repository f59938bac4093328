"""WebDataset tar files: files with one key, the name up to its first dot, one behind the other, are a sample.

One file of a sample is the audio. ``.txt`` is its transcript, ``.json`` an object with the keys of a manifest's line.
"""

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vocable.audio import AUDIO_SUFFIXES, CONVERTIBLE_SUFFIXES
from vocable.corpus.archive_sample import DAMAGED, ArchiveSample
from vocable.corpus.sources import printable_values, seconds_of_bytes
from vocable.errors import InputError, VocableError
from vocable.files import open_regular, reason_of
from vocable.schema import parse_object

_MAX_SIDE_BYTES = 16 << 20  # of a transcript or an object beside the audio


def list_tar(path: Path) -> Iterator[tuple[int, float, bool]]:
    """Yield for each sample its first byte, its estimated seconds, and whether its key stood before."""
    seen: set[str] = set()
    with _opened_tar(path, 0) as members:
        for key, files in _grouped(members()):
            audio = next((file for file in files if _is_audio(file.name)), None)
            seconds = 0.0 if audio is None else seconds_of_bytes(audio.size, Path(audio.name).suffix)
            yield files[0].offset, seconds, key in seen
            seen.add(key)


def read_tar(path: Path, offset: int) -> Iterator[ArchiveSample]:
    """Yield the samples of a tar file from a byte on, at which one begins."""
    with _opened_tar(path, offset) as members:
        for key, files in _grouped(members()):
            sample = ArchiveSample(key)
            for file in files:
                _add_file(sample, file, members.read(file), f"{path}, {key}")
            if sample.data is None:
                sample.problem = sample.problem or f"{key}: no audio file is among its files; add one"
            yield sample


def _grouped(members: Iterator[tarfile.TarInfo]) -> Iterator[tuple[str, list[tarfile.TarInfo]]]:
    """Yield key and files of each sample; those before a damage are yielded before its error is raised."""
    key, files, problem = "", list[tarfile.TarInfo](), None
    while True:
        try:
            member = next(members, None)
        except InputError as error:
            member, problem = None, error
        if files and (member is None or _key_of(member) != key):
            yield key, files
            files = []
        if problem is not None:
            raise problem
        if member is None:
            return
        key = _key_of(member)
        files.append(member)


class _Members:
    """Regular files of an open tar file, in order."""

    def __init__(self, archive: tarfile.TarFile, path: Path, start: int, size: int) -> None:
        self._archive, self._path, self._start, self._size = archive, path, start, size

    def __call__(self) -> Iterator[tarfile.TarInfo]:
        try:
            while (member := self._archive.next()) is not None:
                self._archive.members.clear()  # type: ignore[attr-defined]  # it would keep a record of each file
                member.offset += self._start
                if member.issparse() or member.offset_data + member.size > self._size:
                    raise InputError(f"{self._path}: is truncated in {member.name[:100]}; {DAMAGED}")
                if member.isfile() and not Path(member.name).name.startswith("."):
                    yield member
        except (tarfile.TarError, OSError, ValueError) as error:
            raise InputError(f"{self._path}: is damaged or no tar file ({reason_of(error)}); {DAMAGED}") from error

    def read(self, member: tarfile.TarInfo) -> bytes:
        """Return the contents of a file."""
        try:
            file = self._archive.extractfile(member)
            data = b"" if file is None else file.read()
        except (tarfile.TarError, OSError, ValueError) as error:
            raise InputError(f"{self._path}: is damaged ({reason_of(error)}); {DAMAGED}") from error
        if len(data) != member.size:
            raise InputError(f"{self._path}: is truncated in {member.name[:100]}; {DAMAGED}")
        return data


@contextmanager
def _opened_tar(path: Path, start: int) -> Iterator[_Members]:
    """Open a tar file from a byte on, at which a member begins."""
    try:
        with open_regular(path) as file:
            part: Any = _From(file, start, os.fstat(file.fileno()).st_size)
            try:
                archive = tarfile.open(fileobj=part, mode="r:")  # noqa: SIM115 closed below
            except (tarfile.TarError, ValueError) as error:
                raise InputError(
                    f"{path}: is no uncompressed tar file ({reason_of(error)}); unpack it first"
                ) from error
            with archive:
                yield _Members(archive, path, start, part.size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason_of(error)}); check the path and its rights") from error


class _From:
    """A file that begins at a byte of another one, and never reads more than there is, whatever its headers say."""

    def __init__(self, file: Any, start: int, end: int) -> None:
        self._file, self._start, self.size = file, start, end - start
        file.seek(start)

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size - self.tell())
        return bytes(self._file.read(left if size < 0 else min(size, left)))

    def tell(self) -> int:
        return int(self._file.tell()) - self._start

    def seek(self, place: int) -> int:
        return int(self._file.seek(place + self._start)) - self._start


def _key_of(member: tarfile.TarInfo) -> str:
    """Return the name of a file without its suffixes, as WebDataset does."""
    folder, _, name = member.name.removeprefix("./").rpartition("/")
    return str(printable_values(f"{folder}/{name.partition('.')[0]}".lstrip("/")))


def _is_audio(name: str) -> bool:
    return Path(name).suffix.lower() in AUDIO_SUFFIXES | CONVERTIBLE_SUFFIXES


def _add_file(sample: ArchiveSample, member: tarfile.TarInfo, data: bytes, where: str) -> None:
    suffix = Path(member.name).suffix.lower()
    if _is_audio(member.name) and sample.data is None:
        sample.data, sample.suffix = data, suffix
    elif suffix in (".txt", ".json") and len(data) > _MAX_SIDE_BYTES:
        sample.problem = f"{member.name}: is larger than {_MAX_SIDE_BYTES >> 20} MiB; {DAMAGED}"
    elif suffix == ".txt":
        try:
            sample.text = data.decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            sample.problem = f"{member.name}: is not UTF-8 (byte {error.start}); write it as UTF-8"
    elif suffix == ".json":
        try:
            values = parse_object(data, where, InputError, "write an object, or leave it out")
        except VocableError as error:
            sample.problem = str(error)
            return
        text = sample.text
        _add_values(sample, values)
        sample.text = text if text is not None else sample.text


def _add_values(sample: ArchiveSample, values: dict[str, Any]) -> None:
    """Take over the values of a manifest's keys; others are kept beside them."""
    for key, value in printable_values(values).items():
        if key in ("text", "speaker", "split") and (value is None or isinstance(value, str | int)):
            setattr(sample, key, None if value is None else str(value))
        else:
            sample.extra[key] = value
