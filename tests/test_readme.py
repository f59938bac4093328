"""The README's Python and shell blocks run as written, in order, in one folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vocable.testing import speechlike

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.M | re.S)
COMMANDS = [line for kind, code in BLOCKS if kind == "bash" for line in code.splitlines()]


def make_corpus(folder: Path) -> None:
    """Six clips of two speakers with a manifest: what a reader of the README has at hand."""
    folder.mkdir()
    lines = []
    for number in range(6):
        speechlike(16_000 + 1_600 * number, seed=number).write(folder / f"{number}.flac")
        split = "train" if number < 4 else "test"
        lines.append(
            {"audio_path": f"{number}.flac", "text": "good morning", "speaker": f"s{number % 2}", "split": split}
        )
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    assert {kind for kind, _ in BLOCKS} == {"python", "bash", "json"}
    assert len(README.splitlines()) <= 200
    for kind, code in BLOCKS:
        if kind == "json":
            assert {"audio_path", "text", "speaker", "split"} == set(json.loads(code))


def test_a_command_runs_or_says_what_it_needs() -> None:
    for line in COMMANDS:
        assert line.startswith(("vocable ", "make ")) or "# needs: " in line, line


@pytest.mark.slow
def test_blocks_run_in_order_in_one_folder(tmp_path: Path) -> None:
    speechlike(24_000).write(tmp_path / "hello.wav")
    (tmp_path / "recordings").mkdir()
    speechlike(9_000, seed=1).write(tmp_path / "recordings" / "other.flac")
    make_corpus(tmp_path / "corpus")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for kind, code in BLOCKS:
        lines = [code] if kind == "python" else []
        if kind == "bash":
            lines = [line for line in code.splitlines() if line.startswith("vocable") and "# needs: " not in line]
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
    assert {"demo", "test", "fast", "check"} <= set(named) <= targets


def test_api_page_has_the_public_names() -> None:
    import vocable

    headings = re.findall(r"^## `(\w+)`", (ROOT / "docs/api.md").read_text(), re.M)
    assert sorted(headings) == sorted(vocable.__all__)
