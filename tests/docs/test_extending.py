"""Every walk of docs/extending.md works as written: its files, its edits, its commands."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.test_readme import make_corpus
from vocable.testing import speechlike

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/extending.md").read_text()
WALKS = {walk.splitlines()[0]: walk for walk in PAGE.split("\n## ")[1:]}
RESULTS = {
    "A metric": "crest error",
    "A system": "toy parameters",
    "A corpus": "train: 1 recordings, 1 speakers",
    "A command": "0.",
    "A loss": "",
}


def blocks(walk: str) -> list[tuple[str, str]]:
    return re.findall(r"^```(\w+)\n(.*?)^```", walk, re.M | re.S)


def apply_diff(site: Path, text: str) -> None:
    """Replace the lines without + by those without -, at the one place where they stand."""
    first, *lines = text.splitlines(keepends=True)
    path = site / first.removeprefix("--- ").strip()
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    code = path.read_text()
    assert code.count(old) == 1, f"{path}: {old}"
    path.write_text(code.replace(old, new))


def copy_package(site: Path) -> None:
    """The package without its models, to be edited; the models are linked."""
    ignored = shutil.ignore_patterns("models", "__pycache__")
    for package in ("vocable", "vocable_lab"):
        shutil.copytree(ROOT / package, site / package, ignore=ignored)
    (site / "vocable/models").symlink_to(ROOT / "vocable/models")


def register(site: Path, text: str) -> None:
    """The entry points of a pyproject.toml, as a package manager writes them."""
    groups = tomllib.loads(text)["project"]["entry-points"]
    info = site / "toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    lines = [f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in named.items())
             for group, named in groups.items()]  # fmt: skip
    (info / "entry_points.txt").write_text("".join(lines))


def test_each_kind_of_extension_has_its_walk() -> None:
    assert list(WALKS) == list(RESULTS)
    assert {kind for walk in WALKS.values() for kind, _ in blocks(walk)} == {"python", "diff", "toml", "bash"}


def test_the_system_of_the_page_is_the_one_that_the_tests_hold_to_the_laws() -> None:
    (code,) = (code for kind, code in blocks(WALKS["A system"]) if code.startswith("# toy_system.py"))
    assert code == f"# toy_system.py\n{(ROOT / 'tests/systems/toy.py').read_text()}"


@pytest.mark.slow
@pytest.mark.parametrize("name", WALKS)
def test_walk(name: str, tmp_path: Path) -> None:
    site, here = tmp_path / "site", tmp_path / "here"
    copy_package(site)
    here.mkdir()
    speechlike(16_000).write(here / "hello.wav")
    make_corpus(here / "corpus")
    for speaker in ("ann", "bob"):
        (here / "recordings" / speaker).mkdir(parents=True)
        speechlike(8_000).write(here / f"recordings/{speaker}/one.wav")
        (here / f"recordings/{speaker}/one.txt").write_text("one")
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    printed = ""
    for kind, code in blocks(WALKS[name]):
        if kind == "python":
            path = code.splitlines()[0].removeprefix("# ")
            (here if path == "make_toy.py" else site).joinpath(path).write_text(code)
        elif kind == "diff":
            apply_diff(site, code)
        elif kind == "toml":
            register(site, code)
        else:
            for line in code.splitlines():
                words = line.replace("vocable ", "-m vocable.cli.main ", 1).removeprefix("python ").split()
                ran = subprocess.run(
                    [sys.executable, *words], cwd=here, env=environment, capture_output=True, text=True, check=False
                )
                assert ran.returncode == 0, f"{line}\n{ran.stdout}\n{ran.stderr}"
                printed += ran.stdout
    assert RESULTS[name] in printed
    if name == "A loss":
        rows = [json.loads(line) for line in (here / "peak-run/log.jsonl").read_text().splitlines()]
        assert rows[-1]["generator/peak"] > 0
        assert rows[-1]["generator/peak/weight"] == 0.1
