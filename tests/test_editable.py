"""An editable install is a path, which editors and type checkers follow, and no import hook."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD = "import sys, setuptools.build_meta as build; print(getattr(build, sys.argv[1])('out'))"


def build(folder: Path, kind: str) -> zipfile.ZipFile:
    (folder / "out").mkdir(exist_ok=True)
    ran = subprocess.run([sys.executable, "-c", BUILD, kind], cwd=folder, capture_output=True, text=True, check=True)
    return zipfile.ZipFile(folder / "out" / ran.stdout.split()[-1])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("vocable/__init__.py", "vocable/py.typed", "vocable_lab/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.slow
def test_an_editable_install_is_a_path(project: Path) -> None:
    with build(project, "build_editable") as wheel:
        paths = [name for name in wheel.namelist() if name.endswith(".pth")]
        assert [wheel.read(name).decode().split() for name in paths] == [[str(project)]]
        assert not [name for name in wheel.namelist() if "finder" in name]


@pytest.mark.slow
def test_a_wheel_holds_both_packages_and_their_types(project: Path) -> None:
    with build(project, "build_wheel") as wheel:
        assert {"vocable/__init__.py", "vocable/py.typed", "vocable_lab/__init__.py"} <= set(wheel.namelist())


@pytest.mark.slow
def test_results_are_typed_from_outside_the_repository(tmp_path: Path) -> None:
    """A type checker that knows nothing of the repository but a path, as that of an editor does."""
    (tmp_path / "user.py").write_text(
        "import vocable\n"
        "codec = vocable.load('guided-small')\n"
        "tokens = codec.encode('hello.wav')\n"
        "reveal_type(codec)\nreveal_type(tokens)\nreveal_type(tokens[0])\nreveal_type(tokens.numpy())\n"
        "reveal_type(codec.decode(tokens))\n"
        "reveal_type(vocable.generate(vocable.load('vqalattent-fsdd'), label=7))\n"
        "reveal_type(vocable.load('runs/mine'))\n"
        "reveal_type(vocable.synthesize(vocable.load('ctap-small'), 'hello', 'hello.wav'))\n"
    )
    words = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "user.py"]
    ran = subprocess.run(
        words, cwd=tmp_path, env=os.environ | {"MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    revealed = [
        line.split('"')[1] for line in ran.stdout.splitlines() if line.startswith("user.py") and "Reveal" in line
    ]
    audio, tokens = "vocable.audio.Audio", "vocable.tokens.Tokens"
    assert revealed[0] == "vocable.systems.guided.tokenizer.GuidedTokenizer"
    assert revealed[1:3] == [tokens, tokens]
    assert revealed[3].startswith("numpy.ndarray")
    assert revealed[4:6] == [audio, f"list[{audio}]"]
    assert revealed[6].startswith("vocable.systems.base.BaseTokenizer")
    assert revealed[7] == audio
