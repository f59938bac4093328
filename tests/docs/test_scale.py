"""Every command of docs/scale.md is one that this version takes, with its options, recipes and settings."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from vocable.cli.main import app
from vocable.systems.registry import find_recipe
from vocable.train.settings import parse_assignments

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
LINES = [line for _, code in re.findall(r"^```(bash)\n(.*?)^```", PAGE, re.M | re.S) for line in code.splitlines()]


def parse(words: list[str]) -> dict[str, Any]:
    """Return the values that a command line gives, without running it; a UsageError says what is wrong."""
    command: Any = get_command(app)
    context = command.make_context("vocable", list(words))
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    return dict(context.params)


def test_every_paper_has_its_commands_to_the_table() -> None:
    for paper in ("guided", "vqalattent", "ctap", "taste"):
        assert any(line.startswith(f"vocable train {paper}-") for line in LINES)
        assert any(line.startswith(f"vocable evaluate {paper}") and "--protocol" in line for line in LINES)


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_page_is_taken(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "python":
        assert (ROOT / words[1]).is_file()
        assert set(re.findall(r"--[a-z-]+", line)) <= set(re.findall(r"--[a-z-]+", _options(ROOT / words[1])))
        return
    words = words[words.index("vocable.cli.main") + 1 :] if words[0] == "torchrun" else words[1:]
    values = parse(words)
    if values.get("recipe"):
        find_recipe(values["recipe"])


@pytest.mark.parametrize("setting", sorted(set(re.findall(r"`--set (\S+?)`", PAGE))))
def test_a_setting_of_the_page_exists(setting: str) -> None:
    assert parse_assignments(find_recipe("guided-paper"), [setting])


def _options(script: Path) -> str:
    text = script.read_text(encoding="utf-8")
    names = re.findall(r"^    (\w+): Annotated", text, re.M)
    return text + " ".join(f"--{name.replace('_', '-')}" for name in names)
