"""Manifests: files with one JSON object per line, one line per utterance.

```text
{"audio_path": "audio/a.flac", "text": "good morning", "speaker": "s1", "split": "train", "duration": 1.52}
```

``audio_path`` is required; it is absolute, or relative to the manifest. ``text`` may be null or absent. Other keys are
kept.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vocable.errors import ConfigError, ManifestError, VocableError
from vocable.files import MAX_FILE_BYTES, folder_exists, is_file, json_line
from vocable.schema import first_problem, parse_object, read_utf8
from vocable.shares import split_shares
from vocable.write_rules import protect

_MAX_LINES = 20_000_000  # of several manifests, repeated for their shares
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
    manifest = Path(path)
    if folder_exists(manifest):
        raise ManifestError(_folder_advice(manifest))
    text = read_utf8(manifest, ManifestError, "check the path, and that it is UTF-8", limit=MAX_FILE_BYTES)
    lines = text.replace("\r\n", "\n").split("\n")  # splitlines() would also cut at U+2028
    folder = manifest.parent.absolute()
    utterances = [
        _utterance(line, manifest, folder, number) for number, line in enumerate(lines, start=1) if line.strip()
    ]
    splits = sorted({utterance.split or "(none)" for utterance in utterances})
    if split is not None:
        utterances = [utterance for utterance in utterances if utterance.split == split]
    if not utterances:
        raise ManifestError(
            f"{manifest}: no utterance"
            + (f" has split '{split}'; there are {', '.join(splits)}" if splits else " in it")
        )
    protect([manifest, *(utterance.audio_path for utterance in utterances)])
    return utterances


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
    parts = [read_manifest(path, split) for path, _ in pairs]
    if any(share is not None for _, share in pairs):
        parts = _repeat_to_shares(parts, [share or 0.0 for _, share in pairs])
    return [utterance for part in parts for utterance in part]


def _repeat_to_shares(parts: Sequence[list[Utterance]], shares: Sequence[float]) -> list[list[Utterance]]:
    """Return the utterances of each part as often as its share needs, and at least once."""
    known = all(one.duration is not None for part in parts for one in part)
    sizes = [sum(one.duration or 0.0 for one in part) if known else float(len(part)) for part in parts]
    wanted = [share / size for share, size in zip(shares, sizes, strict=True)]
    counts = [len(part) * times / min(wanted) for part, times in zip(parts, wanted, strict=True)]
    if sum(counts) > _MAX_LINES:
        raise ConfigError(
            f"these shares need {sum(counts):.3g} lines, as the smallest share is of the longest manifest; give shares "
            "nearer to the lengths of the manifests"
        )
    return [_repeat(part, count / len(part)) for part, count in zip(parts, counts, strict=True)]


def _repeat(part: list[Utterance], times: float) -> list[Utterance]:
    """Return utterances a number of times; the last time in part, evenly over the list."""
    whole = int(times)
    rest = round((times - whole) * len(part))
    return part * whole + [part[at * len(part) // rest] for at in range(rest)]


def _utterance(line: str, manifest: Path, folder: Path, number: int) -> Utterance:
    where = f"{manifest}, line {number}"
    values = parse_object(line, where, ManifestError, 'write {"audio_path": …, "text": …}')
    if not values.get("audio_path"):
        raise ManifestError(f"{where}: the key 'audio_path' is missing or empty; it names the recording")
    fields = {key: values.pop(key) for key in _KEYS & values.keys()}
    if isinstance(fields["audio_path"], str):
        fields["audio_path"] = folder / fields["audio_path"]
    try:
        return Utterance(**fields, extra=values, where=where)
    except ValidationError as error:
        raise ManifestError(f"{where}: {first_problem(error)}") from error
