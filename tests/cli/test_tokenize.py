"""`vocable tokenize` on the command line: what it prints, what it leaves, and its exit code."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run, files
from tests.models import ready
from vocable.testing import speechlike


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        speechlike(2_000, seed=ord(name)).write(tmp_path / "in" / f"{name}.wav")
    ready("spectral").save(tmp_path / "codec")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_corpus_is_tokenized_verified_and_merged(run: Run, here: Path) -> None:
    code, out, _ = run("tokenize", "codec", "in", "--out", "tokens")
    assert code == 0
    assert out.splitlines() == [
        "tokens/plan-0000.jsonl: 2 recordings in 1 shards",
        "tokens/000000.shard: 2 recordings, 0.00 h",
        "tokens: 2 recordings, 0.00 h in 1 shards",
    ]
    assert files(here / "tokens") == ["000000.shard", "plan-0000.jsonl"]
    assert run("tokenize", "--verify", "tokens")[:2] == (0, "tokens: 2 recordings, 0.00 h in 1 shards: sound\n")
    run("tokenize", "codec", "in/a.wav", "--out", "more")
    code, out, _ = run("tokenize", "--merge", "more", "tokens", "--out", "both")
    assert code == 0
    assert out.splitlines()[-1] == "both: 2 recordings, 0.00 h in 2 shards: sound"


def test_failures_give_exit_code_1_with_the_number_of_those_that_are_done(run: Run, here: Path) -> None:
    (here / "in/c.wav").write_bytes(b"RIFF")
    for _ in range(2):
        code, out, err = run("tokenize", "codec", "in", "--out", "tokens")
        assert code == 1
        assert out.splitlines()[-1] == "tokens: 2 recordings, 0.00 h in 1 shards, 1 failed"
        assert err.startswith("vocable: 1 of 3 recordings failed; the others are done.")
    speechlike(2_000).write(here / "in/c.wav")
    code, out, _ = run("tokenize", "codec", "in", "--out", "tokens", "--retry-failed")
    assert (code, out.splitlines()[-1]) == (0, "tokens: 3 recordings, 0.00 h in 1 shards")


def test_what_is_missing_or_wrong_is_said_in_one_line(run: Run, here: Path) -> None:
    for words, code, message in (
        (["codec", "in"], 2, "'--out' / '-o': is missing."),
        (["--merge", "a", "b"], 2, "'--out' / '-o': is missing."),
        (["--verify", "nowhere"], 1, "vocable: nowhere: no token corpus; name the folder"),
        (["codec", "nowhere.wav", "--out", "t", "--shard", "3/2"], 1, "vocable: shard is '3/2': write i/n"),
        (["codec", "in", "--out", "codec/model.json/x"], 1, "codec/model.json/x: this folder cannot be created"),
        (["codec", "in", "--out", "t", "--jobs", "2", "--max-memory", "0.1"], 1, "max-memory is 0.1 GB: 2 jobs"),
    ):
        found = run("tokenize", *words)
        assert found[0] == code
        assert message in " ".join(found[2].split()), found[2]
    assert run("tokenize", "codec", "nowhere.wav", "--out", "t")[0] == 1


def test_a_hint_where_a_folder_has_a_manifest_that_is_not_named(run: Run, here: Path) -> None:
    (here / "in/manifest.jsonl").write_text(json.dumps({"audio_path": "a.wav", "text": "hello"}) + "\n")
    assert "has a manifest.jsonl, which is not used" in run("tokenize", "codec", "in", "--out", "tokens")[1]
    assert "not used" not in run("tokenize", "codec", "in/manifest.jsonl", "in", "--out", "t")[1]
