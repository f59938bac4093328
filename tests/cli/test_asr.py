"""``vocable asr`` as a user types it: a line for each recording, as Python hears it, and one-line errors."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run, quick_help
from tests.models import ready, ready_ctap
from vocable import load, transcribe
from vocable.apps.asr import Transcript
from vocable.audio import Audio
from vocable.errors import SpecError
from vocable.systems import voiced
from vocable.testing import speechlike
from vocable.text.ngram import train_ngram
from vocable.text.word_model import WordModel


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with two recordings in ``talk``."""
    (tmp_path / "talk/deep").mkdir(parents=True)
    speechlike(3_000, 8_000, seed=5).write(tmp_path / "talk/a.wav")
    speechlike(7_000, 16_000, seed=6).write(tmp_path / "talk/deep/b.flac")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def lexicon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few words in place of the bundled ones, which the type checks of tests make slow."""
    spellings = {"they": ["DH EY"], "a": ["EY"], "the": ["DH AH"], "air": ["EH R"], "be": ["B IY"], "so": ["S OW"]}
    words = WordModel(spellings, train_ngram(["they air a", "the air", "so be the air"]))
    monkeypatch.setattr(voiced, "bundled_search", lambda symbols: words.search(symbols))


def heard(path: str, model: Path) -> Transcript:
    return transcribe(load(model), Audio.read(path))


def test_a_line_each_with_words_and_phonemes(run: Run, here: Path, model: Path) -> None:
    code, out, err = run("asr", "talk", "--model", model)
    assert (code, err) == (0, "")
    for line, path in zip(out.splitlines(), ("talk/a.wav", "talk/deep/b.flac"), strict=True):
        wanted = heard(path, model)
        assert wanted.words
        assert line.split("\t") == [path, " ".join(wanted.words), " ".join(wanted.phonemes)]


def test_json_lines_with_times(run: Run, here: Path, model: Path) -> None:
    code, out, _ = run("asr", "talk/a.wav", "talk/deep/b.flac", "--json", "--model", model)
    assert code == 0
    for line, path in zip(out.splitlines(), ("talk/a.wav", "talk/deep/b.flac"), strict=True):
        row, wanted = json.loads(line), heard(path, model)
        assert (row["audio_path"], tuple(row["words"])) == (path, wanted.words)
        assert [name for name, _, _ in row["phonemes"]] == wanted.phonemes
        for (_, start, end), one in zip(row["phonemes"], wanted.segments, strict=True):
            assert (start, end) == (pytest.approx(one.start, abs=1e-4), pytest.approx(one.end, abs=1e-4))


def test_words_alone(run: Run, here: Path, model: Path) -> None:
    code, out, _ = run("asr", "talk/a.wav", "--words", "--model", model)
    wanted = heard("talk/a.wav", model)
    assert (code, out) == (0, f"talk/a.wav\t{' '.join(wanted.words or ())}\n")
    row = json.loads(run("asr", "talk/a.wav", "--words", "--json", "--model", model)[1])
    assert row["phonemes"] == []
    assert [word for word, _, _ in row["word_times"]] == row["words"] == list(wanted.words or ())
    edges = [edge for _, start, end in row["word_times"] for edge in (start, end)]
    assert edges == sorted(edges)
    assert 0 <= edges[0] < edges[-1] <= Audio.read("talk/a.wav").duration


def test_phonemes_of_another_inventory_have_no_words(run: Run, here: Path, tmp_path: Path) -> None:
    ready_ctap(("SIL", "a", "ʃ", "t")).save(tmp_path / "other")
    code, out, _ = run("asr", "talk/a.wav", "--model", tmp_path / "other")
    assert (code, out.split("\t")[:2]) == (0, ["talk/a.wav", "-"])
    assert json.loads(run("asr", "talk/a.wav", "--json", "--model", tmp_path / "other")[1])["words"] is None
    tokenizer: Any = load(tmp_path / "other")
    with pytest.raises(SpecError, match="words are found in ARPAbet phonemes"):
        tokenizer.transcribe_words(tokenizer.encode("talk/a.wav"))


def test_one_bad_file_is_named_beside_and_the_rest_go_on(run: Run, here: Path, model: Path) -> None:
    Path("talk/bad.wav").write_text("these are words")
    code, out, err = run("asr", "talk", "none.wav", "--json", "--model", model)
    assert code == 1
    assert [json.loads(line)["audio_path"] for line in out.splitlines()] == ["talk/a.wav", "talk/deep/b.flac"]
    bad, none, last = err.splitlines()
    assert bad.startswith("failed: talk/bad.wav: cannot be read as audio")
    assert none == "failed: none.wav: no such file"
    assert last == "vocable: 2 of 4 files failed; the others are done"


@pytest.mark.skipif(os.name != "posix", reason="names are text elsewhere")
def test_a_name_that_is_no_text(run: Run, here: Path, model: Path) -> None:
    name = os.fsdecode(b"\xff.wav")
    Path("talk/a.wav").rename(name)
    assert run("asr", name, "--model", model)[1].startswith("?.wav\t")
    assert json.loads(run("asr", name, "--json", "--model", model)[1])["audio_path"] == name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.wav",), "none.wav: no such file"),
        (("empty",), "empty: no audio in here"),
        (
            ("talk", "--model", "guided"),
            "a GuidedTokenizer recognizes no phonemes; take ctap-small or supervised-small",
        ),
        (("talk", "--model", "nowhere"), "nowhere: no such model; give a folder, or one of: "),
    ],
)
def test_what_cannot_be_done_is_one_line(
    run: Run, here: Path, model: Path, words: tuple[str, ...], message: str
) -> None:
    Path("empty").mkdir()
    ready("spectral").save("guided")
    code, out, err = run("asr", "--model", model, *words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"vocable: {message}")


def test_help_does_not_wait_for_torch() -> None:
    assert "--json" in quick_help("asr")
