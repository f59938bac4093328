"""LJ Speech: one woman reading American English at 22,050 Hz, 13,100 recordings, 24 hours.

```text
metadata.csv       LJ001-0001|Printing, in 1899|Printing, in eighteen ninety nine
wavs/              LJ001-0001.wav
```

Source: Ito and Johnson, keithito.com/LJ-Speech-Dataset, public domain.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vocable.data.corpora.recordings import (
    check_split,
    find_root,
    known_text,
    read_lines,
    read_speech,
    write_shared_rows,
)
from vocable.errors import InputError

_LAYOUT = re.compile(r"wavs/(?P<utterance>(?P<book>LJ[0-9]{3})-[0-9]{4})\.wav")


def prepare(
    source: Path, out: Path, *, split: str = "random", seed: int = 0, say: Callable[[str], None] = print
) -> Path:
    """Write the manifest of a copy of LJ Speech; see :func:`~vocable.data.corpora.find_corpus`.

    The source is the folder ``LJSpeech-1.1``, or the folder that holds it. The split is ``random``, as there is one
    speaker. The text is the normalized one; ``text_raw`` is the original.
    """
    check_split(split, ("random",))
    root = find_root(source, ("LJSpeech-1.1", "LJSpeech"), "metadata.csv")
    if root is None:
        raise InputError(f"{source}: holds no LJ Speech (looked for metadata.csv beside wavs/LJ001-0001.wav)")
    rows = [line.split("|") for line in read_lines(root / "metadata.csv")]
    texts = {row[0].strip(): row[1:] for row in rows if len(row) > 1}
    unreadable = sum(len(row) < 2 for row in rows)
    if unreadable:
        say(f"{unreadable} lines of {root / 'metadata.csv'} left out: they are not ID|TEXT|NORMALIZED TEXT")

    def describe(path: Path, match: re.Match[str]) -> dict[str, Any]:
        original, *normalized = texts.get(path.stem, [""])
        return {
            "text": known_text(normalized[0] if normalized else "") or known_text(original),
            "text_raw": known_text(original), "speaker": "lj", "gender": "female", "accent": "US English",
            "utt_id": path.stem,
        }  # fmt: skip

    recordings = read_speech(root.glob("wavs/*.wav"), root, _LAYOUT, describe, say)
    missing = texts.keys() - {row["utt_id"] for row in recordings}
    if missing:
        say(f"{len(missing)} lines of metadata.csv match no recording, such as {min(missing)}")
    return write_shared_rows(recordings, out, split=split, seed=seed, say=say)
