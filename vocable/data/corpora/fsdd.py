"""Free Spoken Digit Dataset: 3,000 spoken digits of 6 speakers at 8 kHz.

```text
metadata.py       metadata = {"jackson": {"gender": …, "accent": …}, …}; may be missing, is read and never run
recordings/       0_jackson_0.wav: digit, speaker, take
```

Source: github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0.
"""

import ast
import re
from collections.abc import Callable
from pathlib import Path

from vocable.data.corpora.recordings import check_split, has_files, read_takes, write_manifest
from vocable.errors import InputError
from vocable.files import exists, read_file

_LAYOUT = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[A-Za-z0-9-]+)_(?P<take>[0-9]{1,4})\.wav")
_TEST_TAKES = 5  # the first takes of each digit and speaker; the corpus has no dev split


def prepare(
    source: Path, out: Path, *, split: str = "speaker", seed: int = 0, say: Callable[[str], None] = print
) -> Path:
    """Write the manifest of a copy of the Free Spoken Digit Dataset; see :func:`~vocable.data.corpora.find_corpus`.

    The split is ``speaker``, ``random`` or ``official``. The official test split is takes 0 to 4, so every speaker is
    in both test and train.
    """
    check_split(split)
    folder = source / "recordings"
    if not has_files(folder, "*.wav"):
        raise InputError(f"{source}: holds no Free Spoken Digit Dataset (looked for recordings/0_jackson_0.wav)")
    rows = [
        {**row, "split": "test" if row["take"] < _TEST_TAKES else "train"}
        for row in read_takes(folder, "*", _LAYOUT, "fsdd", _speakers(source / "metadata.py"), say)
    ]
    return write_manifest(rows, out, split=split, seed=seed, say=say)


def _speakers(path: Path) -> dict[str, dict[str, object]]:
    """Return the dictionary that a Python file assigns to ``metadata``, without running the file."""
    if not exists(path):
        return {}
    content = read_file(path, InputError, "copy it again, or remove it")
    try:
        values = [
            ast.literal_eval(node.value)
            for node in ast.parse(content).body
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["metadata"]
        ]
    except (OSError, SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(f"{path}: 'metadata' is no plain dictionary ({error}); copy it again, or remove it") from error
    speakers = values[-1] if values else None
    if not isinstance(speakers, dict) or not all(isinstance(record, dict) for record in speakers.values()):
        raise InputError(f"{path}: has no record for each speaker; copy it again, or remove it")
    return speakers
