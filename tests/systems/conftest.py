"""Voiced tokenizers with random weights."""

from pathlib import Path
from typing import Any

import pytest

from tests.models import ready_ctap, ready_supervised, save_whisper
from vocable.systems.voiced import VoicedTokenizer


@pytest.fixture(params=["ctap", "supervised"])
def voiced(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VoicedTokenizer[Any]:
    if request.param == "ctap":
        return ready_ctap()
    monkeypatch.setenv("VOCABLE_WEIGHTS", str(tmp_path))
    return ready_supervised(save_whisper(tmp_path / "whisper-random"))
