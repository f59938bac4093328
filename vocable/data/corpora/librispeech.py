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
_LARGEST = 16 << 20  # bytes of a text; the longest chapter has 50 kB


def prepare(
    source: Path, out: Path, *, split: str = "official", seed: int = 0, say: Callable[[str], None] = print
) -> Path:
    """Write the manifest of a copy of LibriSpeech. Its own splits share no speaker.

    Args:
        source: The folder ``LibriSpeech``, or the one that holds it.
        out: Folder of the manifest. Paths are relative where the recordings lie in it, else absolute.
        split: ``official``: every subset belongs to train, dev or test by its name, which ``subset`` keeps.
        seed: Does not matter here.
        say: Gets a line for each file that is left out, one for those without a text, and one for each split.

    Returns:
        The manifest. Its texts are as published, in capitals and without punctuation; a recording of which no text is
        there has none.

    Raises:
        InputError: This is not LibriSpeech, no recording of it can be used, or a text cannot be read.
        ConfigError: It cannot be split so.
        OutputError: The manifest cannot be written.
    """
    check_split(split, ("official",))
    folders = [folder for folder in (source, source / "LibriSpeech") if any(folder.glob("*-*/*/*/*.trans.txt"))]
    if not folders:
        raise InputError(
            f"{source}: no LibriSpeech in here (looked for dev-clean/84/121123/84-121123.trans.txt and for the same in "
            "LibriSpeech/)"
        )
    root = folders[0].resolve()
    genders = _genders(root / "SPEAKERS.TXT")
    rows: list[dict[str, Any]] = []
    for chapter in sorted({path.parent for path in root.glob("*-*/*/*/*.flac")}):
        rows += _chapter(chapter, root, genders, say)
    if not rows:
        raise InputError(f"{source}: none of the recordings in here can be used")
    mute = [row["utt_id"] for row in rows if row["text"] is None]
    if mute:
        say(f"{len(mute)} recordings have no text, such as {mute[0]}")
    return write_rows(rows, out, say)


def _chapter(
    folder: Path, root: Path, genders: dict[str, str], say: Callable[[str], None]
) -> list[dict[str, Any]]:  # fmt: skip
    """The recordings of one chapter, as lines of a manifest."""
    texts = _texts(folder / f"{folder.parent.name}-{folder.name}.trans.txt")
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.flac")):
        found = _LAYOUT.fullmatch(path.relative_to(root).as_posix())
        if found is None:
            say(f"left out: {path}: its name does not follow the corpus")
            continue
        try:
            seconds = header_seconds(path)
        except AudioError as error:
            say(f"left out: {error}")
            continue
        rows.append(
            {
                "audio_path": path, "text": texts.pop(path.stem, None), "speaker": f"ls-{found['speaker']}",
                "duration": round(seconds, 4), "gender": genders.get(found["speaker"]), "subset": found["subset"],
                "utt_id": path.stem, "split": found["split"],
            }
        )  # fmt: skip
    return rows


def _texts(path: Path) -> dict[str, str]:
    """What is said in each recording of a chapter; nothing where the chapter has no such file."""
    lines = (line.partition(" ") for line in _read(path).splitlines() if line.strip())
    return {name: text.strip() for name, _, text in lines if text.strip()}


def _genders(path: Path) -> dict[str, str]:
    fields = (re.split(r"\s*\|\s*", line.strip()) for line in _read(path).splitlines() if not line.startswith(";"))
    return {one[0]: _GENDERS[one[1]] for one in fields if len(one) > 1 and one[1] in _GENDERS}


def _read(path: Path) -> str:
    """A text file of bounded size; nothing where it is missing."""
    if not path.exists():
        return ""
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: larger than {_LARGEST >> 20} MiB; copy it again")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); copy it again") from error
