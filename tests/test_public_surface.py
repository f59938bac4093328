"""What ``import vocable`` gives, and what it does not cost."""

import re
import subprocess
import sys

import pytest

import vocable
from vocable import errors


def test_the_public_names_are_sorted_and_each_loads() -> None:
    assert vocable.__all__ == sorted(set(vocable.__all__))
    for name in vocable.__all__:
        assert getattr(vocable, name).__doc__
    assert set(vocable.__all__) <= set(dir(vocable))


def test_a_name_that_is_not_there_says_which_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Vocoder'; it has Audio, .*load"):
        vocable.Vocoder  # noqa: B018


@pytest.mark.parametrize("module", ["vocable", "vocable.errors", "vocable.cli.main"])
def test_importing_does_not_wait_for_torch(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'numpy', 'soundfile'}} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"


def test_the_error_tree_that_is_drawn_is_the_tree_there_is() -> None:
    def branches(error: type[Exception], depth: int = 0) -> list[tuple[int, str]]:
        inside = [child for child in vars(errors).values() if isinstance(child, type) and child.__base__ is error]
        return [(depth, error.__name__)] + [branch for child in inside for branch in branches(child, depth + 1)]

    art = str(errors.__doc__).split("```")[1]
    drawn = [
        (len(found[1]) // 4, found[2])
        for line in art.splitlines()
        if (found := re.match(r"([│├└─ ]*)(\w+Error)", line))
    ]
    assert drawn == branches(errors.VocableError)
    classes = {value for value in vars(errors).values() if isinstance(value, type)}
    assert len(classes) == len(drawn)
    assert all(value.__doc__ for value in classes)
