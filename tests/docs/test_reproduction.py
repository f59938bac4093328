"""The table of the four documents: every item has a row, every command parses, and every result is a file."""

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
ITEMS = {  # that the documents number, or print as a table or a figure
    "VQ-CTAP": ("first experiment 1-3", "next check 1-3", "open question 1-3", "compression", "speech from text",
                "conversion", "ASR", "mechanism 2-3", "failure signatures"),
    "VQalAttent": ("first experiment 1-3", "next check 1-3", "open question 1-4", "table I:", "table II:",
                   "tables I and II, compression 4", "failure signatures"),
    "TASTE": ("figure 1-2", "table 1-3", "memory of training", "section 4.2", "section 4.3", "section 4.5",
              "future work", "number of units"),
    "Guided": ("first experiment 1-3", "next check 1-3", "coding", "conversion", "emotion", "recognition",
               "failure signature", "open questions"),
}  # fmt: skip
_RANGE = re.compile(r"^(.*) (\d)-(\d)$")
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


@pytest.mark.parametrize("document", ITEMS)
def test_every_item_of_a_document_has_a_row(document: str) -> None:
    items = [cells[0] for heading, cells in ROWS if heading.startswith(document)]
    for name in ITEMS[document]:
        match = _RANGE.match(name)
        numbered = [f"{match[1]} {number}" for number in range(int(match[2]), int(match[3]) + 1)] if match else [name]
        for one in numbered:
            assert any(item.startswith(one) for item in items), f"{document}: {one}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_parses_and_names_what_exists(command: str) -> None:
    program, *words = shlex.split(command)
    assert program == "vocable"
    found = parse(words)
    if words[0] == "study":
        assert find_subject(str(found["name"]), find_recipe(str(found["recipe"])))
    if words[0] in ("train", "inspect") and words[1] != "manifest.jsonl":
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
