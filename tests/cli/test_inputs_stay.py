"""No command writes over one of its inputs, however it is spelled, and nothing that exists is lost by accident."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from tests.cli.conftest import Run, files
from tests.models import ready, ready_ctap, ready_speaker
from vocable.audio import Audio
from vocable.cli.command import Command
from vocable.cli.main import app
from vocable.testing import speechlike
from vocable.tokens import Tokens


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny models: one that codes, one that speaks and converts, one that generates."""
    folder = tmp_path_factory.mktemp("models")
    ready("spectral").save(folder / "guided")
    ready_ctap().save(folder / "ctap")
    ready_speaker().save(folder / "prior")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: Path) -> Path:
    """A folder to stand in, with everything that commands read, under many names."""
    for seed, name in enumerate(("a.flac", "b.wav", "v.wav")):
        speechlike(9_000, seed=seed).write(tmp_path / name)
    for model in ("guided", "ctap"):
        codec = ready("spectral") if model == "guided" else ready_ctap()
        codec.encode(Audio.read(tmp_path / "b.wav")).write(tmp_path / f"{model}.tokens")
    (tmp_path / "m.jsonl").write_text(json.dumps({"audio_path": "b.wav", "text": "good morning", "split": "train"}))
    (tmp_path / "texts.txt").write_text("hello\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.tokens").symlink_to("a.flac")
    (tmp_path / "link.wav").symlink_to("v.wav")
    os.link(tmp_path / "a.flac", tmp_path / "hard.tokens")
    os.link(tmp_path / "v.wav", tmp_path / "hard.wav")
    (tmp_path / "again").symlink_to(".")
    monkeypatch.chdir(tmp_path)
    return tmp_path


GUIDED, CTAP, PRIOR = "MODELS/guided", "MODELS/ctap", "MODELS/prior"
DECODE = ("decode", "guided.tokens", "--model", GUIDED)
VOICED = ("decode", "ctap.tokens", "--model", CTAP, "--voice", "v.wav")
VC = ("vc", "b.wav", "--voice", "v.wav", "--model", CTAP)
TTS = ("tts", "--voice", "v.wav", "--model", CTAP)

OVER_AN_INPUT: list[tuple[str, ...]] = [
    ("encode", "a.flac", "--model", GUIDED, "-o", "link.tokens"),
    ("encode", "a.flac", "--model", GUIDED, "-o", "hard.tokens"),
    ("encode", "sub/../a.flac", "--model", GUIDED, "-o", "again/hard.tokens"),
    ("encode", "link.tokens", "--model", GUIDED, "-o", "link.tokens"),
    ("encode", "m.jsonl", "--model", GUIDED, "-o", "m.jsonl"),
    ("encode", "b.wav", "--model", GUIDED, "-o", "MODELS/guided/model.json"),
    ("encode", "b.wav", "--model", GUIDED, "-o", "MODELS/guided/model.safetensors"),
    (*DECODE, "-o", "guided.tokens"),
    (*VOICED, "-o", "v.wav"),
    (*VOICED, "-o", "./v.wav"),
    (*VOICED, "-o", "sub/../v.wav"),
    (*VOICED, "-o", "link.wav"),
    (*VOICED, "-o", "hard.wav"),
    (*VOICED, "-o", "again/again/v.wav"),
    (*VC, "-o", "b.wav"),
    (*VC, "-o", "."),
    (*VC, "-o", "./"),
    (*VC, "-o", "again"),
    (*VC, "-o", "hard.wav"),
    ("vc", "*.wav", "--voice", "v.wav", "--model", CTAP, "-o", "again/"),
    (*TTS, "hello", "-o", "link.wav"),
    (*TTS, "hello", "-o", "v.wav"),
    (*TTS, "--file", "texts.txt", "-o", "hard.wav"),
    *(
        ("edit", "a.flac", "b.wav", "--words", "1:1", "--text", "hello", "-o", name)
        for name in ("a.flac", "./b.wav", "again/a.flac", "link.tokens", "hard.tokens")
    ),
    ("data", "align", "m.jsonl", "--from", "a.ctm", "--out", "m.jsonl"),
    ("data", "align", "m.jsonl", "--from", "a.ctm", "--out", "again/m.jsonl"),
    ("data", "align", "m.jsonl", "--from", "a.ctm", "--out", "b.wav"),
]


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)], ids=["plain", "overwrite"])
@pytest.mark.parametrize("words", OVER_AN_INPUT, ids=" ".join)
def test_an_input_is_never_written_over(
    run: Run, here: Path, models: Path, words: tuple[str, ...], overwrite: tuple[str, ...]
) -> None:
    (here / "a.ctm").write_text("b 1 0.00 0.20 HH\n")
    words = tuple(word.replace("MODELS", str(models)) for word in words)
    before = contents(here), contents(models)
    code, out, err = run(*words, *overwrite)
    assert (code, out) == (1, ""), err
    assert err.startswith(("vocable: ", "failed: "))
    assert (contents(here), contents(models)) == before


