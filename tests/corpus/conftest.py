"""Recordings for the tests of corpora."""

from pathlib import Path

import pytest

from tests.corpus.corpora import make_clips


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    make_clips(tmp_path / "in")
    return tmp_path / "in"
