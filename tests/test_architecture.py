"""The house rules a linter does not know."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for package in ("vocable", "vocable_lab") for path in (ROOT / package).rglob("*.py"))
SYSTEMS = sorted(path.parent for path in (ROOT / "vocable/systems").glob("*/recipe.py"))
RELATIVE = re.compile(r"(What|How|Of|Whether|Who|Whose|Which|Where|When|Why|Its|Theirs|Likewise)\b")
PAGES = [path for path in ROOT.rglob("*.md") if ".venv" not in path.parts]


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short_and_have_one_subject(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400
    assert len(file.relative_to(ROOT).parts) <= 4
    assert file.stem not in {"utils", "helpers", "common", "misc"}


@pytest.mark.parametrize("folder", SYSTEMS, ids=lambda path: path.name)
def test_a_system_is_a_folder_of_at_most_eight_files(folder: Path) -> None:
    assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 8
    assert (folder / "README.md").is_file()


def test_docstrings_open_with_a_verb_or_a_noun_phrase() -> None:
    opened = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                if RELATIVE.match(text):
                    opened.append(f"{path.relative_to(ROOT)}: {text.splitlines()[0]}")
    assert opened == []


def test_a_public_class_name_has_one_meaning() -> None:
    homes: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_nothing_read_from_disk_can_run_code() -> None:
    imports = r"^\s*(import|from) (pickle|joblib|dill)\b"
    calls = r"torch\.load\((?![^()]*\bweights_only=True\b)|allow_pickle\s*=\s*True|\bexec\("
    forbidden = re.compile(rf"{imports}|{calls}|(?<!\.)\beval\(", re.M)
    assert [str(path) for path in FILES if forbidden.search(path.read_text())] == []
    pickled = [str(path.relative_to(ROOT)) for path in FILES if "torch.load(" in path.read_text()]
    assert pickled == ["vocable/features/hub.py"]


def test_audio_is_read_written_and_resampled_in_one_place() -> None:
    libraries = re.compile(r"^\s*(import|from) (soundfile|soxr)\b", re.M)
    assert [str(path.relative_to(ROOT)) for path in FILES if libraries.search(path.read_text())] == [
        "vocable/audio.py", "vocable/audio_files/reader.py", "vocable/audio_files/writer.py"
    ]  # fmt: skip


def test_no_word_is_left_for_later() -> None:
    later = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b|NotImplemented" r"Error")
    assert [str(path) for path in FILES if later.search(path.read_text())] == []


def test_links_between_documents_lead_somewhere() -> None:
    assert {ROOT / "README.md", ROOT / "docs/glossary.md"} <= set(PAGES)
    dead = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            if not (page.parent / target).exists():
                dead.append(f"{page.relative_to(ROOT)}: {target}")
    assert dead == []
