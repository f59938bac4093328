"""Mutated files, a part of those that benchmarks/fuzz.py makes: each is read, or is an error of vocable."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import vocable
from tests.fuzz.harness import fuzz
from tests.fuzz.readers import ELSEWHERE, READERS
from vocable.errors import ConfigError
from vocable.systems.guided.recipe import tiny
from vocable.train.settings import read_settings

COUNT = 12
OPENERS = {
    "open", "read_text", "read_bytes", "read_file", "read_utf8", "read_json", "read_object", "read_tensors",
    "read_safetensors", "open_tensors", "open_regular", "check_regular", "parse_object", "safe_open", "load_file",
    "SoundFile", "_Forward", "InferenceSession", "Interpreter", "from_file", "read_blocks", "read_model",
    "literal_eval", "from_pretrained", "file_digest", "fromfile", "memmap", "genfromtxt", "loadtxt", "ZipFile",
    "parse_string",
}  # fmt: skip
OF_MODULES = {"torch": {"load"}, "np": {"load"}, "json": {"load", "loads"}, "soundfile": {"info", "read"},
              "csv": {"reader", "DictReader"}, "pickle": {"load", "loads"}, "tomllib": {"load", "loads"}}  # fmt: skip


SLOW = {"inspected tokens", "drawn run", "listening test", "hub"}  # import other packages


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in READERS]
)
def test_a_mutated_file_is_read_or_refused(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    count = max(1, int(COUNT * reader.share))
    outcome = fuzz(name, reader, tmp_path / "files", count)
    assert not outcome.failures
    assert outcome.results + outcome.errors == count


def test_every_function_that_opens_a_file_is_mutated_or_has_a_reason_not_to_be() -> None:
    found = set(_functions_that_open())
    covered = {place for reader in READERS.values() for place in reader.covers}
    assert sorted(found - covered - ELSEWHERE.keys()) == []
    assert sorted((covered | ELSEWHERE.keys()) - found) == []
    assert sorted(covered & ELSEWHERE.keys()) == []


def _functions_that_open() -> Iterator[str]:
    """Yield each function with a call that opens or parses a file, as ``module:function``."""
    package = Path(vocable.__file__).parent
    for root, prefix in ((package, ""), (package.parent / "vocable_lab", "vocable_lab.")):
        for path in sorted(root.rglob("*.py")):
            module = prefix + ".".join(path.relative_to(root).with_suffix("").parts)
            yield from (f"{module}:{name}" for name in _callers(ast.parse(path.read_text(encoding="utf-8")), []))


def _callers(node: ast.AST, scope: list[str]) -> Iterator[str]:
    """Yield the name of each function with such a call; a function inside a function counts as the outer one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and _opens(child.func):
            yield ".".join(scope)
        is_named = isinstance(child, ast.ClassDef) or (
            isinstance(child, ast.FunctionDef) and not isinstance(node, ast.FunctionDef)
        )
        yield from _callers(child, [*scope, child.name] if is_named else scope)


def _opens(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        module = getattr(function.value, "id", "")
        return function.attr in OPENERS or function.attr in OF_MODULES.get(module, ())
    return getattr(function, "id", "") in OPENERS


def test_a_few_lines_of_yaml_that_stand_for_terabytes_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{level}: &a{level} [*a{level - 1}, *a{level - 1}]" for level in range(1, 60))]
    (tmp_path / "s.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"s\.yaml: is no TOML or YAML of settings \(references"):
        read_settings(tiny(), tmp_path / "s.yaml")
