"""Corpora as published, but small."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vocable.audio import Audio

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
METADATA = """'Speakers.'

metadata = {
    'jackson': {
    \t'gender': 'male',
        'accent': 'USA/neutral'
    },
}
"""
META = {
    "01": {"accent": "german", "age": 30, "gender": "male", "native speaker": "no", "recordingroom": "Kino"},
    "02": {"accent": "German", "age": "25", "gender": "female", "origin": "Europe, Germany, Hamburg"},
    "03": {"accent": " ", "age": " 1234", "gender": None},
}


def silent(line: str) -> None:
    pass


def sound(path: Path, rate: int = 8_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Audio(np.full(rate // 50, 0.1, dtype=np.float32), rate).write(path)
    return path


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """FSDD as published, with two digits and seven takes."""
    root = tmp_path / "fsdd"
    for speaker in SPEAKERS:
        for name in (f"{digit}_{speaker}_{take}.wav" for digit in (0, 7) for take in (0, 3, 4, 5, 6, 10, 49)):
            sound(root / "recordings" / name)
    (root / "metadata.py").write_text(METADATA)
    return root


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """AudioMNIST as published, with four speakers."""
    root = tmp_path / "AudioMNIST"
    for speaker in ("01", "02", "03", "04"):
        for digit in (0, 9):
            sound(root / "data" / speaker / f"{digit}_{speaker}_0.wav", 48_000)
    (root / "data" / "audioMNIST_meta.txt").write_text(json.dumps(META))
    return root


def lines(manifest: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]


def no_manifest(folder: Path) -> bool:
    return not folder.exists() or not [path for path in folder.iterdir() if path.name != "audio"]
