"""The command line in this process, and what it leaves on disk."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.models import ready_ctap
from vocable.cli.main import main

Run = Callable[..., tuple[int, str, str]]

_HELP = """
import sys
from vocable.cli.main import main
sys.argv = ["vocable", *{words!r}, "--help"]
try:
    main()
finally:
    assert not {{"torch", "soundfile"}} & set(sys.modules)
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """``vocable`` with the words given: exit code, what it printed, what it complained of."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vocable", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        seen = capsys.readouterr()
        return code, seen.out, seen.err

    return call


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a VQ-CTAP that speaks and hears."""
    folder = tmp_path_factory.mktemp("model")
    ready_ctap().save(folder)
    return folder


def files(folder: Path) -> list[str]:
    """Every file in a folder, at any depth."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def quick_help(*words: str) -> str:
    """The help of a command, in a process of its own, where it must not wait for torch or soundfile."""
    code = _HELP.format(words=words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
