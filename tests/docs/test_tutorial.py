"""docs/tutorial.md works as written, in order, in one folder; its training is cut short by the options it names."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vocable.audio import Audio
from vocable.testing import speechlike

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/tutorial.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.M | re.S)
STEPS, QUICK = re.findall(r"--steps \d+ --batch-size \d+", PAGE)


def test_its_blocks_are_of_kinds_that_are_checked() -> None:
    assert {kind for kind, _ in BLOCKS} == {"text", "json", "bash", "python"}
    (line,) = (json.loads(code) for kind, code in BLOCKS if kind == "json")
    assert {"audio_path", "text", "duration", "speaker", "split"} == set(line)


@pytest.mark.slow
def test_the_tutorial_is_walked_in_one_folder(tmp_path: Path) -> None:
    for number, speaker in enumerate(("ann", "ben", "cat", "eve")):
        for name in ("monday", "tuesday"):
            path = tmp_path / "recordings" / speaker / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            speechlike(16_000 + 1_000 * number, seed=2 * number + (name == "monday")).write(path)
            path.with_suffix(".txt").write_text("good morning")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    printed = ""
    for kind, code in BLOCKS:
        if kind not in ("bash", "python"):
            continue
        code = code.replace(STEPS, QUICK, 1)
        if kind == "bash":
            code = re.sub(r"^vocable ", f"{sys.executable} -m vocable.cli.main ", code, flags=re.M)
        words = ["sh", "-e", "-c", code] if kind == "bash" else [sys.executable, "-c", code]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        printed += done.stdout
    assert "train: 4 recordings, 2 speakers" in printed
    assert len((tmp_path / "corpus" / "manifest.jsonl").read_text().splitlines()) == 8
    report = (tmp_path / "report" / "report.html").read_text()
    assert "guided-small" in report
    assert "mine" in report
    data = np.load(tmp_path / "tokens.npy")
    assert data.dtype == np.uint16
    assert (data == 8 * 1024).sum() == 8
    assert Audio.read(tmp_path / "first.wav").duration == pytest.approx(1.0, abs=0.001)
