"""The README's Python and shell blocks run as written, in order, in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vocable.testing import speechlike

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"^```(python|bash)\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    speechlike(24_000).write(folder / "hello.wav")
    (folder / "recordings").mkdir()
    speechlike(9_000, seed=1).write(folder / "recordings" / "other.flac")
    return folder


def test_there_are_blocks_of_both_kinds() -> None:
    assert {kind for kind, _ in BLOCKS} == {"python", "bash"}


@pytest.mark.parametrize("code", [code for kind, code in BLOCKS if kind == "python"])
def test_python_blocks_run(code: str, desk: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=desk, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    promised = " ".join(re.findall(r"#\s*(\d[\d. ]+)$", code, re.M))
    assert done.stdout.split() == promised.split()


@pytest.mark.parametrize(
    "line",
    [line for kind, code in BLOCKS if kind == "bash" for line in code.splitlines() if line.startswith("vocable")],
)
def test_shell_lines_run(line: str, desk: Path) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(line, shell=True, cwd=desk, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_make_targets_named_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = re.findall(r"\bmake ([a-z]+)", (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text())
    assert set(named) <= targets


def test_api_page_has_the_public_names() -> None:
    import vocable

    headings = re.findall(r"^## `(\w+)`", (ROOT / "docs/api.md").read_text(), re.M)
    assert sorted(headings) == sorted(vocable.__all__)
