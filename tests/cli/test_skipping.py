"""``vocable encode`` again: what is done is skipped, and what is of anything else is refused by its reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Run, files
from tests.models import ready
from vocable.audio import Audio
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.testing import speechlike
from vocable.tokens import Provenance, Tokens


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("spectral", "seanet"):
        ready(name).save(folder / name)
    return folder


@pytest.fixture
def encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A folder to stand in with three recordings; one entry for each clip that is encoded."""
    (tmp_path / "in").mkdir()
    for seed, name in enumerate("abc"):
        speechlike(2_000, seed=seed).write(tmp_path / "in" / f"{name}.wav")
    monkeypatch.chdir(tmp_path)
    counted: list[int] = []
    encode = GuidedTokenizer.encode_blocks

    def count(self: GuidedTokenizer, blocks: object) -> Tokens:
        counted.append(1)
        return encode(self, blocks)  # type: ignore[arg-type]

    monkeypatch.setattr(GuidedTokenizer, "encode_blocks", count)
    return counted


def test_a_job_that_was_stopped_goes_on_where_it_was(run: Run, encoded: list[int], models: Path) -> None:
    words = ("encode", "in", "-o", "out", "--model", models / "spectral")
    assert run(*words)[0] == 0
    Path("out/b.tokens").unlink()
    before = {name: Path("out", name).stat().st_mtime_ns for name in files(Path("out"))}
    code, out, err = run(*words)
    assert (code, err, len(encoded)) == (0, "", 4)
    assert [line.endswith("skipped, it is done already") for line in out.splitlines()] == [True, False, True]
    assert {name: Path("out", name).stat().st_mtime_ns for name in before} == before
    assert files(Path("out")) == ["a.tokens", "b.tokens", "c.tokens"]


def test_a_recording_that_has_moved_is_the_same_recording(run: Run, encoded: list[int], models: Path) -> None:
    assert run("encode", "in/a.wav", "-o", "a.tokens", "--model", models / "spectral")[0] == 0
    Path("in/a.wav").rename("in/moved.wav")
    code, out, _ = run("encode", "in/moved.wav", "-o", "a.tokens", "--model", models / "spectral")
    assert (code, len(encoded)) == (0, 1)
    assert "skipped" in out


def _cut(target: Path) -> None:
    target.write_bytes(target.read_bytes()[:-5])


def _flip(target: Path) -> None:
    data = bytearray(target.read_bytes())
    data[-20] ^= 4
    target.write_bytes(data)


OTHERS: dict[str, tuple[Callable[[Path], object], tuple[object, ...], str]] = {
    "another recording": (lambda target: Path("in/a.wav").write_bytes(Path("in/b.wav").read_bytes()), (), "recording"),
    "another model": (lambda target: None, ("--model", "MODELS/seanet"), "model"),
    "fewer levels": (lambda target: None, ("--levels", 2), "number of levels"),
    "another text": (lambda target: None, ("--text", "good evening"), "text"),
    "truncated": (_cut, (), "cannot be read as tokens"),
    "altered": (_flip, (), "cannot be read as tokens"),
    "no tokens": (lambda target: target.write_text("my thesis"), (), "cannot be read as tokens"),
    "audio": (lambda target: target.write_bytes(Path("in/a.wav").read_bytes()), (), "cannot be read as tokens"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_tokens_of_anything_else_stay_and_the_reason_is_named(
    run: Run, encoded: list[int], models: Path, kind: str
) -> None:
    change, words, reason = OTHERS[kind]
    target = Path("a.tokens")
    base = ("encode", "in/a.wav", "-o", target, "--text", "good morning", "--model", models / "spectral")
    assert run(*base)[0] == 0
    change(target)
    before = target.read_bytes()
    again = (*base, *(str(word).replace("MODELS", str(models)) for word in words))
    code, out, err = run(*again)
    assert (code, out, err.count("\n"), len(encoded)) == (1, "", 1, 1)  # known before any work
    assert f"{target}: exists already" in err
    assert reason in err
    assert target.read_bytes() == before
    assert run(*again, "--overwrite")[0] == 0
    assert len(encoded) == 2
    assert run(*again)[0] == 0
    assert len(encoded) == 2


def test_tokens_written_in_python_are_the_same_if_their_ids_are(run: Run, encoded: list[int], models: Path) -> None:
    tokens = ready("spectral").encode(Audio.read("in/a.wav"))
    words = ("encode", "in/a.wav", "-o", "a.tokens", "--model", models / "spectral")
    for provenance in (tokens.provenance, Provenance(), Provenance(model="mine")):
        replace(tokens, provenance=provenance).write("a.tokens")
        before = Path("a.tokens").read_bytes()
        code, out, _ = run(*words)
        assert (code, out.strip().endswith("unchanged"), Path("a.tokens").read_bytes() == before) == (0, True, True)
    replace(tokens, ids=tokens.ids.flip(2), provenance=Provenance()).write("a.tokens")
    code, _, err = run(*words)
    assert (code, err.count("\n"), "exists already" in err) == (1, 1, True)


def test_a_manifest_whose_texts_change(run: Run, encoded: list[int], models: Path) -> None:
    def encode(*texts: str | None) -> tuple[int, str, str]:
        lines = [
            json.dumps({"audio_path": f"in/{name}.wav", "text": text}) for name, text in zip("abc", texts, strict=True)
        ]
        Path("m.jsonl").write_text("\n".join(lines))
        return run("encode", "m.jsonl", "-o", "out", "--model", models / "spectral")

    assert encode("one", None, "three")[0] == 0
    code, out, err = encode("one", "two", "three")
    assert (code, out.count("skipped")) == (1, 2)
    assert "b.tokens: exists already and holds tokens of another text" in err
    assert "1 of 3 files failed" in err


def test_the_hash_of_the_recording_is_in_the_file(run: Run, encoded: list[int], models: Path) -> None:
    import hashlib

    assert run("encode", "in/a.wav", "-o", "a.tokens", "--model", models / "spectral")[0] == 0
    source = Tokens.read("a.tokens").provenance.source
    assert source == hashlib.sha256(Path("in/a.wav").read_bytes()).hexdigest()


def test_a_folder_is_made_where_a_slash_asks_for_one(run: Run, encoded: list[int], models: Path) -> None:
    assert run("encode", "in/a.wav", "-o", "ee/", "--model", models / "spectral")[0] == 0
    assert files(Path("ee")) == ["a.tokens"]
    assert run("encode", "in/b.wav", "-o", "ee", "--model", models / "spectral")[0] == 0
    assert run("decode", "ee/a.tokens", "-o", "new/deep/", "--model", models / "spectral")[0] == 0
    assert files(Path("ee")) == ["a.tokens", "b.tokens"]
    assert files(Path("new")) == ["deep/a.wav"]
    code, _, err = run("encode", "in/a.wav", "in/b.wav", "-o", "x.tokens", "--model", models / "spectral")
    assert (code, "x.tokens is one file and there are 2 results; pass a folder" in err) == (1, True)


def test_progress_is_shown_on_a_terminal_alone(
    run: Run, encoded: list[int], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    words = ("encode", "in", "-o", "out", "--model", models / "spectral", "--overwrite")
    code, out, err = run(*words)
    assert (code, out.count("\n"), err) == (0, 3, "")
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: self is sys.stderr, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    code, out, err = run(*words)
    assert (code, out.count("\n")) == (0, 3)  # standard output is a pipe, and has the same lines
    assert "encoding" in err
    assert "3/3" in err
    assert "h of speech" in err
    assert "left:" in err