def test_a_manifest_of_digits_is_not_replaced_by_the_one_that_is_made_of_it(run: Run, here: Path) -> None:
    (here / "c").mkdir()
    line = {"audio_path": "../b.wav", "speaker": "s", "split": "train", "words": [["one", 0.0, 0.2]]}
    (here / "c" / "manifest.jsonl").write_text(json.dumps(line))
    before = contents(here)
    for out in ("c", "c/.", "again/c"):
        code, _, err = run("data", "prepare", "digit_strings", "c/manifest.jsonl", "--out", out, "--overwrite")
        assert (code, err.count("\n")) == (1, 1)
        assert contents(here) == before


@pytest.mark.slow
def test_a_run_or_a_report_goes_into_a_folder_without_its_inputs(run: Run, here: Path, models: Path) -> None:
    (here / "results.jsonl").write_text((here / "m.jsonl").read_text())
    for name in ("summary.json", "report.md", "report.html"):
        os.link(here / "b.wav", here / name)
    before = contents(here)
    common = ("--codecs", "none", "--probes", "none", "--metrics", "si_sdr", "--jobs", "1", "--out", ".")
    for manifest in ("results.jsonl", "m.jsonl"):
        code, _, err = run("evaluate", models / "guided", "--data", manifest, *common)
        assert code == 1
        assert err.count("vocable: ") == 1
        (here / "run.json").unlink(missing_ok=True)
        assert {name: data for name, data in contents(here).items() if name in before} == before


@pytest.mark.parametrize("name", ["a.flac", "a.wav", "A.WAV", "new.ogg", "sub/new.MP3", "new.m4a", "new.webm"])
def test_tokens_are_not_written_under_the_name_of_audio(run: Run, here: Path, models: Path, name: str) -> None:
    before = contents(here)
    code, out, err = run("encode", "a.flac", "-o", name, "--model", models / "guided", "--overwrite")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"{name}: tokens are no audio; name a file that ends in .tokens, or a folder" in err
    assert contents(here) == before


OTHER_OUTPUTS: list[tuple[tuple[str, ...], str, Callable[[Path], object]]] = [
    (("encode", "b.wav", "--model", GUIDED, "-o", "o.tokens"), "o.tokens", Tokens.read),
    ((*DECODE, "-o", "o.wav"), "o.wav", Audio.read),
    ((*DECODE, "-o", "o.ogg"), "o.ogg", Audio.read),
    ((*VC, "-o", "o.flac"), "o.flac", Audio.read),
    ((*TTS, "hello", "-o", "o.mp3"), "o.mp3", Audio.read),
    ((*TTS, "--file", "texts.txt", "-o", "o"), "o/001.wav", Audio.read),
    (("generate", "--digit", "1", "--model", PRIOR, "-o", "o"), "o/1-000.wav", Audio.read),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "target", "read"), OTHER_OUTPUTS, ids=lambda value: str(value)[:60])
def test_an_output_that_exists_stays_unless_it_is_to_be_replaced(
    run: Run, here: Path, models: Path, words: tuple[str, ...], target: str, read: Callable[[Path], object]
) -> None:
    words = tuple(word.replace("MODELS", str(models)) for word in words)
    assert run(*words)[0] == 0
    made = contents(here)
    stamp = Path(target).stat().st_mtime_ns
    code, out, _ = run(*words)  # the same again: nothing to do
    assert code == 0
    assert "skipped" in out or "unchanged" in out
    assert contents(here) == made
    assert Path(target).stat().st_mtime_ns == stamp
    for other in (b"my thesis", b"", Path("b.wav").read_bytes(), Path(target).read_bytes()[:-9]):
        Path(target).write_bytes(other)
        code, out, err = run(*words)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert f"{target}: exists already" in err
        assert "--overwrite" in err
        assert Path(target).read_bytes() == other
    assert run(*words, "--overwrite")[0] == 0
    read(Path(target))
    assert files(here) == sorted(made)


def test_every_command_is_of_the_class_that_protects_its_inputs() -> None:
    def leaves(command: object) -> list[object]:
        inner = getattr(command, "commands", None)
        return [leaf for one in inner.values() for leaf in leaves(one)] if inner else [command]

    found = leaves(typer.main.get_command(app))
    assert len(found) >= 18
    assert [command for command in found if not isinstance(command, Command)] == []
