"""Paths that no system call takes: too long, with a null byte, with a lone surrogate, empty."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vocable
from tests.evaluate.test_runner import work_through
from tests.faults.commands import run
from tests.fuzz.readers import _Loud
from tests.models import ready
from vocable.audio import Audio, header_seconds
from vocable.corpus.files import decode_files, encode_files
from vocable.corpus.speech import read_lines
from vocable.data.alignment.files import read_csv, read_ctm, read_textgrid
from vocable.data.alignment.make import align_from
from vocable.data.corpora import find_corpus
from vocable.data.manifest import read_manifest
from vocable.data.targets import TargetCache
from vocable.errors import VocableError
from vocable.evaluate.describe import describe
from vocable.evaluate.draw import draw
from vocable.features.hub import read_tensors
from vocable.folder import read_model, system_of, write_model
from vocable.schema import read_json, read_object
from vocable.systems.guided import recipe as guided
from vocable.testing import speechlike
from vocable.text.lexicon import Lexicon
from vocable.tokens import Tokens
from vocable.train import checkpoint
from vocable.train.record import read_record
from vocable.train.run import fit
from vocable_lab.listening.analysis import analyze
from vocable_lab.listening.key import read_key

NAMES = {
    "null byte": "a\0b.wav", "surrogate": "\ud800.wav", "long name": "x" * 5_000 + ".wav",
    "long path": "/".join(["x" * 200] * 30), "loop": "loop/a.wav", "below a file": "file/a.wav",
}  # fmt: skip
READERS: dict[str, Callable[[str], Any]] = {
    "load": vocable.load, "Tokens.read": Tokens.read, "Audio.read": Audio.read, "header": header_seconds,
    "manifest": read_manifest, "lexicon": Lexicon.read, "describe": describe, "draw": lambda path: list(draw(path)),
    "lines": lambda path: read_lines(Path(path)), "textgrid": lambda path: read_textgrid(Path(path)),
    "ctm": lambda path: read_ctm(Path(path)), "csv": lambda path: read_csv(Path(path)),
    "tensors": lambda path: read_tensors(Path(path)), "json": lambda path: read_json(path, dict), "object": read_object,
    "model": lambda path: read_model(path, lambda values: torch.nn.Identity()),
    "record": lambda path: read_record(Path(path)), "verify": lambda path: checkpoint.verify(Path(path)),
    "key": lambda path: read_key(Path(path)), "ratings": lambda path: analyze([Path(path)], Path(path)),
    "corpus": lambda path: find_corpus("fsdd")(Path(path), Path(path)),
    "encode": lambda path: encode_files(ready("spectral"), [path], Path("unused.tokens")).finish(),
    "decode": lambda path: decode_files(ready("spectral"), [path], Path("unused.wav")).finish(),
    "align": lambda path: align_from(Path(path), Path("unused.jsonl"), [Path(path)]),
}  # fmt: skip
WRITERS: dict[str, Callable[[str], Any]] = {
    "Tokens.write": lambda path: ready("spectral").encode(speechlike(3_000)).write(path),
    "Audio.write": lambda path: Audio(np.zeros(9, dtype=np.float32), 8_000).write(path),
    "save": lambda path: ready("spectral").save(path),
    "write_model": lambda path: write_model(path, "none", {}, torch.nn.Linear(1, 1)),
    "fit": lambda path: fit(guided.tiny(), ["manifest.jsonl"], path, split=None, quiet=True, say=lambda line: None),
    "evaluate": lambda path: work_through(Path(path), 1),
    "cache": lambda path: TargetCache(_Loud(), Path(path)),
    "encode": lambda path: encode_files(ready("spectral"), ["a.wav"], Path(path), say=lambda line: None).finish(),
    "align": lambda path: align_from(Path("manifest.jsonl"), Path(path), [Path("a.ctm")], say=lambda line: None),
}
COMMANDS = {
    "encode": ["encode", "{}", "--out", "x.tokens"], "encode out": ["encode", "a.wav", "--out", "{}"],
    "encode model": ["encode", "a.wav", "--out", "x.tokens", "--model", "{}"],
    "decode": ["decode", "{}", "--out", "x.wav"], "inspect": ["inspect", "{}"],
    "vc": ["vc", "{}", "--voice", "{}", "--out", "x.wav"], "asr": ["asr", "{}"],
    "train": ["train", "guided-tiny", "--data", "{}", "--out", "run"],
    "train out": ["train", "guided-tiny", "--data", "manifest.jsonl", "--out", "{}", "--steps", "1"],
    "evaluate": ["evaluate", "{}", "--data", "{}", "--out", "x"],
    "align": ["data", "align", "{}", "--out", "x.jsonl", "--from", "a.ctm"],
    "align out": ["data", "align", "manifest.jsonl", "--out", "{}", "--from", "a.ctm"],
    "prepare": ["data", "prepare", "fsdd", "{}", "--out", "x"],
    "generate": ["generate", "--out", "{}"], "tts": ["tts", "--file", "{}", "--out", "x.wav"],
    "listen": ["evaluate", "listen", "analyze", "{}", "--key", "{}"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    speechlike(4_800, 16_000).write("a.wav")
    Path("manifest.jsonl").write_text('{"audio_path": "a.wav", "text": "aye"}\n')
    Path("a.ctm").write_text("a 1 0.05 0.25 AY\n")
    Path("file").write_text("")
    Path("loop").symlink_to("loop")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reader", READERS)
def test_reading_it_is_a_named_error(reader: str, name: str) -> None:
    with pytest.raises(VocableError):
        READERS[reader](NAMES[name])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("writer", WRITERS)
def test_writing_it_is_a_named_error(writer: str, name: str) -> None:
    with pytest.raises(VocableError):
        WRITERS[writer](NAMES[name])


def test_it_names_no_system() -> None:
    for name in NAMES.values():
        assert system_of(Path(name)) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "empty"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_it_on_one_line(command: str, name: str) -> None:
    before = sorted(Path().rglob("*"))
    path = {**NAMES, "empty": ""}[name]
    code, text = run([part.replace("{}", path) for part in COMMANDS[command]])
    if (command, name) in {("generate", "empty"), ("train out", "empty"), ("inspect", "empty")} and code == 0:
        return  # the folder that the command is started in
    assert code in (1, 2), text[-500:]
    assert "Traceback" not in text
    assert sorted(one for one in Path().rglob("*") if one.is_file()) == [one for one in before if one.is_file()]
