"""LibriTTS and LibriTTS-R: read English at 24 kHz with its text, 585 hours of 2,456 speakers, or any part of it.

```text
SPEAKERS.txt                            14 | F | train-clean-360 | 25.03 | name; may be missing
train-clean-100/103/1241/               subset, speaker, chapter; any subsets of it
├── 103_1241_000000_000001.wav          and the same as .normalized.txt and .original.txt
└── 103_1241.trans.tsv                  id, original and normalized text; read where a .txt is missing
```

Source: Zen et al., arXiv:1904.02882; openslr.org/60 and, restored, openslr.org/141, CC BY 4.0.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vocable.data.corpora.librispeech import read_genders
from vocable.data.corpora.recordings import check_split, find_root, read_lines, read_speech, read_text, write_rows
from vocable.errors import InputError
from vocable.files import is_file

_LAYOUT = re.compile(
    r"(?P<subset>(?P<split>train|dev|test)-(?:clean|other)(?:-[0-9]{3})?)/(?P<speaker>[0-9]{1,6})/"
    r"(?P<chapter>[0-9]{1,7})/(?P=speaker)_(?P=chapter)_[0-9]{6}_[0-9]{6}\.wav"
)


def prepare(
    source: Path, out: Path, *, split: str = "official", seed: int = 0, say: Callable[[str], None] = print
) -> Path:
    """Write the manifest of a copy of LibriTTS; see :func:`~vocable.data.corpora.find_corpus`.

    The source is the folder ``LibriTTS`` or ``LibriTTS_R``, or the folder that holds it. The split is ``official``, in
    which no speaker is in two splits; the key ``subset`` keeps the name of the subset. The seed is unused. The text is
    the normalized one; ``text_raw`` is the original. Speakers are called as in LibriSpeech, whose readers they are.
    """
    check_split(split, ("official",))
    root = find_root(source, ("LibriTTS", "LibriTTS_R"), "*-*/*/*/*_*_*_*.wav")
    if root is None:
        raise InputError(
            f"{source}: holds no LibriTTS (looked for dev-clean/84/121123/84_121123_000007_000001.wav and for the same "
            "in LibriTTS/ and LibriTTS_R/)"
        )
    genders = {
        name: sex for file in ("SPEAKERS.txt", "SPEAKERS.TXT") for name, sex in read_genders(root / file).items()
    }
    tables: dict[Path, dict[str, list[str]]] = {}

    def describe(path: Path, match: re.Match[str]) -> dict[str, Any]:
        folder, speaker = path.parent, match["speaker"]
        if folder not in tables:
            tables[folder] = _table(folder / f"{speaker}_{match['chapter']}.trans.tsv", say)
        listed = dict(zip(("original", "normalized"), tables[folder].get(path.stem, ()), strict=False))
        texts = {
            kind: read_text(file, say) if is_file(file := path.with_suffix(f".{kind}.txt")) else listed.get(kind)
            for kind in ("normalized", "original")
        }
        return {
            "text": texts["normalized"] or texts["original"], "text_raw": texts["original"], "speaker": f"ls-{speaker}",
            "gender": genders.get(speaker), "subset": match["subset"], "utt_id": path.stem, "split": match["split"],
        }  # fmt: skip

    return write_rows(read_speech(root.glob("*-*/*/*/*.wav"), root, _LAYOUT, describe, say), out, say)


def _table(path: Path, say: Callable[[str], None]) -> dict[str, list[str]]:
    """Return original and normalized texts of a chapter by recording; an unusable file has none, and is named."""
    try:
        rows = [[field.strip() for field in line.split("\t")] for line in read_lines(path)]
    except InputError as error:
        say(f"left out: {error}")
        return {}
    return {row[0]: row[1:] for row in rows if len(row) > 1}
