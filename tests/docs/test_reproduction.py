"""The table of the four documents: every command parses, names what exists, and every result is a file."""

import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer

from vocable.cli.main import app
from vocable.systems.registry import find_recipe, recipes, released
from vocable_lab.study import find_subject

PAGE = Path(__file__).parents[2] / "docs" / "reproduction.md"
DOCUMENTS = {"VQ-CTAP": 0, "VQalAttent": 1, "TASTE": 2, "Guided": 3}
_ROW = re.compile(r"^\| (.+) \|$")
_LINK = re.compile(r"\]\(([^)]+)\)")


def rows() -> list[tuple[str, list[str]]]:
    """Rows under each heading, without the lines of titles and rules."""
    found, heading = [], ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif (match := _ROW.match(line)) and "|---" not in line and not line.startswith("| item "):
            found.append((heading, match[1].split(" | ")))
    return found


ROWS = rows()
PROGRAM = typer.main.get_command(app)
COMMANDS = sorted({re.fullmatch(r"`(.+)`", cells[1])[1] for _, cells in ROWS})  # type: ignore[index]


def parse(words: list[str]) -> dict[str, object]:
    """Parse a command's arguments as the command line does, without running it; return its parameters."""
    command, context = PROGRAM, None
    while True:
        context = command.make_context(words[0] if context else "vocable", words[1:] if context else words, context)
        if not hasattr(command, "get_command"):
            return {"command": context.command_path, **context.params}
        words = [*getattr(context, "_protected_args", []), *context.args]
        command = command.get_command(context, words[0])


def test_every_document_has_its_rows_with_five_cells() -> None:
    for name in DOCUMENTS:
        assert sum(heading.startswith(name) for heading, _ in ROWS) >= 10, name
    assert all(len(cells) == 5 for _, cells in ROWS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_parses_and_names_what_exists(command: str) -> None:
    program, *words = shlex.split(command)
    assert program == "vocable"
    found = parse(words)
    if words[0] == "study":
        assert find_subject(str(found["name"]), find_recipe(str(found["recipe"])))
    if words[0] in ("train", "inspect"):
        assert str(found.get("recipe") or found.get("what")) in {*recipes(), *released()}
    if found.get("protocol"):
        names = {point.name.rpartition(".")[2] for point in entry_points(group="vocable.protocols")}
        assert found["protocol"] in names


def test_every_result_is_a_file_or_says_that_nothing_was_measured() -> None:
    for heading, (item, _, result, _, difference) in ROWS:
        links = _LINK.findall(result)
        assert links or ("not measured" in result and len(difference) > 20), f"{heading}: {item}"
        for link in links:
            assert (PAGE.parent / link).is_file(), f"{heading}: {item}: {link}"
