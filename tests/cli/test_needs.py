"""Devices, packages and other models: what is missing is said before the work, in one line."""

import sys
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Run, files
from tests.models import ready
from vocable.errors import CheckpointError
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.testing import speechlike


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "in").mkdir()
    for name in "ab":
        speechlike(9_000, seed=ord(name)).write(tmp_path / "in" / f"{name}.wav")
    ready("spectral").encode(speechlike(2_000)).write(tmp_path / "a.tokens")
    (tmp_path / "m.jsonl").write_text('{"audio_path": "in/a.wav"}\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS: list[tuple[str, ...]] = [
    ("encode", "in", "-o", "out"),
    ("decode", "a.tokens", "-o", "out"),
    ("decode", "a.tokens", "-o", "out", "--model", "guided-small"),
    ("vc", "in", "--voice", "in/a.wav", "-o", "out"),
    ("tts", "hello", "--voice", "in/a.wav", "-o", "out"),
    ("asr", "in"),
    ("edit", "in/a.wav", "in/b.wav", "--words", "1:1", "--text", "hi", "-o", "out.wav"),
    ("score", "in/a.wav", "--text", "hi"),
    ("generate", "-o", "out"),
    ("demo", "in/a.wav", "-o", "out"),
    ("inspect", "guided-small"),
    ("evaluate", "guided-small", "--data", "m.jsonl", "--out", "out", "--codecs", "none", "--metrics", "si_sdr"),
    ("study", "sizes", "--recipe", "vqalattent-tiny", "--data", "m.jsonl", "--out", "out"),
    ("train", "guided-tiny", "--data", "m.jsonl", "--split", "all", "--out", "out"),
]


@pytest.mark.parametrize("device", ["foo", "cuda", "cuda:9", "meta", "", "cpu:x", "CPU "])
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_device_that_is_not_there_is_one_line(run: Run, here: Path, words: tuple[str, ...], device: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    before = files(here)
    code, out, err = run(*words, "--device", device)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"vocable: device is '{device}', which cannot be used")
    assert "cpu" in err
    assert files(here) == before


@pytest.mark.parametrize("words", COMMANDS[:1] + COMMANDS[3:4] + COMMANDS[5:6], ids=lambda words: words[0])
def test_another_model_that_is_missing_is_said_once_and_before_the_work(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    from vocable.systems.supervised import tokenizer as module

    def missing(*_: object) -> None:
        raise CheckpointError("the encoder openai/whisper-tiny.en is not at hand; set VOCABLE_WEIGHTS")

    monkeypatch.setattr(module, "load_encoder", missing)
    code, out, err = run(*words, "--model", "supervised-small")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "set VOCABLE_WEIGHTS" in err
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("words", "module", "extra"),
    [
        (("demo", "in/a.wav", "-o", "out"), "pystoi", "demo"),
        (("demo", "in/a.wav", "-o", "out"), "matplotlib", "demo"),
        (("inspect", "in/a.wav", "-o", "out"), "matplotlib", "demo"),
        (("inspect", "guided-small", "--data", "m.jsonl", "-o", "out"), "sklearn", "evaluate"),
    ],
    ids=str,
)
def test_a_package_that_is_missing_is_said_before_the_work(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], module: str, extra: str
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("no clip may be encoded")

    monkeypatch.setattr(GuidedTokenizer, "encode", work)
    monkeypatch.setitem(sys.modules, module, None)
    code, out, err = run(*words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert module in err
    assert f"pip install 'vocable[{extra}]'" in err
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("tts", "hello", "--voice", "in/a.wav", "--seed", "99999999999999999999"),
        ("generate", "--seed", "99999999999999999999"),
        ("generate", "--seed", "1.5"),
        ("generate", "--temperature", "nan"),
        ("generate", "--guidance", "inf"),
        ("encode", "in", "-o", "out", "--levels", "0"),
        ("data", "prepare", "fsdd", "in", "--out", "out", "--seed", "-1"),
        ("inspect", "guided-small", "--limit", "1"),
        ("--threads", "0", "models"),
    ],
    ids=lambda words: " ".join(words[-2:]),
)
def test_a_number_that_cannot_be_is_said_at_once(run: Run, here: Path, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert "is no whole number" in err.replace("\n│ ", " ") or "is no number" in err.replace("\n│ ", " ")
    assert not (here / "out").exists()
