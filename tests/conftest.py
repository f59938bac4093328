"""Shared fixtures: where the real material lies, a browser, values of any type, and one thread a process."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch

from tests.needed import lacking

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_configure(config: pytest.Config) -> None:
    # a shell starts background jobs with SIGINT ignored, nohup with SIGHUP; tests and what they start would inherit it
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    torch.set_num_threads(1)  # two threads on busy cores cost up to 15 times as much


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Compute on one thread again, whatever number the packages that a test before used have set."""
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what a session's expensive fixtures make slow: a browser, and models that are trained first."""
    for item in items:
        if {"browser", "whole", "trained"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


def _shared(part: str) -> Path:
    folder = SHARED / part
    if not folder.is_dir():
        lacking(f"the real material ({part})")
    return folder


@pytest.fixture(scope="session")
def speech_data() -> Path:
    """The folder of real recordings, each set with a manifest.jsonl."""
    return _shared("data")


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of teachers and evaluators that run offline."""
    return _shared("weights")


@pytest.fixture
def untyped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a value of the wrong type come as far as it does for a user."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium, without a window."""
    chromium = shutil.which("chromium")
    if chromium is None:
        lacking("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        launched = driver.chromium.launch(executable_path=chromium, args=arguments)
        yield launched
        launched.close()
