"""AudioMNIST: 30,000 spoken digits of 60 speakers at 48 kHz.

```text
data/
├── audioMNIST_meta.txt      JSON: speaker → age, gender, accent, …; may be missing
└── 01/ … 60/                0_01_0.wav: digit, speaker, take
```

Source: Becker et al., arXiv:1807.03418; github.com/soerenab/AudioMNIST.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

from vocable.data.corpora.recordings import check_speakers, check_split, read_takes, write_manifest
from vocable.errors import InputError

_META = "audioMNIST_meta.txt"
_LAYOUT = re.compile(r"(?P<speaker>[0-9]{2})/(?P<digit>[0-9])_(?P=speaker)_(?P<take>[0-9]{1,4})\.wav")


def prepare(
    source: Path, out: Path, *, split: str = "speaker", seed: int = 0, say: Callable[[str], None] = print
) -> Path:
    """Write the manifest of a copy of AudioMNIST.

    Args:
        source: The repository, or the folder in it that holds the speakers' folders.
        out: Folder of the manifest. Paths are relative where the recordings lie in it, else absolute.
        split: By ``speaker``, or at ``random``.
        seed: Of the split.
        say: Gets a line for what is left out, and one for each split.

    Returns:
        The manifest.

    Raises:
        InputError: This is not AudioMNIST, no recording of it can be used, or what it tells of speakers is damaged.
        ConfigError: It cannot be split so.
        OutputError: The manifest cannot be written.
    """
    check_split(split, ("speaker", "random"))
    folders = [folder for folder in (source, source / "data") if any(folder.glob("[0-9][0-9]/*.wav"))]
    if not folders:
        raise InputError(f"{source}: no AudioMNIST in here (looked for 01/0_01_0.wav and data/01/0_01_0.wav)")
    speakers = _speakers(folders[0] / _META)
    recordings = read_takes(folders[0], "[0-9][0-9]/*", _LAYOUT, "audiomnist", speakers, say)
    return write_manifest(recordings, out, split=split, seed=seed, say=say)


def _speakers(path: Path) -> dict[str, dict[str, object]]:
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); copy it again, or remove it") from error
    return check_speakers(value, path)
