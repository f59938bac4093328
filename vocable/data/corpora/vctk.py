"""VCTK: 110 speakers of English with various accents at 48 kHz, some 400 sentences each.

```text
speaker-info.txt                        p225  23  F  English  Southern England; may be missing
wav48_silence_trimmed/p225/             p225_001_mic1.flac  p225_001_mic2.flac (version 0.92)
wav48/p225/                             p225_001.wav (version 0.80)
txt/p225/                               p225_001.txt
```

Source: Veaux, Yamagishi and MacDonald, University of Edinburgh, doi.org/10.7488/ds/2645, CC BY 4.0.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vocable.data.corpora.librispeech import GENDERS
from vocable.data.corpora.recordings import (
    check_split,
    find_root,
    known_age,
    read_lines,
    read_speech,
    read_text,
    write_shared_rows,
)
from vocable.errors import InputError
from vocable.files import exists

_LAYOUT = re.compile(
    r"(?:wav48_silence_trimmed|wav48)/(?P<speaker>[a-z][0-9]{1,4})/(?P<utterance>(?P=speaker)_[0-9]{3})"
    r"(?:_mic[12]\.flac|\.wav)"
)
_FIRST, _SECOND = "_mic1.flac", "_mic2.flac"
_RECORDINGS = "wav48*/*/*_[0-9][0-9][0-9]*.*"


def prepare(
    source: Path, out: Path, *, split: str = "speaker", seed: int = 0, say: Callable[[str], None] = print
) -> Path:
    """Write the manifest of a copy of VCTK; see :func:`~vocable.data.corpora.find_corpus`.

    The source is the folder of ``wav48_silence_trimmed`` and ``txt``, or the folder that holds it. The split is
    ``speaker`` or ``random``; sentences that several speakers read are in several splits. Of two microphones the
    first is taken, or the second where there is no other. A speaker without texts (p315) has none.
    """
    check_split(split, ("speaker", "random"))
    root = find_root(source, ("VCTK-Corpus-0.92", "VCTK-Corpus", "VCTK"), _RECORDINGS)
    if root is None:
        raise InputError(
            f"{source}: holds no VCTK (looked for wav48_silence_trimmed/p225/p225_001_mic1.flac and "
            "wav48/p225/p225_001.wav)"
        )
    speakers = _speakers(root / "speaker-info.txt")
    found = [path for path in root.glob("wav48*/*/*") if path.suffix in (".flac", ".wav")]
    paths = [
        path for path in found
        if not (path.name.endswith(_SECOND) and exists(path.with_name(path.name.replace(_SECOND, _FIRST))))
    ]  # fmt: skip
    if len(paths) < len(found):
        say(f"{len(found) - len(paths)} recordings of a second microphone left out")

    def describe(path: Path, match: re.Match[str]) -> dict[str, Any]:
        speaker, utterance = match["speaker"], match["utterance"]
        return {
            "text": read_text(root / "txt" / speaker / f"{utterance}.txt", say), "speaker": f"vctk-{speaker}",
            "gender": None, **speakers.get(speaker, {}), "utt_id": utterance,
        }  # fmt: skip

    rows = read_speech(paths, root, _LAYOUT, describe, say)
    return write_shared_rows(rows, out, split=split, seed=seed, say=say)


def _speakers(path: Path) -> dict[str, dict[str, Any]]:
    """Return age, gender and accent of each speaker; version 0.80 leaves out the letter before the number."""
    speakers = {}
    for fields in (line.split() for line in read_lines(path)):
        if len(fields) > 2 and fields[2] in GENDERS:
            name = f"p{fields[0]}" if fields[0].isdecimal() else fields[0]
            accent = fields[3] if len(fields) > 3 and fields[3] != "Unknown" else None
            speakers[name] = {"gender": GENDERS[fields[2]], "age": known_age(fields[1]), "accent": accent}
    return speakers
