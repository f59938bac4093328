"""Utterances with their text."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.systems.taste.spoken import record
from vocable.data.manifest import Utterance, read_manifest


@pytest.fixture
def lines(tmp_path: Path) -> list[Utterance]:
    """Three utterances, the last as its seed has it: a path, a text, and nothing else."""
    alignment = [
        ["G", 0.2, 0.28],
        ["UH", 0.28, 0.4],
        ["D", 0.4, 0.44],
        ["D", 0.6, 0.7],
        ["EY", 0.7, 0.88],
        ["SIL", 0.88, 1.0],
    ]
    rows: list[dict[str, Any]] = [
        {
            "audio_path": str(record(tmp_path / "a.wav", 1.0)), "text": "GOOD DAY", "alignment": alignment,
            "phones": [["G", "UH1", "D"], ["D", "EY1"]], "alignment_score": -3.0,
        },
        {"audio_path": str(record(tmp_path / "b.wav", 2.0, 1)), "text": "a good one"},
        {"audio_path": "c.wav", "text": "two three"},
    ]  # fmt: skip
    record(tmp_path / "c.wav", 0.7, 2)
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_manifest(tmp_path / "manifest.jsonl")
