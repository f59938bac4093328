"""What tests need and a stranger's machine may lack."""

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Skip the test on a stranger's machine; fail it in CI, where nothing may be lacking."""
    if os.environ.get("CI"):
        pytest.fail(f"CI is set but {what} is missing")
    pytest.skip(f"{what} is not on this machine")
