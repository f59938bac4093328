"""The page of public names says what the functions take, and its calls run."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vocable

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")
SIGNATURES = dict(re.findall(r"^`(\w+)\(([^`]*)\)`:", PAGE, re.M))


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_a_function_takes_what_the_page_says(name: str) -> None:
    parameters = inspect.signature(getattr(vocable, name)).parameters
    found = []
    for part in re.findall(r"[^,(]+(?:\([^)]*\))?", SIGNATURES[name]):
        parameter, _, default = (piece.strip() for piece in part.partition("="))
        found.append(parameter.lstrip("*"))
        if default and default != "None":
            assert repr(parameters[found[-1]].default).strip("'\"") == default.strip("'\""), part
    assert found == [one for one in parameters if not one.startswith("_")]


@pytest.mark.slow
def test_the_call_of_generate_runs() -> None:
    (call,) = re.findall(r"`(generate\(load\([^`]*\))`", PAGE)
    code = f"from vocable import generate, load; (clip,) = {call}; assert abs(clip.samples).max() > 0.01"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
