"""What is left out or doubted is told with the line of the manifest where it stands."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.systems.taste.spoken import record, spoken
from vocable.data.manifest import read_manifest
from vocable.systems.taste.data import TasteBatchConfig

GOOD = {"text": "good day", "alignment_score": -2.0}
SAID: dict[str, tuple[dict[str, Any], str]] = {
    "no text": ({"text": None}, "its line has no 'text'"),
    "text of another": ({"text": "twenty " * 30}, "subwords, its audio 10 units"),
    "no such file": ({"audio_path": "none.wav"}, "no such file"),
    "wrong alignment": ({"alignment": [["G", 0.0, 7.0]]}, "the alignment ends at 7.000 s"),
}


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A manifest of these lines, with an empty one before each."""
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join("\n" + json.dumps(row) + "\n" for row in rows))
    return manifest


def rows_of(folder: Path, count: int) -> list[dict[str, Any]]:
    return [{**GOOD, "audio_path": record(folder / f"{at}.wav", 0.4, at).name} for at in range(count)]


@pytest.mark.parametrize(("changes", "reason"), SAID.values(), ids=SAID)
def test_what_is_left_out_is_named_by_manifest_line_and_file(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    rows = rows_of(tmp_path, 3)
    rows[1] |= changes
    manifest = write(tmp_path, rows)
    drawn = spoken(read_manifest(manifest), tmp_path)
    (problem,) = drawn.problems
    path = tmp_path / rows[1]["audio_path"]
    assert str(problem).startswith(f"{manifest}, line 4: {path}: ")
    assert str(problem).count(str(path)) == 1
    assert reason in str(problem)


@pytest.mark.slow
def test_what_is_doubted_is_named_by_manifest_line_and_file(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, 24)
    rows[5]["alignment_score"] = -40.0
    rows[7] |= {"text": "good good day", "alignment": [["G", 0.0, 0.2], ["UH", 0.2, 0.3], ["D", 0.3, 0.4]]}
    rows[7]["phones"] = [["G", "UH1", "D"]] * 2 + [["D", "EY1"]]
    manifest = write(tmp_path, rows)
    drawn = spoken(read_manifest(manifest), tmp_path, TasteBatchConfig(speeds=(1.0, 1.25)))
    low, other = map(str, drawn.doubts)
    assert low.startswith(f"{manifest}, line 12: {tmp_path / '5.wav'}: its alignment_score is -40, the median")
    assert other.startswith(f"{manifest}, line 16: {tmp_path / '7.wav'}: the alignment has 3 phones, the words have 8")
    assert "are estimated" in other
    assert (len(drawn), drawn._mismatches.total(), drawn.problems) == (48, 2, [])


def test_recordings_that_nobody_listed_are_named_by_their_file(tmp_path: Path) -> None:
    listed = read_manifest(write(tmp_path, rows_of(tmp_path, 2)))
    plain = [one.model_copy(update={"where": "", "text": text}) for one, text in zip(listed, ("", "good"), strict=True)]
    (problem,) = spoken(plain, tmp_path).problems
    assert str(problem).startswith(f"{tmp_path / '0.wav'}: its line has no 'text'")
