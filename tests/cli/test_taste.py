"""Words edited and texts scored at the command line."""

import re
from pathlib import Path

import pytest
import soundfile

from tests.cli.conftest import Run, quick_help
from tests.lab.taste import TEXTS, little, write_corpus, write_weights
from vocable.audio import Audio
from vocable.features.hub import WEIGHTS
from vocable.features.whisper import load_encoder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TASTE of random weights in ``model``, and recordings: the first and the last say the same."""
    monkeypatch.setenv(WEIGHTS, str(write_weights(tmp_path / "weights")))
    load_encoder.cache_clear()
    little(tmp_path / "codec").save(tmp_path / "model")
    write_corpus(tmp_path)
    return tmp_path


def test_an_edit_tells_each_word_before_and_after_and_marks_the_file(run: Run, place: Path) -> None:
    edit = ("edit", place / "0.flac", place / "5.flac", "--model", place / "model", "-o", place / "out.wav")
    code, out, _ = run(*edit, "--words", "2:3", "--text", TEXTS[0])
    head, *lines = out.splitlines()
    assert code == 0
    assert f"{Audio.read(place / 'out.wav').duration:.2f} s, was" in head
    assert [line.split()[1] for line in lines] == TEXTS[0].split()
    assert [line.endswith("←") for line in lines] == [False, True, True, False]
    for line in lines:
        before, after = map(float, re.findall(r"([0-9.]+) s", line))
        assert line.endswith("←") or before == after
    with soundfile.SoundFile(place / "out.wav") as file:
        assert "Words 2 to 3" in file.comment
    code, _, complaint = run(*edit, "--words", "two", "--text", TEXTS[0])
    assert (code, complaint) == (1, "vocable: --words is 'two'; write first:last, such as 3:5\n")


def test_texts_are_scored_the_likeliest_first(run: Run, place: Path) -> None:
    words = ("score", place / "0.flac", "--model", place / "model")
    code, out, _ = run(*words, "--text", TEXTS[0], "--text", TEXTS[1])
    nats = [float(line.split()[0]) for line in out.splitlines()]
    assert code == 0
    assert {line.partition("): ")[2] for line in out.splitlines()} == set(TEXTS[:2])
    assert 0 > nats[0] >= nats[1]
    code, _, complaint = run(*words, "--text", "...")
    assert code == 1
    assert "no letters" in complaint
    assert "likelihood" in quick_help("score")
