"""Sounds of two systems beside their recordings, and a test of them."""

from pathlib import Path

import pytest

from tests.lab.listening.listening import build_test, record_all
from vocable_lab.listening.build import ListeningTest


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return record_all(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def mushra(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> ListeningTest:
    return build_test(folders, tmp_path_factory.mktemp("mushra") / "test.html")
