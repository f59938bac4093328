"""Texts of recordings as people keep them: beside the audio, in lists of LibriSpeech, and in tables.

```text
a.wav   a.txt  or  a.lab                     the text of one recording
84-121123.trans.txt                          84-121123-0000 GO DO YOU HEAR
metadata.csv                                 LJ001-0001|Printing, in 1899|Printing, in eighteen ninety nine
train.tsv                                    path<TAB>sentence<TAB>client_id, with this header
```
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vocable.audio import AUDIO_SUFFIXES, CONVERTIBLE_SUFFIXES
from vocable.errors import InputError, VocableError
from vocable.files import is_file, read_file

TABLES = (".csv", ".tsv", ".psv")
"""Suffixes of tables."""

_BESIDE = (".normalized.txt", ".txt", ".lab")  # in this order
_LIST = ".trans.txt"
_COLUMNS = {
    "name": (
        "audio_path", "path", "file_name", "filename", "file", "wav_filename", "wav_path", "audio_file", "audio", "wav",
        "clip", "utterance", "utt_id", "id", "name",
    ),
    "text": (
        "normalized_text", "normalized_transcription", "text", "sentence", "transcription", "transcript", "normalized",
        "raw_text", "raw_transcription",
    ),
    "speaker": ("speaker", "speaker_id", "client_id", "speaker_name", "spk", "spk_id", "reader"),
    "split": ("split", "set", "subset"),
}  # fmt: skip
_DELIMITERS = "|\t,;"
_LOOKED_AT = 50  # lines, to find the delimiter
_ADVICE = "check the path, and save it as UTF-8"


@dataclass(frozen=True)
class RecordingText:
    """Text, speaker and split of one recording, as far as a table or a file names them.

    Attributes:
        text: Transcript, if there is one.
        speaker: Name of the speaker, if there is one.
        split: Name of the split, if there is one.
    """

    text: str | None = None
    speaker: str | None = None
    split: str | None = None


class Transcripts:
    """Texts, speakers and splits of recordings, looked up by path.

    Args:
        root: Folder of the recordings, which is searched for lists and tables if ``tables`` is None.
        tables: Tables to read instead of those found; their names of recordings are relative to the root, to the table,
            or the names of files with or without suffix.
        say: Function that receives a line for everything that cannot be used.

    Raises:
        InputError: If a table that is named cannot be read, or has no column of names or of texts.
    """

    def __init__(self, root: Path, tables: Sequence[Path] | None, say: Callable[[str], None]) -> None:
        self._say = say
        self._by_path: dict[str, RecordingText] = {}  # by path from the root, without suffix
        self._by_name: dict[str, list[RecordingText]] = {}  # by the name of the file, without suffix
        self._used: set[str] = set()
        for table in _find(root, TABLES) if tables is None else tables:
            try:
                self._add_table(table, root)
            except InputError as error:
                if tables is not None:
                    raise
                say(f"left out: {error}")
        for path in _find(root, (_LIST,)):
            for name, text in self._lines(path):
                self._add(path.parent / name, root, RecordingText(text))

    def find(self, audio: Path, root: Path) -> RecordingText:
        """Return what is known of a recording; a file beside it comes before tables and lists."""
        key = _without_suffix(audio.relative_to(root).as_posix())
        entry = self._by_path.get(key)
        if entry is None:
            named = self._by_name.get(audio.stem, [])
            if len(set(named)) > 1:
                self._say(f"no text: {audio}: {len(named)} lines are called {audio.stem!r}; write paths in the table")
            entry = named[0] if len(set(named)) == 1 else RecordingText()
            key = audio.stem
        self._used.add(key)
        beside = self._beside(audio)
        return entry if beside is None else RecordingText(beside, entry.speaker, entry.split)

    def unused(self) -> list[str]:
        """Return names in tables and lists that no recording has."""
        used = self._used | {Path(key).name for key in self._used}
        return [key for key in self._by_path if key not in used and Path(key).name not in used]

    def _beside(self, audio: Path) -> str | None:
        for suffix in _BESIDE:
            path = audio.with_suffix(suffix)
            if is_file(path):
                try:
                    return _clean(_read(path))
                except VocableError as error:
                    self._say(f"no text: {error}")
        return None

    def _lines(self, path: Path) -> Iterator[tuple[str, str | None]]:
        try:
            lines = _read(path).splitlines()
        except VocableError as error:
            self._say(f"left out: {error}")
            return
        for line in lines:
            name, _, text = line.strip().partition(" ")
            if name:
                yield name, _clean(text)

    def _add_table(self, table: Path, root: Path) -> None:
        rows = _rows(table)
        columns, has_header = _columns(rows, table)
        for number, row in rows[has_header:]:
            if len(row) <= max(columns.values()):
                self._say(f"left out: {table}, line {number}: {len(row)} fields; it needs {max(columns.values()) + 1}")
                continue
            values = {key: _clean(row[at]) for key, at in columns.items()}
            name = values.pop("name")
            if name is not None:
                path = Path(name.replace("\\", "/"))
                folder = table.parent if is_file(table.parent / path) else root
                self._add(folder / path, root, RecordingText(**values))

    def _add(self, path: Path, root: Path, entry: RecordingText) -> None:
        inside = path.relative_to(root) if path.is_relative_to(root) else path
        key = _without_suffix(inside.as_posix())
        if key in self._by_path and self._by_path[key] != entry:
            self._say(f"left out: a second line of {key!r}; the first is used")
            return
        self._by_path[key] = entry
        self._by_name.setdefault(Path(key).name, []).append(entry)


def _find(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return files of the root with a suffix, tables in the root itself only."""
    pattern = "*" if suffixes is TABLES else "**/*"
    return sorted(
        path
        for path in root.glob(pattern)
        if path.name.lower().endswith(suffixes) and not path.name.startswith(".") and is_file(path)
    )


