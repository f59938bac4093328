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

from vocable.data.corpora.recordings import check_split, has_files, read_lines, read_speech, write_rows
from vocable.errors import InputError

_LAYOUT = re.compile(
    r"(?P<subset>(?P<split>train|dev|test)-(?:clean|other)(?:-[0-9]{3})?)/(?P<speaker>[0-9]{1,6})/"
    r"(?P<chapter>[0-9]{1,7})/(?P=speaker)-(?P=chapter)-[0-9]{4}\.flac"
)
GENDERS = {"M": "male", "F": "female"}
"""Genders by their letter in tables of speakers."""


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
    genders = read_genders(root / "SPEAKERS.TXT")
    texts: dict[Path, dict[str, str]] = {}

    def describe(path: Path, match: re.Match[str]) -> dict[str, Any]:
        folder, speaker = path.parent, match["speaker"]
        if folder not in texts:
            texts[folder] = _texts(folder / f"{speaker}-{match['chapter']}.trans.txt")
        return {
            "text": texts[folder].get(path.stem), "speaker": f"ls-{speaker}", "gender": genders.get(speaker),
            "subset": match["subset"], "utt_id": path.stem, "split": match["split"],
        }  # fmt: skip

    return write_rows(read_speech(root.glob("*-*/*/*/*.flac"), root, _LAYOUT, describe, say), out, say)


def _texts(path: Path) -> dict[str, str]:
    """Return the transcripts of a chapter by recording; none if the chapter has no such file."""
    lines = (line.partition(" ") for line in read_lines(path))
    return {name: text.strip() for name, _, text in lines if text.strip()}


def read_genders(path: Path) -> dict[str, str]:
    """Return the gender of each reader from a table as LibriSpeech's; none if it is missing."""
    fields = (re.split(r"\s*\|\s*", line.strip()) for line in read_lines(path) if not line.startswith(";"))
    return {one[0]: GENDERS[one[1]] for one in fields if len(one) > 1 and one[1] in GENDERS}
