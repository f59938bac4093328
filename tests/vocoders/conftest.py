"""A vocoder in a folder."""

from pathlib import Path

import pytest

from tests.vocoders.istft import network
from vocable.vocoders import IstftVocoder


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    IstftVocoder(network()).save(tmp_path / "vocoder")
    return tmp_path / "vocoder"
