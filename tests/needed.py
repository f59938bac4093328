"""What tests need and a stranger's machine may lack."""

import importlib
import os
from types import ModuleType
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Skip the test on a stranger's machine; fail it in CI, where nothing may be lacking."""
    if os.environ.get("CI"):
        pytest.fail(f"CI is set but {what} is missing")
    pytest.skip(f"{what} is not on this machine")


def needed(package: str) -> ModuleType:
    """A package that a test needs, by the rule of :func:`lacking`."""
    try:
        return importlib.import_module(package)
    except ImportError:
        lacking(package)
