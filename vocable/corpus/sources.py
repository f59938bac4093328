"""Sources of a corpus: recordings and archives that the inputs stand for, in a fixed order."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from vocable.audio import find_rooted_audio
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import InputError
from vocable.files import exists
from vocable.schema import config

ARCHIVES = frozenset({".tar", ".parquet"})
_MANIFEST = ".jsonl"
_BYTES_PER_SECOND = {".wav": 32_000, ".flac": 16_000}  # of 16 kHz speech
_COMPRESSED = 6_000  # bytes per second of other formats
_StrPath = str | os.PathLike[str]


@config
class Source:
    """A recording of a plan.

    Attributes:
        id: Name in the corpus, which is unique.
        path: Absolute path of the audio file.
        text, speaker, split, extra: See :class:`~vocable.corpus.shard_format.ShardRow`.
        seconds: Duration by the manifest, if known.
        problem: Reason why it cannot be encoded, known before it is read; empty otherwise.
    """

    id: str
    path: str
    text: str | None = None
    speaker: str | None = None
    split: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    seconds: Annotated[float, Field(gt=0)] | None = None
    problem: str = ""

    def estimate_seconds(self) -> float:
        """Return the duration by the manifest, or an estimate by the size of the file."""
        return self.seconds or seconds_of_bytes(_size(self.path), Path(self.path).suffix)


@config
class Span:
    """Consecutive samples of an archive.

    Attributes:
        id: Name of the archive in the corpus; a sample's key follows it.
        path: Absolute path of the archive.
        kind: ``tar`` (WebDataset) or ``parquet``.
        first: Number of the first sample in the archive.
        count: Number of samples.
        offset: Byte of the tar file at which the first sample begins, or number of the row group that it lies in.
        repeated: Samples whose key stands earlier in the archive, by their number.
    """

    id: str
    path: str
    kind: Literal["tar", "parquet"]
    first: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=1)]
    offset: Annotated[int, Field(ge=0)] = 0
    repeated: tuple[int, ...] = ()


def find_sources(inputs: Sequence[_StrPath], say: Callable[[str], None]) -> Iterator[Source | Path]:
    """Yield the recordings and archives that inputs stand for, each once: those of manifests, then the others.

    A recording that is named twice with the same text is yielded once. With another text it is yielded with a problem.

    Args:
        inputs: Manifests (``.jsonl``), files, folders and glob patterns.
        say: Function that gets a line for each folder whose manifest is not used.

    Raises:
        VocableError: If an input cannot be used.
    """
    texts: dict[str, str | None] = {}  # by path
    ids: set[str] = set()
    for source in _all_sources(inputs, say):
        if isinstance(source, Path):
            yield source
            continue
        named = source
        if source.path in texts:
            if source.text is None or source.text == texts[source.path]:
                continue
            named = replace(source, problem=f"{source.path} is named twice, with two texts; keep one of them")
        elif source.id in ids:  # two folders of one name
            named = replace(source, id=source.path)
        texts.setdefault(source.path, source.text)
        number = 2
        while named.id in ids:
            named, number = replace(named, id=f"{source.id}#{number}"), number + 1
        ids.add(named.id)
        yield named


def seconds_of_bytes(size: int, suffix: str) -> float:
    """Return an estimate of the duration of a recording, by the size of its file.

    Example:
        >>> seconds_of_bytes(64_000, ".wav")
        2.0
    """
    return size / _BYTES_PER_SECOND.get(suffix.lower(), _COMPRESSED)


def printable_values(value: Any) -> Any:
    r"""Return JSON values whose texts are valid Unicode: what UTF-8 cannot hold is escaped.

    Example:
        >>> printable_values({"name": "a" + chr(0xDCFF)})
        {'name': 'a\\udcff'}
    """
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {printable_values(str(key)): printable_values(one) for key, one in value.items()}
    return [printable_values(one) for one in value] if isinstance(value, list | tuple) else value


def archive_id(path: Path) -> str:
    """Return the name of an archive in the corpus: its folder and its name."""
    return str(printable_values(f"{path.absolute().parent.name}/{path.name}"))


def _all_sources(inputs: Sequence[_StrPath], say: Callable[[str], None]) -> Iterator[Source | Path]:
    manifests = [Path(entry) for entry in inputs if Path(entry).suffix == _MANIFEST]
    for manifest in manifests:
        folder = os.path.normpath(manifest.parent.absolute())
        for utterance in read_manifest(manifest):
            yield _from_manifest(utterance, folder)
    others = [entry for entry in inputs if Path(entry) not in manifests]
    if not others and not manifests:
        raise InputError("there is no input; name recordings, folders, manifests (.jsonl), tar or Parquet files")
    roots: dict[Path, str] = {}
    for path, root in find_rooted_audio(others, ARCHIVES) if others else ():
        if path.suffix.lower() in ARCHIVES:
            yield Path(os.path.normpath(path.absolute()))
            continue
        if root not in roots:
            roots[root] = os.path.normpath(root.absolute())
            if exists(root / "manifest.jsonl") and not manifests:
                say(f"{root}: has a manifest.jsonl, which is not used; name it to keep its texts and speakers")
        absolute = os.path.normpath(os.path.join(os.getcwd(), path))  # 10 × as fast as pathlib  # noqa: PTH109, PTH118
        yield _source(absolute, roots[root])


def _from_manifest(utterance: Utterance, folder: str) -> Source:
    values = {"extra": utterance.extra, "speaker": utterance.speaker, "split": utterance.split}
    source = _source(os.path.normpath(utterance.audio_path), folder, **printable_values(values))
    text = utterance.text
    if text is not None and printable_values(text) != text:
        return replace(source, problem="its text has half of a surrogate pair, which is no character; write UTF-8")
    return replace(source, text=text, seconds=utterance.duration)


def _source(path: str, folder: str, **values: Any) -> Source:
    shown = printable_values(path)
    problem = "" if shown == path else f"{shown}: the name of the file is not UTF-8; rename it"
    return Source(id=printable_values(_id_of(path, folder)), path=shown, problem=problem, **values)


def _id_of(path: str, folder: str) -> str:
    """Return the path below a folder, with the folder's name; the path itself where it lies elsewhere."""
    prefix = folder.rstrip(os.sep) + os.sep
    return f"{os.path.basename(folder)}/{path.removeprefix(prefix)}" if path.startswith(prefix) else path  # noqa: PTH119


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # pathlib takes five times as long  # noqa: PTH116
    except (OSError, ValueError):
        return 0
