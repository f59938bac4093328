"""docs/sequences.md and docs/clusters.md work as written: commands, Python, and the Slurm script task by task."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.corpus.corpora import contents, make_clips
from tests.needed import needed
from vocable.cli.main import app

ROOT = Path(__file__).parents[2]
_FENCED = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
BLOCKS = _FENCED.findall((ROOT / "docs/sequences.md").read_text())
SCRIPT, RAY = (code for _, code in _FENCED.findall((ROOT / "docs/clusters.md").read_text()))


def test_its_blocks_are_of_kinds_that_are_checked() -> None:
    assert {kind for kind, _ in BLOCKS} == {"bash", "python", "text"}
    assert RAY.startswith("vocable tokenize ")
    assert "--engine ray" in RAY


def test_the_shares_of_the_script_are_those_of_its_array() -> None:
    first, last = map(int, re.search(r"--array=(\d+)-(\d+)", SCRIPT).groups())  # type: ignore[union-attr]
    shares = int(re.search(r"^shares=(\d+)", SCRIPT, re.M)[1])  # type: ignore[index]
    assert (first, last) == (1, shares)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the libraries of the formats
def test_the_page_is_walked_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("pyarrow", "datasets", "webdataset", "lhotse"):
        needed(package)
    make_clips(tmp_path / "corpus", [16_000 + 4_000 * number for number in range(4)])
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for kind, code in BLOCKS:
        if kind == "python":
            exec(code, scope)
        lines = code.splitlines() if kind == "bash" else []
        for words in (shlex.split(line) for line in lines if "# needs: " not in line):
            assert words[0] == "vocable"
            done = CliRunner().invoke(app, words[1:], catch_exceptions=False)
            assert done.exit_code == 0, f"{words}\n{done.output}"
    assert (tmp_path / "statistics/statistics.html").is_file()
    assert scope["batch"]["input_ids"].shape == (2, 64)  # type: ignore[index]


@pytest.mark.slow
def test_the_tasks_of_the_array_make_the_corpus_of_one_process(tmp_path: Path) -> None:
    make_clips(tmp_path / "corpus", [2_000] * 5)
    script = SCRIPT.replace("shares=8", "shares=2").replace("--max-memory 8", "--shard-hours 0.001")
    command = f"{shlex.quote(sys.executable)} -m vocable.cli.main tokenize"
    script = script.replace("vocable tokenize", command)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SLURM_CPUS_PER_TASK": "1"}
    for task in (2, 1):
        variables = environment | {"SLURM_ARRAY_TASK_ID": str(task)}
        subprocess.run(["bash", "-ec", script], cwd=tmp_path, env=variables, check=True, capture_output=True)
    (tmp_path / "tokens").rename(tmp_path / "shared")
    alone = script.replace(' --shard "$SLURM_ARRAY_TASK_ID/$shares"', "")
    subprocess.run(["bash", "-ec", alone], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert len(list((tmp_path / "tokens").glob("*.shard"))) > 1
    assert contents(tmp_path / "shared") == contents(tmp_path / "tokens")
