"""LibriSpeech: read English at 16 kHz with its text, 1,000 hours of 2,484 speakers, or any part of it.

```text
SPEAKERS.TXT                            14 | F | train-clean-360 | 25.03 | name; may be missing
train-clean-100/103/1240/               subset, speaker, chapter; any subsets of it
├── 103-1240-0000.flac
└── 103-1240.trans.txt                  103-1240-0000 CHAPTER ONE MISSUS RACHEL LYNDE IS SURPRISED
```

Source: Panayotov et al., ICASSP 2015; openslr.org/12, CC BY 4.0.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vocable.audio import header_seconds
from vocable.data.corpora.recordings import check_split, has_files, write_rows
from vocable.errors import AudioError, InputError
from vocable.files import exists, read_file

_LAYOUT = re.compile(
    r"(?P<subset>(?P<split>train|dev|test)-(?:clean|other)(?:-[0-9]{3})?)/(?P<speaker>[0-9]{1,6})/"
    r"(?P<chapter>[0-9]{1,7})/(?P=speaker)-(?P=chapter)-[0-9]{4}\.flac"
)
_GENDERS = {"M": "male", "F": "female"}


def prepare(
    source: Path, out: Path, *, split: str = "official", seed: int = 0, say: Callable[[str], None] = print
) -> Path:
    """Write the manifest of a copy of LibriSpeech; see :func:`~vocable.data.corpora.find_corpus`.

    The source is the folder ``LibriSpeech``, or the folder that holds it. The split is ``official``, in which no
    speaker is in two splits; the key ``subset`` keeps the name of the subset. The seed is unused. Texts are as
    published, in capitals and without punctuation. A recording without a transcript has no text.
    """
    check_split(split, ("official",))
    folders = [folder for folder in (source, source / "LibriSpeech") if has_files(folder, "*-*/*/*/*.trans.txt")]
    if not folders:
        raise InputError(
            f"{source}: holds no LibriSpeech (looked for dev-clean/84/121123/84-121123.trans.txt and for the same in "
            "LibriSpeech/)"
        )
    root = folders[0].resolve()
    genders = _genders(root / "SPEAKERS.TXT")
    rows: list[dict[str, Any]] = []
    for chapter in sorted({path.parent for path in root.glob("*-*/*/*/*.flac")}):
        rows += _chapter(chapter, root, genders, say)
    if not rows:
        raise InputError(f"{source}: no recording can be used")
    without_text = [row["utt_id"] for row in rows if row["text"] is None]
    if without_text:
        say(f"{len(without_text)} recordings have no text, such as {without_text[0]}")
    return write_rows(rows, out, say)


def _chapter(folder: Path, root: Path, genders: dict[str, str], say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return the recordings of one chapter as lines of a manifest."""
    texts = _texts(folder / f"{folder.parent.name}-{folder.name}.trans.txt")
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.flac")):
        match = _LAYOUT.fullmatch(path.relative_to(root).as_posix())
        if match is None:
            say(f"left out: {path}: its name does not follow the corpus")
            continue
        try:
            seconds = header_seconds(path)
        except AudioError as error:
            say(f"left out: {error}")
            continue
        rows.append(
            {
                "audio_path": path, "text": texts.pop(path.stem, None), "speaker": f"ls-{match['speaker']}",
                "duration": round(seconds, 4), "gender": genders.get(match["speaker"]), "subset": match["subset"],
                "utt_id": path.stem, "split": match["split"],
            }
        )  # fmt: skip
    return rows


def _texts(path: Path) -> dict[str, str]:
    """Return the transcripts of a chapter by recording; none if the chapter has no such file."""
    lines = (line.partition(" ") for line in _read(path).splitlines() if line.strip())
    return {name: text.strip() for name, _, text in lines if text.strip()}


def _genders(path: Path) -> dict[str, str]:
    fields = (re.split(r"\s*\|\s*", line.strip()) for line in _read(path).splitlines() if not line.startswith(";"))
    return {one[0]: _GENDERS[one[1]] for one in fields if len(one) > 1 and one[1] in _GENDERS}


def _read(path: Path) -> str:
    """Read a text file of bounded size; return an empty text if it is missing."""
    try:
        return read_file(path, InputError, "copy it again").decode("utf-8-sig") if exists(path) else ""
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read ({error}); copy it again") from error
