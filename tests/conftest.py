"""Shared fixtures: where the real material lies, and one thread a process."""

import os
from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(1)  # two threads on busy cores cost up to 15 times as much


def _shared(part: str) -> Path:
    folder = SHARED / part
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"CI is set but the real material is missing: {part}")
        pytest.skip(f"the real material ({part}) is not on this machine")
    return folder


@pytest.fixture(scope="session")
def speech_data() -> Path:
    """The folder of real recordings, each set with a manifest.jsonl."""
    return _shared("data")


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of teachers and evaluators that run offline."""
    return _shared("weights")
