"""One bad item among many: it is named and counted, the others go on, and the exit code is 1."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Run, files
from tests.models import ready
from vocable.audio import Audio
from vocable.testing import speechlike
from vocable.tokens import Tokens


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    ready("spectral").save(folder)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        speechlike(2_000, seed=ord(name)).write(tmp_path / "in" / f"{name}.wav")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, *lines: dict[str, object]) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_tokens_without_frames_or_clips_or_of_another_model(run: Run, here: Path, model: Path) -> None:
    Path("t").mkdir()
    good = ready("spectral").encode(Audio.read("in/a.wav"))
    nothing = replace(good, ids=good.ids[:, :, :0], lengths=torch.tensor([0]), samples=torch.tensor([0]))
    none = replace(
        good, ids=good.ids[:0], lengths=good.lengths[:0], samples=good.samples[:0], text=None,
    )  # fmt: skip
    for name, tokens in (
        ("empty", nothing), ("good", good), ("none", none), ("other", replace(good, tokenizer="sha256:0")),
    ):  # fmt: skip
        tokens.write(f"t/{name}.tokens")
    Path("t/text.tokens").write_text("words")
    code, out, err = run("decode", "t", "-o", "out", "--model", model)
    assert (code, files(Path("out"))) == (1, ["good.wav"])
    assert out.count("\n") == 1
    *failed, last = err.splitlines()
    assert last == "vocable: 4 of 5 files failed; the others are done"
    for line, name in zip(failed, ("empty", "none", "other", "text"), strict=True):
        assert line.startswith(f"failed: t/{name}.tokens: ")
    assert "0 frames" in failed[0]


def test_a_text_with_half_a_character(run: Run, here: Path, model: Path) -> None:
    manifest = write(
        "m.jsonl", {"audio_path": "in/a.wav", "text": "good \ud800 morning"}, {"audio_path": "in/b.wav", "text": "😀"}
    )
    code, _, err = run("encode", manifest, "-o", "out", "--model", model)
    assert (code, files(Path("out"))) == (1, ["in/b.tokens"])
    assert "failed: " in err
    assert "a.wav: " in err
    assert "surrogate" in err
    code, out, err = run("encode", "in/a.wav", "--text", "caf\udce9", "-o", "x.tokens", "--model", model)
    assert (code, out, err.count("\n"), Path("x.tokens").exists()) == (1, "", 1, False)


def test_names_that_collide_name_both_inputs(run: Run, here: Path, model: Path) -> None:
    for place in ("c/s1", "c/s2", "d"):
        Path(place).mkdir(parents=True)
        speechlike(2_000).write(f"{place}/001.wav")
    paths = ["../c/s1/001.wav", "../c/s2/001.wav"]
    manifest = write("lists/m.jsonl", *({"audio_path": path} for path in paths))
    assert run("encode", manifest, "-o", "one", "--model", model)[0] == 0
    assert files(Path("one")) == ["s1/001.tokens", "s2/001.tokens"]
    code, _, err = run("encode", "c/s1/001.wav", "c/s2/001.wav", "in", "-o", "two", "--model", model)
    assert (code, files(Path("two"))) == (1, ["a.tokens", "b.tokens"])
    first, last = err.splitlines()
    assert "two/001.tokens: two inputs would be written here" in first
    assert first.endswith("c/s1/001.wav, c/s2/001.wav")
    assert last == "vocable: 2 of 4 files failed; the others are done"
    (Path("in") / "a.flac").write_bytes(Path("in/a.wav").read_bytes())
    code, _, err = run("encode", "in", "-o", "three", "--model", model)
    assert (code, files(Path("three"))) == (1, ["b.tokens"])
    assert "in/a.flac, in/a.wav" in err


@pytest.mark.parametrize("suffix", [".m4a", ".webm", ".mp4", ".aac", ".wma", ".amr", ".M4A", ".mkv"])
def test_a_format_that_cannot_be_read_is_counted_and_named(run: Run, here: Path, model: Path, suffix: str) -> None:
    Path(f"in/other{suffix}").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(200))
    Path("in/notes.txt").write_text("notes")
    code, _, err = run("encode", "in", "-o", "out", "--model", model)
    assert (code, files(Path("out"))) == (1, ["a.tokens", "b.tokens"])
    first, last = err.splitlines()
    assert first.startswith(f"failed: in/other{suffix}: ")
    assert "convert it" in first
    assert last == "vocable: 1 of 3 files failed; the others are done"


def test_a_recording_that_has_been_converted_is_taken_once(run: Run, here: Path, model: Path) -> None:
    Path("in/a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(200))
    assert run("encode", "in", "-o", "out", "--model", model)[0] == 0
    assert files(Path("out")) == ["a.tokens", "b.tokens"]


def test_a_folder_that_cannot_be_searched_and_a_link_to_nothing(
    run: Run, here: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    Path("in/closed").mkdir()
    Path("in/lost.wav").symlink_to("nowhere.wav")
    Path("in/loop").symlink_to(".")
    search = os.scandir

    def refuse(path: object) -> object:  # the tests may run as root, for whom no folder is closed
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return search(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse)
    code, _, err = run("encode", "in", "-o", "out", "--model", model)
    monkeypatch.undo()
    assert code == 1
    assert files(here / "out") == ["a.tokens", "b.tokens"]
    assert "failed: in/closed: " in err
    assert "1 of 3 files failed" in err


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("the model broke"), OSError(5, "Input/output error")])
def test_any_error_of_a_model_on_one_recording(
    run: Run, here: Path, model: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from vocable.systems.guided.tokenizer import GuidedTokenizer

    encode = GuidedTokenizer.encode_blocks
    count = iter(range(9))

    def broken(self: GuidedTokenizer, blocks: object) -> Tokens:
        if next(count) == 0:
            raise error
        return encode(self, blocks)  # type: ignore[arg-type]

    monkeypatch.setattr(GuidedTokenizer, "encode_blocks", broken)
    code, out, err = run("encode", "in", "-o", "out", "--model", model)
    assert (code, files(Path("out")), out.count("\n")) == (1, ["b.tokens"], 1)
    assert err.startswith("failed: in/a.wav: ")
    assert "vocable: 1 of 2 files failed; the others are done" in err


@pytest.mark.slow
def test_ctrl_c_ends_a_job_between_files(here: Path, model: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from vocable.systems.guided.tokenizer import GuidedTokenizer as G\n"
        "encode, seen = G.encode_blocks, []\n"
        "def stop(self, blocks):\n"
        "    seen.append(1)\n"
        "    if len(seen) == 2: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return encode(self, blocks)\n"
        "G.encode_blocks = stop\n"
        "from vocable.cli.main import main\n"
        f"sys.argv = ['vocable', 'encode', 'in', '-o', 'out', '--model', {str(model)!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert files(Path("out")) == ["a.tokens"]
