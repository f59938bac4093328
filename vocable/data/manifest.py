"""Manifests: one JSON object a line, one line an utterance.

```text
{"audio_path": "audio/a.flac", "text": "good morning", "speaker": "s1", "split": "train", "duration": 1.52}
```

``audio_path`` is required, absolute or relative to the manifest; ``text`` may be null or absent; other keys are kept.
"""

import json
import os
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vocable.errors import ManifestError, VocableError

Wrong = TypeVar("Wrong", bound=VocableError)


class Utterance(BaseModel):
    """One line of a manifest.

    Attributes:
        audio_path: Where the audio is; absolute after reading.
        text: What is said, if known.
        speaker: Who says it, if known.
        split: The part of the corpus, such as ``train``, ``dev`` or ``test``.
        duration: Seconds, if known.
        extra: Every other key of the line.
        where: The manifest and the line that this was read from; no key of the line, and never written.
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
        """The recording for a message: where it is listed, if that is known, and its path.

        Example:
            >>> Utterance(audio_path="a.flac", where="manifest.jsonl, line 17").name
            'manifest.jsonl, line 17: a.flac'
        """
        return f"{self.where}: {self.audio_path}" if self.where else str(self.audio_path)

    def blamed(self, error: Wrong) -> Wrong:
        """An error about the recording, naming its line and its file once.

        Example:
            >>> Utterance(audio_path="a.flac", where="m.jsonl, line 17").blamed(ManifestError("a.flac: it is empty"))
            ManifestError('m.jsonl, line 17: a.flac: it is empty')
        """
        return type(error)(f"{self.name}: {str(error).removeprefix(f'{self.audio_path}: ')}")

    def value(self, key: str) -> str | None:
        """What the line says under a key, as text; None where it says nothing.

        Example:
            >>> Utterance(audio_path="a.flac", speaker="s1", extra={"digit": 0}).value("digit")
            '0'
        """
        value = getattr(self, key) if key in ("speaker", "split", "text") else self.extra.get(key)
        return None if value is None or value == "" else str(value)


_KEYS = Utterance.model_fields.keys() - {"extra", "where"}  # that a line can have; it may use these two as it likes


def read_manifest(path: str | os.PathLike[str], split: str | None = None) -> list[Utterance]:
    """Read a manifest.

    Args:
        path: A JSONL file.
        split: Keep only the utterances of this split; all by default.

    Raises:
        ManifestError: The file is missing, a line is no JSON object or lacks a key (file and line are named), or
            no utterance is left.
    """
    manifest = Path(path)
    try:
        lines = manifest.read_text(encoding="utf-8-sig").split("\n")  # splitlines() would also cut at U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{manifest}: cannot be read ({error}); check the path, and that it is UTF-8") from error
    utterances = [
        _utterance(line, manifest, number) for number, line in enumerate(lines, start=1) if line.strip()
    ]  # fmt: skip
    splits = sorted({utterance.split or "(none)" for utterance in utterances})
    if split is not None:
        utterances = [utterance for utterance in utterances if utterance.split == split]
    if not utterances:
        raise ManifestError(
            f"{manifest}: no utterance"
            + (f" has split '{split}'; there are {', '.join(splits)}" if splits else " in it")
        )
    return utterances


def read_manifests(paths: Sequence[str | os.PathLike[str]], split: str | None = None) -> list[Utterance]:
    """The utterances of several manifests in order. A manifest named twice counts twice."""
    return [utterance for path in paths for utterance in read_manifest(path, split)]


def _utterance(line: str, manifest: Path, number: int) -> Utterance:
    where = f"{manifest}, line {number}"
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, or a number of thousands of digits
        reason = str(error).replace(": line 1", " at")  # this is the manifest's line `number`
        raise ManifestError(f"{where}: this is no JSON ({reason}); write one JSON object a line") from error
    if not isinstance(values, dict):
        raise ManifestError(f'{where}: this is no JSON object; write {{"audio_path": …, "text": …}}')
    if not values.get("audio_path"):
        raise ManifestError(f"{where}: the key 'audio_path' is missing or empty; it names the recording")
    known = {key: values.pop(key) for key in _KEYS & values.keys()}
    try:
        utterance = Utterance(**known, extra=values, where=where)
    except ValidationError as error:
        first = error.errors()[0]
        value = reprlib.repr(first["input"])
        raise ManifestError(f"{where}: '{first['loc'][0]}' is {value}: {first['msg'].lower()}") from error
    return utterance.model_copy(update={"audio_path": manifest.parent.absolute() / utterance.audio_path})