def _columns(rows: Sequence[tuple[int, list[str]]], table: Path) -> tuple[dict[str, int], int]:
    """Return the position of each known column, and the number of header lines, 0 or 1."""
    if not rows:
        raise InputError(f"{table}: it is empty; write the name and the text of a recording on each line")
    header = [name.strip().lower().replace(" ", "_") for name in rows[0][1]]
    found = {
        key: next(header.index(name) for name in names if name in header)
        for key, names in _COLUMNS.items()
        if set(names) & set(header)
    }
    if "name" in found and len(found) > 1:
        return found, 1
    width = Counter(len(row) for _, row in rows).most_common(1)[0][0]
    if width < 2 or found:
        raise InputError(
            f"{table}: the first line is {','.join(header)[:80]!r}; it needs a column of names such as 'path' and "
            "one of texts such as 'text', or lines such as NAME|TEXT"
        )
    if width == 2:
        return {"name": 0, "text": 1}, 0
    second = [row[1].strip() for _, row in rows if len(row) == width]
    if not any(" " in value for value in second) and len(set(second)) * 2 <= len(second):
        return {"name": 0, "speaker": 1, "text": 2}, 0
    return {"name": 0, "text": 2}, 0  # the third column of LJSpeech is normalized


def _rows(table: Path) -> list[tuple[int, list[str]]]:
    """Return the lines of a table that are not empty, with their numbers."""
    text = _read(table)
    lines = [line for line in text.splitlines() if line.strip()][:_LOOKED_AT]
    counts = {mark: (sum(mark in line for line in lines), mark in lines[0] if lines else 0) for mark in _DELIMITERS}
    delimiter = max(_DELIMITERS, key=lambda mark: counts[mark])  # the first of equal ones
    reader = csv.reader(
        text.splitlines(keepends=True),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if delimiter in ",;" else csv.QUOTE_NONE,
    )
    try:
        return [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except csv.Error as error:
        raise InputError(f"{table}, line {reader.line_num}: this is no table ({error}); save it again") from error


def _read(path: Path) -> str:
    """Read a text in UTF-8, or in UTF-16 if it has a byte order mark."""
    content = read_file(path, InputError, _ADVICE)
    try:
        return content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is neither UTF-8 nor UTF-16; save it as UTF-8") from error


def _clean(text: str) -> str | None:
    """Return a text on one line, or None if it is empty."""
    return " ".join(text.split()) or None


def _without_suffix(path: str) -> str:
    """Return a path without the suffix of an audio file."""
    is_audio = Path(path).suffix.lower() in AUDIO_SUFFIXES | CONVERTIBLE_SUFFIXES
    return Path(path).with_suffix("").as_posix() if is_audio else path
