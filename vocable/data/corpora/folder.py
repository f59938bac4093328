"""A folder of recordings of one's own, with texts and speakers as far as they are known.

```text
recordings/
├── ann/  one.wav  one.txt          a folder for each speaker; texts beside the audio, or in metadata.csv
└── ben/  a.flac   a.lab
```
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vocable.audio import decoded_seconds, find_rooted_audio
from vocable.data.corpora.recordings import (
    SPLITS,
    check_split,
    share_rows,
    write_rows,
)
from vocable.data.corpora.transcripts import Transcripts
from vocable.errors import ConfigError, InputError, VocableError, name_failure
from vocable.files import folder_exists, sha256

_SPLIT_OF = {
    "train": "train", "training": "train", "dev": "dev", "valid": "dev", "validation": "dev", "val": "dev",
    "test": "test", "eval": "test",
}  # fmt: skip


def prepare(
    source: Path, out: Path, *, split: str = "speaker", seed: int = 0, texts: Sequence[Path] | None = None,
    speaker: str | None = None, say: Callable[[str], None] = print,
) -> Path:  # fmt: skip
    """Write the manifest of a folder of recordings; see :func:`~vocable.data.corpora.find_corpus`.

    Texts stand in ``.txt`` or ``.lab`` files beside the audio, in ``.trans.txt`` files as in LibriSpeech, or in a table
    (``.csv``, ``.tsv``; with a header, or as in LJSpeech). The speaker is a column of the table, or the first folder
    below the one that holds all recordings. Every recording is decoded once, for its length. Recordings that cannot be
    read, and copies of others, are named and left out.

    With the split ``speaker``, speakers are shared .8, .1, .1 over train, dev and test. Of fewer than three speakers,
    the recordings are shared instead. The split ``random`` shares recordings. The split ``official`` takes folders that
    are called train, dev or test, or a column ``split``.

    Args:
        source: Folder of the recordings.
        out: Folder of the manifest.
        split: ``speaker``, ``random`` or ``official``.
        seed: Seed of the split.
        texts: Tables to read instead of those found in the folder.
        speaker: Pattern of paths in the folder; its first group is the name of the speaker.
        say: Function that receives lines on what is left out and on the splits.

    Raises:
        InputError: If the source is no folder, or no recording can be used.
        ConfigError: If the split or the pattern cannot be used.
        OutputError: If the manifest cannot be written.
    """
    check_split(split, SPLITS)
    pattern = _compiled(speaker)
    if not folder_exists(source):
        raise InputError(f"{source}: this is no folder of recordings; name the folder that holds them")
    root = source.resolve()
    transcripts = Transcripts(root, texts, say)
    rows = _rows([path for path, _ in find_rooted_audio([root])], root, transcripts, pattern, say)
    without_text = [row["audio_path"] for row in rows if row["text"] is None]
    if without_text:
        say(f"{len(without_text)} of {len(rows)} recordings have no text, such as {without_text[0]}")
    if unused := transcripts.unused():
        say(f"{len(unused)} lines of tables match no recording, such as {unused[0]!r}")
    parts = _split(rows, split, seed, say)
    return write_rows([{**row, "split": part} for row, part in zip(rows, parts, strict=True)], out, say)


def _rows(
    paths: Sequence[Path], root: Path, transcripts: Transcripts, pattern: re.Pattern[str] | None,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the line of each recording that can be used."""
    folders = _speaker_folders(paths, root)
    rows: list[dict[str, Any]] = []
    first_of: dict[str, Path] = {}  # hash → recording
    left_out = copies = 0
    for path in paths:
        try:
            with name_failure(str(path)):
                str(path).encode()  # the name of a file may be no valid text
                seconds, digest = decoded_seconds(path), sha256(path)
                name = folders.get(path) if pattern is None else _matched(pattern, path, root)
        except VocableError as error:
            left_out += 1
            say(f"left out: {error}")
            continue
        if digest in first_of:
            copies += 1
            say(f"left out: {path}: a copy of {first_of[digest]}")
            continue
        first_of[digest] = path
        entry = transcripts.find(path, root)
        rows.append(
            {
                "audio_path": path, "text": entry.text, "duration": round(seconds, 4), "split": entry.split,
                "speaker": name if pattern else entry.speaker or name or root.name, "part": _named_part(path, root),
            }
        )  # fmt: skip
    if left_out or copies:
        say(f"{left_out} of {len(paths)} recordings cannot be used, {copies} are copies")
    if not rows:
        raise InputError(f"{root}: no recording can be used")
    return rows


def _speaker_folders(paths: Sequence[Path], root: Path) -> dict[Path, str]:
    """Return the first folder that differs below the one that holds all recordings, without names of splits."""
    parts = {path: [one for one in path.relative_to(root).parts[:-1] if one.lower() not in _SPLIT_OF] for path in paths}
    while all(parts.values()) and len({one[0] for one in parts.values()}) == 1:
        parts = {path: one[1:] for path, one in parts.items()}
    return {path: one[0] for path, one in parts.items() if one}


def _named_part(path: Path, root: Path) -> str | None:
    """Return the split that a folder of the path names."""
    names = (one.lower() for one in path.relative_to(root).parts[:-1])
    return next((_SPLIT_OF[name] for name in names if name in _SPLIT_OF), None)


def _compiled(speaker: str | None) -> re.Pattern[str] | None:
    if speaker is None:
        return None
    try:
        pattern = re.compile(speaker)
    except re.error as error:
        raise ConfigError(f"the pattern of speakers {speaker[:80]!r} is no regular expression ({error})") from error
    if pattern.groups < 1:
        raise ConfigError(
            f"the pattern of speakers {speaker[:80]!r} has no group; put the name in brackets: '([a-z]+)_'"
        )
    return pattern


def _matched(pattern: re.Pattern[str], path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    match = pattern.search(name)
    if match is None or not match[1]:
        raise InputError(f"{path}: the pattern of speakers finds none in {name!r}")
    return match[1]


def _split(rows: Sequence[dict[str, Any]], split: str, seed: int, say: Callable[[str], None]) -> list[str]:
    """Return the split of each recording."""
    named = [row.pop("part") or _SPLIT_OF.get(str(row["split"]).lower(), row["split"]) for row in rows]
    if split == "official":
        if missing := [row["audio_path"] for row, part in zip(rows, named, strict=True) if part is None]:
            raise ConfigError(
                f"{len(missing)} recordings name no split, such as {missing[0]}; name folders train, dev and test, or "
                "split by speaker"
            )
        return [str(part) for part in named]
    return share_rows(rows, split, seed, say)
