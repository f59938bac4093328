"""The README's Python and shell blocks run as written, in order, in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

from vocable.testing import speechlike

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"^```(python|bash)\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


def test_there_are_blocks_of_both_kinds() -> None:
    assert {kind for kind, _ in BLOCKS} == {"python", "bash"}


def test_blocks_run_in_order_in_one_folder(tmp_path: Path) -> None:
    speechlike(24_000).write(tmp_path / "hello.wav")
    (tmp_path / "recordings").mkdir()
    speechlike(9_000, seed=1).write(tmp_path / "recordings" / "other.flac")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for kind, code in BLOCKS:
        lines = [code] if kind == "python" else [line for line in code.splitlines() if line.startswith("vocable")]
        for line in lines:
            words = [sys.executable, "-c", line] if kind == "python" else ["sh", "-c", line]
            done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            if kind == "python":
                promised = " ".join(re.findall(r"#\s*(\d[\d. ]+)$", code, re.M))
                assert done.stdout.split() == promised.split()


def test_make_targets_named_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = re.findall(r"\bmake ([a-z]+)", (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text())
    assert {"demo", "test", "check"} <= set(named) <= targets


def test_api_page_has_the_public_names() -> None:
    import vocable

    headings = re.findall(r"^## `(\w+)`", (ROOT / "docs/api.md").read_text(), re.M)
    assert sorted(headings) == sorted(vocable.__all__)
