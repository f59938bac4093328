"""Manifests: files with one JSON object per line, one line per utterance.

```text
{"audio_path": "audio/a.flac", "text": "good morning", "speaker": "s1", "split": "train", "duration": 1.52}
```

``audio_path`` is required; it is absolute, or relative to the manifest. ``text`` may be null or absent. Other keys are
kept.
"""

import json
import os
import zlib
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256
from math import nan
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vocable.data.strings import PackedStrings
from vocable.errors import ConfigError, ManifestError, VocableError
from vocable.files import MAX_FILE_BYTES, folder_exists, is_file, json_line
from vocable.schema import first_problem, parse_object, read_lines
from vocable.shares import split_shares
from vocable.write_rules import protect

_MAX_LINES = 20_000_000  # of several manifests, repeated for their shares
_BLOCK = 64  # lines that are compressed together
_Error = TypeVar("_Error", bound=VocableError)


class Utterance(BaseModel):
    """One line of a manifest.

    Attributes:
        audio_path: Path of the audio file; absolute after reading.
        text: Transcript, if known.
        speaker: Name of the speaker, if known.
        split: Part of the corpus, such as ``train``, ``dev`` or ``test``.
        duration: Duration in seconds, if known.
        extra: Every other key of the line.
        where: Manifest and line that this was read from; never written.
    """

    model_config = ConfigDict(frozen=True)
    audio_path: Path
    text: str | None = None
    speaker: str | None = None
    split: str | None = None
    duration: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    extra: dict[str, Any] = Field(default_factory=dict)
    where: str = Field(default="", exclude=True)

    @property
    def name(self) -> str:
        """Name of the recording in messages: its manifest and line, if known, and its path.

        Example:
            >>> Utterance(audio_path="a.flac", where="manifest.jsonl, line 17").name
            'manifest.jsonl, line 17: a.flac'
        """
        return f"{self.where}: {self.audio_path}" if self.where else str(self.audio_path)

    def locate_error(self, error: _Error) -> _Error:
        """Return a copy of an error about the recording whose message names the line and the file once.

        Example:
            >>> utterance = Utterance(audio_path="a.flac", where="m.jsonl, line 17")
            >>> utterance.locate_error(ManifestError("a.flac: it is empty"))
            ManifestError('m.jsonl, line 17: a.flac: it is empty')
        """
        return type(error)(f"{self.name}: {str(error).removeprefix(f'{self.audio_path}: ')}")

    def value(self, key: str) -> str | None:
        """Return the value of a key as text, or None if the line has none.

        Example:
            >>> Utterance(audio_path="a.flac", speaker="s1", extra={"digit": 0}).value("digit")
            '0'
        """
        value = getattr(self, key) if key in ("speaker", "split", "text") else self.extra.get(key)
        return None if value is None or value == "" else str(value)


def manifest_line(utterance: Utterance, folder: Path, values: Mapping[str, Any], drop: Collection[str] = ()) -> str:
    """Return the line of an utterance, with all of its keys and more, for a manifest in a folder.

    Args:
        utterance: Utterance.
        folder: Absolute folder of the manifest. A recording in it is named by its relative path.
        values: Keys to add, or to replace.
        drop: Keys to leave out.

    Example:
        >>> manifest_line(Utterance(audio_path="/a/b.wav", speaker="s1"), Path("/a"), {"text": "hello"})
        '{"audio_path": "b.wav", "speaker": "s1", "text": "hello"}'
    """
    path, folder = (Path(os.path.normpath(one.absolute())) for one in (utterance.audio_path, folder))
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    present = utterance.model_dump(include=_WRITTEN & utterance.model_fields_set)
    kept = {key: value for key, value in utterance.extra.items() if key not in drop}
    return json_line({"audio_path": str(shown), **present, **kept, **values})


_WRITTEN = {"text", "speaker", "split", "duration"}
_KEYS = Utterance.model_fields.keys() - {"extra", "where"}  # a line's own keys of these two names go into `extra`


def read_manifest(path: str | os.PathLike[str], split: str | None = None) -> list[Utterance]:
    """Read a manifest.

    Args:
        path: Path of a JSONL file.
        split: Split to read; all by default.

    Raises:
        ManifestError: If the file is missing, a line is no JSON object or lacks a key (file and line are named), or no
            utterance is left.
    """
    return [utterance for _, _, utterance in _read(Path(path), split)]


def _folder_advice(folder: Path) -> str:
    """Return what to do with a folder where a manifest is needed."""
    file = folder / "manifest.jsonl"
    if is_file(file):
        return f"{folder}: cannot be read (Is a directory); give its manifest, {file}"
    return (
        f"{folder}: cannot be read (Is a directory); run `vocable data prepare folder {folder} --out DIR` and give "
        "DIR/manifest.jsonl"
    )


