"""Batches of real recordings are those of the version that kept all recordings in memory, by their SHA-256."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("flac", "flac-frames")


@pytest.mark.slow
def test_two_hundred_steps_have_the_digests_that_they_had(speech_data: Path, tmp_path: Path) -> None:
    kinds = [part for kind in KINDS for part in ("--kind", kind)]
    subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/batches.py"), str(speech_data), *kinds, "--out", str(tmp_path)],
        check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    before, now = (
        json.loads((folder / "batches.json").read_text()) for folder in (ROOT / "benchmarks/results", tmp_path)
    )
    assert now["steps"] == before["steps"] == 200
    for kind in KINDS:
        assert now["values"][kind] == before["values"][kind]
