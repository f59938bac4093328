"""What a TASTE is trained with, in folders."""

import json
from pathlib import Path

import pytest

from tests.lab.taste import TEXTS, write_corpus, write_weights
from tests.models import ready
from vocable.features.hub import WEIGHTS
from vocable.features.whisper import load_encoder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Whisper and a codec of random weights, and made-up speech of both splits."""
    monkeypatch.setenv(WEIGHTS, str(write_weights(tmp_path / "weights")))
    load_encoder.cache_clear()
    ready("spectral").save(tmp_path / "codec")
    (tmp_path / "corpus").mkdir()
    manifest = write_corpus(tmp_path / "corpus", (*TEXTS, *TEXTS))
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    lines = [{**line, "split": "dev" if number % 3 == 2 else "train"} for number, line in enumerate(lines)]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path
