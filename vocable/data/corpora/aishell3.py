"""AISHELL-3: read Mandarin at 44.1 kHz with its text and pinyin, 85 hours of 218 speakers.

```text
spk-info.txt                            SSB0005  B  female  north; may be missing
train/, test/
├── content.txt                         SSB00050001.wav  广 guang3 州 zhou1 女 nv3 大 da4
└── wav/SSB0005/SSB00050001.wav
```

Source: Shi et al., arXiv:2010.11567; openslr.org/93, Apache 2.0.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vocable.data.corpora.recordings import (
    check_split,
    find_root,
    read_lines,
    read_speech,
    write_shared_rows,
)
from vocable.errors import InputError

_LAYOUT = re.compile(r"(?P<split>train|test)/wav/(?P<speaker>SSB[0-9]{4})/(?P=speaker)[0-9]{4}\.wav")
_GENDERS = ("female", "male")
_PINYIN = re.compile(r"[a-zA-ZüÜêÊ:]+[0-9]?")


def prepare(
    source: Path, out: Path, *, split: str = "official", seed: int = 0, say: Callable[[str], None] = print
) -> Path:
    """Write the manifest of a copy of AISHELL-3; see :func:`~vocable.data.corpora.find_corpus`.

    The source is the folder of ``train`` and ``test``, or the folder that holds it. The split is ``official``, whose
    test split shares speakers with train, or ``speaker`` or ``random``. The text is written in characters without
    spaces; ``pinyin`` is a list of syllables with tones. ``age_group`` is the letter of the corpus: A under 14 years,
    B to 25, C to 40, D over 40.
    """
    check_split(split)
    root = find_root(source, ("data_aishell3", "AISHELL-3", "aishell3"), "*/wav/*/SSB*.wav")
    if root is None:
        raise InputError(
            f"{source}: holds no AISHELL-3 (looked for train/wav/SSB0005/SSB00050001.wav and for the same in "
            "data_aishell3/)"
        )
    speakers = _speakers(root / "spk-info.txt")
    contents = {part: _contents(root / part / "content.txt") for part in ("train", "test")}

    def describe(path: Path, match: re.Match[str]) -> dict[str, Any]:
        text, pinyin = contents[match["split"]].get(path.stem, (None, None))
        return {
            "text": text, "pinyin": pinyin, "speaker": f"aishell3-{match['speaker']}", "gender": None,
            **speakers.get(match["speaker"], {}), "language": "zh", "utt_id": path.stem, "split": match["split"],
        }  # fmt: skip

    rows = read_speech(root.glob("*/wav/*/*.wav"), root, _LAYOUT, describe, say)
    return write_shared_rows(rows, out, split=split, seed=seed, say=say)


def _contents(path: Path) -> dict[str, tuple[str | None, list[str] | None]]:
    """Return characters and pinyin by recording. Erhua may give two characters one syllable."""
    found = {}
    for name, *parts in (line.split() for line in read_lines(path)):
        pinyin = [part for part in parts if _PINYIN.fullmatch(part)]
        text = "".join(part for part in parts if not _PINYIN.fullmatch(part))
        found[name.removesuffix(".wav")] = (text or None, pinyin or None)
    return found


def _speakers(path: Path) -> dict[str, dict[str, str | None]]:
    """Return age group, gender and accent of each speaker; lines that begin with # are comments."""
    rows = (line.split() for line in read_lines(path) if not line.startswith("#"))
    return {
        row[0]: {"gender": row[2], "age_group": row[1], "accent": row[3] if len(row) > 3 else None}
        for row in rows if len(row) > 2 and row[2] in _GENDERS
    }  # fmt: skip
