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
from vocable.data.corpora.recordings import check_split, write_rows
from vocable.errors import AudioError, InputError

_LAYOUT = re.compile(
    r"(?P<subset>(?P<split>train|dev|test)-(?:clean|other)(?:-[0-9]{3})?)/(?P<speaker>[0-9]{1,6})/"
    r"(?P<chapter>[0-9]{1,7})/(?P=speaker)-(?P=chapter)-[0-9]{4}\.flac"
)
_GENDERS = {"M": "male", "F": "female"}
_MAX_BYTES = 16 << 20  # of a text file; that of the longest chapter has 50 kB


def prepare(
    source: Path, out: Path, *, split: str = "official", seed: int = 0, say: Callable[[str], None] = print
) -> Path:
    """Write the manifest of a copy of LibriSpeech, whose official splits share no speaker.

    Args:
        source: Folder ``LibriSpeech``, or the folder that holds it.
        out: Folder of the manifest. Paths of audio inside it are relative, others absolute.
        split: ``official``: the name of a subset says whether it belongs to train, dev or test; ``subset`` keeps the
            name.
        seed: Unused.
        say: Function that receives a line for each file left out, one for those without text, and one for each split.

    Returns:
        Path of the manifest. Its texts are as published, in capitals and without punctuation. A recording without a
        transcript has no text.

    Raises:
        InputError: If the folder is not LibriSpeech, no recording can be used, or a text cannot be read.
        ConfigError: If the split is not ``official``.
        OutputError: If the manifest cannot be written.
    """
    check_split(split, ("official",))
    folders = [folder for folder in (source, source / "LibriSpeech") if any(folder.glob("*-*/*/*/*.trans.txt"))]
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


def _chapter(
    folder: Path, root: Path, genders: dict[str, str], say: Callable[[str], None]
) -> list[dict[str, Any]]:  # fmt: skip
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
    if not path.exists():
        return ""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path}: larger than {_MAX_BYTES >> 20} MiB; copy it again")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); copy it again") from error
