"""What the tests of listening tests share: short clips of two systems, and ratings files."""

import csv
from pathlib import Path
from typing import Any

from vocable.testing import speechlike
from vocable_lab.listening.analysis import COLUMNS
from vocable_lab.listening.build import ListeningTest, build
from vocable_lab.listening.key import Key

CLIPS = ("clip one", "<b>two")
SYSTEMS = ("codec-eight", "codec-two")


def record(folder: Path, seed: int = 0, clips: tuple[str, ...] = CLIPS, samples: int = 4_000) -> Path:
    folder.mkdir(parents=True)
    for at, clip in enumerate(clips):
        speechlike(samples, 16_000, seed=seed + at).write(folder / f"{clip}.wav")
    return folder


def build_test(folders: dict[str, Path], out: Path, **options: Any) -> ListeningTest:
    return build(folders["recordings"], {name: folders[name] for name in SYSTEMS}, out, **options)


def rows_of(key: Key, ratings: dict[str, float], rater: str) -> list[list[str]]:
    """Rows of a rater who gives each system its rating."""
    return [
        [rater, key.test, one.trial, code, one.scale, f"{ratings[one.system]:g}", "3.0"]
        for code, one in key.stimuli.items()
    ]  # fmt: skip


def write_ratings(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(COLUMNS), *rows])
    return path


def record_all(root: Path) -> dict[str, Path]:
    """Recordings of a quarter of a second, and what two systems made of them."""
    return {name: record(root / name, 10 * at) for at, name in enumerate(("recordings", *SYSTEMS))}