def read_manifests(paths: Sequence[str | os.PathLike[str]], split: str | None = None) -> list[Utterance]:
    """Read several manifests in order into a list; see :func:`open_manifests`."""
    return list(open_manifests(paths, split))


class Utterances(Sequence[Utterance]):
    """Utterances of manifests as compressed lines, each of which is parsed again where it is used.

    A hundred thousand lines take some megabytes; as :class:`Utterance` they would take hundreds.

    Args:
        sources: Lines of each manifest.
        numbers: For each utterance, its number in all the lines of the sources.
    """

    def __init__(self, sources: Sequence["_Lines"], numbers: Int64[ndarray, " M"]) -> None:
        self._sources, self._numbers = sources, numbers
        self._starts = np.cumsum([0, *map(len, sources)])

    def __len__(self) -> int:
        return len(self._numbers)

    def recordings(self) -> tuple[list[str], Int64[ndarray, " M"]]:
        """Return the different paths of the recordings, in order, and the index of each utterance's path."""
        distinct: dict[str, int] = {}
        parts = [
            np.array([distinct.setdefault(path, len(distinct)) for path in source.paths])[source.path_numbers]
            for source in self._sources
        ]
        used, first, indices = np.unique(np.concatenate(parts)[self._numbers], return_index=True, return_inverse=True)
        order, paths = np.argsort(first), list(distinct)
        return [paths[number] for number in used[order].tolist()], np.argsort(order)[indices]

    def __getitem__(self, index: int) -> Utterance:  # type: ignore[override]  # `select` takes the place of slices
        number = int(self._numbers[index])
        source = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self._sources[source].utterance(number - int(self._starts[source]))

    def select(self, indices: Sequence[int] | Int64[ndarray, " N"]) -> "Utterances":
        """Return the utterances with some indices, in their order."""
        return Utterances(self._sources, self._numbers[np.asarray(indices, dtype=np.int64)])


def select(utterances: Sequence[Utterance], indices: Sequence[int] | Int64[ndarray, " N"]) -> Sequence[Utterance]:
    """Return the utterances with some indices; a list, or compressed lines if they are."""
    if isinstance(utterances, Utterances):
        return utterances.select(indices)
    return [utterances[index] for index in indices]


def open_manifests(paths: Sequence[str | os.PathLike[str]], split: str | None = None) -> Utterances:
    """Read several manifests in order. A manifest that is named twice counts twice.

    Args:
        paths: Paths of JSONL files, each with a share after it (``a.jsonl:0.7``), or none with one. With shares,
            utterances are listed several times, so that each manifest has its share of the speech: the shortest for its
            share once, the others as often as that needs, the last time in part and evenly. Lengths are those of
            ``duration``, or numbers of utterances if any line has none.
        split: Split to read; all by default.

    Raises:
        ManifestError: If a manifest cannot be used; see :func:`read_manifest`.
        ConfigError: If a share is no positive number, only some have one, or one is far too small for the others.
    """
    pairs = split_shares(paths)
    sources = [_Lines(Path(path), split) for path, _ in pairs]
    counts = [float(len(source)) for source in sources]
    if any(share is not None for _, share in pairs):
        counts = _counts_by_share(sources, [share or 0.0 for _, share in pairs])
    starts = np.cumsum([0, *map(len, sources)]).tolist()
    parts = [
        start + _repeat(len(source), count / len(source))
        for start, source, count in zip(starts, sources, counts, strict=False)
    ]
    return Utterances(sources, np.concatenate(parts))


class _Lines:
    """Lines of a manifest that are utterances of a split, in compressed blocks, with their numbers and durations."""

    def __init__(self, manifest: Path, split: str | None) -> None:
        self._manifest, self._folder = manifest, manifest.parent.absolute()
        self._bytes, self._starts = bytearray(), array("q", [0])
        block: list[str] = []
        distinct: dict[str, int] = {}
        numbers, path_numbers, seconds = array("q"), array("q"), array("d")
        for line, number, utterance in _read(manifest, split):
            numbers.append(number)
            path_numbers.append(distinct.setdefault(str(utterance.audio_path), len(distinct)))
            seconds.append(nan if utterance.duration is None else utterance.duration)
            block.append(line)
            if len(block) == _BLOCK:
                self._append(block)
                block = []
        self._append(block)
        self._numbers, self.seconds = np.array(numbers, dtype=np.int64), np.array(seconds)
        self.paths, self.path_numbers = PackedStrings(distinct), np.array(path_numbers, dtype=np.int32)
        self._newest = (-1, [""])

    def __len__(self) -> int:
        return len(self._numbers)

    def _append(self, lines: list[str]) -> None:
        self._bytes += zlib.compress("\n".join(lines).encode(errors="surrogatepass"), level=1)
        self._starts.append(len(self._bytes))

    def utterance(self, index: int) -> Utterance:
        at, offset = divmod(index, _BLOCK)
        if self._newest[0] != at:  # utterances are mostly used in order
            block = memoryview(self._bytes)[self._starts[at] : self._starts[at + 1]]
            self._newest = at, zlib.decompress(block).decode(errors="surrogatepass").split("\n")
        number = int(self._numbers[index])
        where = f"{self._manifest}, line {number}"
        return _utterance(json.loads(self._newest[1][offset]), self._folder, where)  # which was checked before


