"""Systems by name: ours, and somebody else's that an entry point names; and the class that a name loads."""

import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from vocable.errors import ConfigError
from vocable.systems import registry

ROOT = Path(__file__).parents[2]
USE = """
import sys
from pathlib import Path
import vocable
from vocable.cli.main import main
from vocable.systems.registry import system_of
from toy_system import ToyConfig, ToyModel, ToyTokenizer

ToyTokenizer(ToyModel(ToyConfig())).save("model")
tokenizer = vocable.load("model")
assert isinstance(tokenizer, ToyTokenizer)
assert system_of("model").title == "Toy"
vocable.check_tokenizer(tokenizer)
vocable.testing.speechlike(4_000).write("a.wav")
for words in (["inspect", "model"], ["encode", "a.wav", "-o", "a.tokens", "--model", "model"],
              ["decode", "a.tokens", "-o", "b.wav", "--model", "model"], ["asr", "a.wav", "--model", "model"]):
    sys.argv = ["vocable", *words]
    try:
        main()
    except SystemExit as ended:
        print(words[0], ended.code, flush=True)
assert vocable.Audio.read("b.wav").samples.size == 2_000
"""


def install(folder: Path, module: str, entry_points: str) -> None:
    """A distribution as a package manager lays it out: one module, and one line that registers its system."""
    folder.mkdir(exist_ok=True)
    (folder / "toy_system.py").write_text(module)
    info = folder / "toy_system-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-system\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(folder / "site"), str(ROOT)])
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_somebody_elses_system_is_registered_by_one_line(tmp_path: Path) -> None:
    toy = (ROOT / "tests/systems/toy.py").read_text()
    install(tmp_path / "site", toy, "[vocable.systems]\ntoy = toy_system:SYSTEM\n")
    ran = python(tmp_path, "-c", USE)
    ended = [line for line in ran.stdout.splitlines() if line[-2:] in (" 0", " 1")]
    assert ended == ["inspect 0", "encode 0", "decode 0", "asr 1"], ran.stderr
    assert ran.returncode == 0, ran.stderr
    assert "toy parameters" in ran.stdout
    assert ran.stderr == "vocable: a ToyTokenizer recognizes no phonemes; take ctap-small or supervised-small\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("import no_such_package", "No module named 'no_such_package'"),
        ("raise SystemError('broken\\nin two')", "SystemError: broken in two"),
        ("x = 1", "has no attribute 'SYSTEM'"),
        ("SYSTEM = 3", "is no System with a new name"),
    ],
)
def test_a_package_that_cannot_be_imported_is_named_in_one_line(tmp_path: Path, module: str, message: str) -> None:
    install(tmp_path / "site", module, "[vocable.systems]\ntoy = toy_system:SYSTEM\n")
    ran = python(tmp_path, "-m", "vocable.cli.main", "inspect", "guided-small")
    assert ran.returncode == 1
    assert ran.stderr.startswith("vocable: entry point 'toy' (toy_system:SYSTEM) of package 'toy-system' ")
    assert message in ran.stderr
    assert (ran.stderr.count("\n"), ran.stderr.endswith("correct or uninstall the package\n")) == (1, True)


def test_a_broken_command_takes_no_other_command_away(tmp_path: Path) -> None:
    install(tmp_path / "site", "import no_such_package", "[vocable.commands]\ntoy = toy_system:toy\n")
    ran = python(tmp_path, "-m", "vocable.cli.main", "encode", "--help")
    assert ran.returncode == 0
    assert "--levels" in ran.stdout
    assert ran.stderr.startswith("vocable: entry point 'toy' (toy_system:toy) of package 'toy-system' cannot be loaded")
    assert ran.stderr.count("\n") == 1


def test_a_system_cannot_take_the_name_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = EntryPoint(name="mine", value="vocable.systems.registry:GUIDED", group="vocable.systems")
    monkeypatch.setattr(registry, "entry_points", lambda group: [taken] if group == "vocable.systems" else [])
    registry.systems.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"entry point 'mine' .* is no System with a new name; correct or uninst"):
            registry.systems()
    finally:
        monkeypatch.undo()
        registry.systems.cache_clear()


def test_a_type_checker_knows_the_class_of_every_bundled_model(tmp_path: Path) -> None:
    classes = {name: registry.system_of(name).tokenizer for name in registry.released()}
    lines = [
        "from typing import Any, assert_type",
        "import vocable",
        "from vocable.systems.base import BaseTokenizer",
        *(f"from {kind.__module__} import {kind.__name__}" for kind in classes.values()),
        *(f"assert_type(vocable.load('{name}'), {kind.__name__})" for name, kind in classes.items()),
        "assert_type(vocable.load('a/folder'), BaseTokenizer[Any])",
        "vocable.load('guided-small').no_such_method()",
    ]
    (tmp_path / "typed.py").write_text("\n".join(lines))
    words = ("-m", "mypy", "--config-file", "pyproject.toml", "--follow-imports", "silent", str(tmp_path / "typed.py"))
    ran = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    errors = [line for line in ran.stdout.splitlines() if "error:" in line]
    assert len(errors) == 1, ran.stdout
    assert '"GuidedTokenizer" has no attribute "no_such_method"' in errors[0]
