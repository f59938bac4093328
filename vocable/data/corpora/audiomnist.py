"""AudioMNIST: 30,000 spoken digits of 60 speakers at 48 kHz.

```text
data/
├── audioMNIST_meta.txt      JSON: speaker → age, gender, accent, …; may be missing
└── 01/ … 60/                0_01_0.wav: digit, speaker, take
```

Source: Becker et al., arXiv:1807.03418; github.com/soerenab/AudioMNIST.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import RootModel

from vocable.data.corpora.recordings import check_split, has_files, read_takes, write_manifest
from vocable.errors import InputError
from vocable.files import exists
from vocable.schema import read_json

_META = "audioMNIST_meta.txt"
_LAYOUT = re.compile(r"(?P<speaker>[0-9]{2})/(?P<digit>[0-9])_(?P=speaker)_(?P<take>[0-9]{1,4})\.wav")


class _Speakers(RootModel[dict[str, dict[str, Any]]]):
    """Contents of ``audioMNIST_meta.txt``: speaker → record."""


def prepare(
    source: Path, out: Path, *, split: str = "speaker", seed: int = 0, say: Callable[[str], None] = print
) -> Path:
    """Write the manifest of a copy of AudioMNIST; see :func:`~vocable.data.corpora.find_corpus`.

    The source is the folder of the repository, or the folder in it that holds the speakers' folders. The split is
    ``speaker`` or ``random``.
    """
    check_split(split, ("speaker", "random"))
    folders = [folder for folder in (source, source / "data") if has_files(folder, "[0-9][0-9]/*.wav")]
    if not folders:
        raise InputError(f"{source}: holds no AudioMNIST (looked for 01/0_01_0.wav and data/01/0_01_0.wav)")
    meta = folders[0] / _META
    advice = "copy it again, or remove it"
    speakers = read_json(meta, _Speakers, advice=advice, error=InputError).root if exists(meta) else {}
    rows = read_takes(folders[0], "[0-9][0-9]/*", _LAYOUT, "audiomnist", speakers, say)
    return write_manifest(rows, out, split=split, seed=seed, say=say)