def _counts_by_share(sources: Sequence[_Lines], shares: Sequence[float]) -> list[float]:
    """Return how many utterances each manifest gives for its share, each at least all of its own."""
    known = not any(np.isnan(source.seconds).any() for source in sources)
    sizes = [sum(source.seconds.tolist()) if known else float(len(source)) for source in sources]
    wanted = [share / size for share, size in zip(shares, sizes, strict=True)]
    counts = [len(source) * times / min(wanted) for source, times in zip(sources, wanted, strict=True)]
    if sum(counts) > _MAX_LINES:
        raise ConfigError(
            f"these shares need {sum(counts):.3g} lines, as the smallest share is of the longest manifest; give shares "
            "nearer to the lengths of the manifests"
        )
    return counts


def _repeat(count: int, times: float) -> Int64[ndarray, " M"]:
    """Return the indices of ``count`` utterances a number of times; the last time in part, evenly."""
    whole = int(times)
    rest = round((times - whole) * count)
    last = np.arange(rest, dtype=np.int64) * count // max(rest, 1)
    return np.concatenate([np.tile(np.arange(count, dtype=np.int64), whole), last])


def _read(manifest: Path, split: str | None) -> Iterator[tuple[str, int, Utterance]]:
    """Yield the line, its number and the utterance of a split's lines; raise a ManifestError if there are none."""
    if folder_exists(manifest):
        raise ManifestError(_folder_advice(manifest))
    folder, count = manifest.parent.absolute(), 0
    splits: set[str] = set()
    protect([manifest])
    lines = read_lines(manifest, ManifestError, "check the path, and that it is UTF-8", limit=MAX_FILE_BYTES)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{manifest}, line {number}"
        utterance = _utterance(_parse(line, where), folder, where)
        splits.add(utterance.split or "(none)")
        if split is None or utterance.split == split:
            count += 1
            protect([utterance.audio_path])
            yield line, number, utterance
    if not count:
        raise ManifestError(
            f"{manifest}: no utterance"
            + (f" has split '{split}'; there are {', '.join(sorted(splits))}" if splits else " in it")
        )


def _parse(line: str, where: str) -> dict[str, Any]:
    values = parse_object(line, where, ManifestError, 'write {"audio_path": …, "text": …}')
    if not values.get("audio_path"):
        raise ManifestError(f"{where}: the key 'audio_path' is missing or empty; it names the recording")
    return values


def _utterance(values: dict[str, Any], folder: Path, where: str) -> Utterance:
    fields = {key: values.pop(key) for key in _KEYS & values.keys()}
    if isinstance(fields["audio_path"], str):
        fields["audio_path"] = folder / fields["audio_path"]
    try:
        return Utterance(**fields, extra=values, where=where)
    except ValidationError as error:
        raise ManifestError(f"{where}: {first_problem(error)}") from error


def recordings_of(utterances: Sequence[Utterance]) -> tuple[list[str], Int64[ndarray, " M"]]:
    """Return the different paths of recordings, in order, and for each utterance the index of its path."""
    if isinstance(utterances, Utterances):
        return utterances.recordings()
    distinct: dict[str, int] = {}
    indices = [distinct.setdefault(str(one.audio_path), len(distinct)) for one in utterances]
    return list(distinct), np.array(indices, dtype=np.int64)


def select_share(utterances: Sequence[Utterance], share: float) -> Sequence[Utterance]:
    """Select a share of the recordings, whole speakers at a time.

    Speakers are taken in the order of their names' SHA-256 until the share is reached, so a smaller selection is part
    of a larger one. A recording without a speaker counts as a speaker of its own. The order stays.

    Example:
        >>> clips = [Utterance(audio_path=f"{number}.flac", speaker=f"s{number % 4}") for number in range(8)]
        >>> [len(select_share(clips, share)) for share in (0.25, 0.3, 1.0)]
        [2, 4, 8]
    """
    speakers = [one.speaker or one.audio_path.name for one in utterances]
    sizes, selected, count = Counter(speakers), set[str](), 0
    for speaker in sorted(sizes, key=lambda name: sha256(name.encode(errors="surrogatepass")).digest()):
        if count >= share * len(utterances):
            break
        selected.add(speaker)
        count += sizes[speaker]
    return select(utterances, [index for index, speaker in enumerate(speakers) if speaker in selected])
