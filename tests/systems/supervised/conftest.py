"""A small random Whisper, made-up speech, and a tokenizer on both."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models import ready_supervised, save_whisper
from tests.phones import spoken
from vocable.systems.supervised.recipe import SupervisedRun, tiny
from vocable.systems.supervised.tokenizer import SupervisedTokenizer


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Its folder, which VOCABLE_WEIGHTS leads to."""
    folder = save_whisper(tmp_path_factory.mktemp("weights") / "whisper-random")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOCABLE_WEIGHTS", str(folder.parent))
        yield folder


@pytest.fixture(scope="module")
def tokenizer(whisper: Path) -> SupervisedTokenizer:
    return ready_supervised(whisper)


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up speech of three speakers: four clips with phones, one with neither phones nor text, one too long."""
    folder = tmp_path_factory.mktemp("whole")
    with (folder / "manifest.jsonl").open("w") as lines:
        for take, speaker in enumerate(("ann", "bob", "cat", "ann", "bob", "cat")):
            seconds = 20.5 if take == 5 else 1.0 + take / 2
            audio, segments = spoken(seconds, speaker, take)
            audio.write(folder / f"{take}.wav")
            words = [[str(segment[0])] for segment in segments if segment[0] != "SIL"]
            line = {"audio_path": f"{take}.wav", "split": "train"} | ({"phones": words} if take != 4 else {})
            lines.write(json.dumps(line) + "\n")
    return folder / "manifest.jsonl"


@pytest.fixture
def run(whisper: Path, tmp_path: Path) -> SupervisedRun:
    """The tiny recipe, taught."""
    return tiny().with_teachers({"encoder": str(whisper)}, str(tmp_path / "cache"))
