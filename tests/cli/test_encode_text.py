"""``vocable encode`` with texts: given, from a manifest, or missing where they are needed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.cli.conftest import Run, files
from tests.models import ready
from tests.test_testing import Literate
from vocable.audio import Audio
from vocable.corpus.files import encode_files
from vocable.data.manifest import read_manifest
from vocable.errors import ConfigError, TextError
from vocable.testing import speechlike
from vocable.tokens import Tokens


@pytest.fixture(scope="module", params=["spectral", "seanet"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    ready(request.param).save(folder)
    return folder


def corpus(folder: Path, **texts: str | None) -> Path:
    """A manifest, and recordings in a folder beside it."""
    (folder / "audio").mkdir(parents=True)
    lines = []
    for seed, (name, text) in enumerate(texts.items()):
        speechlike(3_000, seed=seed).write(folder / "audio" / f"{name}.wav")
        lines.append({"audio_path": f"audio/{name}.wav", **({} if text is None else {"text": text})})
    return write(folder / "m.jsonl", lines)


def write(manifest: Path, lines: list[dict[str, Any]]) -> Path:
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest


def test_a_text_is_kept_with_the_tokens_of_one_file(run: Run, model: Path, tmp_path: Path) -> None:
    speechlike(3_000).write(tmp_path / "a.wav")
    words = ("encode", tmp_path / "a.wav", "-o", tmp_path / "a.tokens", "--model", model)
    assert run(*words)[0] == 0
    silent = Tokens.read(tmp_path / "a.tokens")
    assert run(*words, "--text", "good morning", "--overwrite")[0] == 0
    tokens = Tokens.read(tmp_path / "a.tokens")
    assert tokens.text == ("good morning",)
    assert torch.equal(tokens.ids, silent.ids)
    assert silent.text in (None, (None,))


def test_a_manifest_brings_recordings_and_texts(run: Run, model: Path, tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "in", a="one", b=None)
    code, out, _ = run("encode", manifest, "-o", tmp_path / "out", "--model", model)
    assert (code, out.count("\n")) == (0, 2)
    assert files(tmp_path / "out") == ["audio/a.tokens", "audio/b.tokens"]
    assert Tokens.read(tmp_path / "out" / "audio" / "a.tokens").text == ("one",)
    assert Tokens.read(tmp_path / "out" / "audio" / "b.tokens").text in (None, (None,))


def test_outputs_stay_in_their_folder(run: Run, model: Path, tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "in", a="one")
    outside = write(manifest.parent / "audio" / "n.jsonl", [{"audio_path": "../audio/../audio/a.wav"}])
    (tmp_path / "in" / "audio" / "deep").mkdir()
    deeper = write(tmp_path / "in" / "audio" / "deep" / "n.jsonl", [{"audio_path": "../a.wav"}])
    for number, source in enumerate((outside, deeper)):
        assert run("encode", source, "-o", tmp_path / f"out{number}", "--model", model)[0] == 0
        assert files(tmp_path / f"out{number}") == ["a.tokens"]


def test_a_recording_on_two_lines_is_refused(run: Run, model: Path, tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "in", a="one")
    write(manifest, [{"audio_path": "audio/a.wav", "text": text} for text in ("one", "two")])
    code, _, err = run("encode", manifest, "-o", tmp_path / "out", "--model", model)
    assert code == 1
    assert "two inputs would be written here" in err


def test_one_text_is_for_one_recording(run: Run, model: Path, tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "in", a="one", b="two")
    for source, count in ((manifest, 2), (tmp_path / "in" / "audio", 2)):
        code, _, err = run("encode", source, "-o", tmp_path / "out", "--model", model, "--text", "three")
        assert (code, err.count("\n")) == (1, 1)
        assert f"there is one text for {count} recordings or a manifest; write the texts into a manifest" in err
    assert not (tmp_path / "out").exists()


def test_a_manifest_that_cannot_be_used_is_named(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"audio": "a.wav"}\n')
    code, _, err = run("encode", tmp_path / "m.jsonl", "-o", tmp_path / "out", "--model", model)
    assert (code, err.count("\n")) == (1, 1)
    assert "m.jsonl, line 1: the key 'audio_path' is missing" in err


def test_a_file_without_the_text_it_needs_is_named_and_the_rest_go_on(tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "in", a="six", b=None, c="seven", d="six")
    said: list[str] = []
    outcome = encode_files(Literate(), [manifest], tmp_path / "out", say=said.append)
    assert files(tmp_path / "out") == ["audio/a.tokens", "audio/d.tokens"]
    assert [type(error) for error in outcome.failed] == [TextError] * 2
    assert str(outcome.failed[0]) == f"{tmp_path / 'in' / 'audio' / 'b.wav'}: there is no text"
    assert str(outcome.failed[1]) == f"{tmp_path / 'in' / 'audio' / 'c.wav'}: 'seven' is not known"
    assert [line.startswith("failed: ") for line in said] == [False, True, True, False]


def test_a_text_given_reaches_the_tokenizer(tmp_path: Path) -> None:
    speechlike(3_000).write(tmp_path / "a.wav")
    encode_files(Literate(), [tmp_path / "a.wav"], tmp_path / "a.tokens", text="six", say=lambda line: None).finish()
    wanted = ready("spectral").encode(Audio.read(tmp_path / "a.wav"))
    assert torch.equal(Tokens.read(tmp_path / "a.tokens").ids, wanted.ids)
    with pytest.raises(TextError, match=r"a\.wav: there is no text"):
        encode_files(Literate(), [tmp_path / "a.wav"], tmp_path / "b.tokens", say=lambda line: None).finish()
    with pytest.raises(ConfigError, match="write the texts into a manifest"):
        encode_files(Literate(), [corpus(tmp_path / "in", a=None)], tmp_path / "out", text="six")


class Hears:
    """A recogniser that hears a word in the clips it is asked for, in turn."""

    def __init__(self, *words: str) -> None:
        self.words = list(words)

    def transcribe(self, clip: Audio) -> str:
        return self.words.pop(0)


def test_what_has_no_text_is_recognised_and_its_line_says_so(tmp_path: Path) -> None:
    manifest = corpus(tmp_path / "in", a="six", b=None, c=" ", d=None)
    said: list[str] = []
    recogniser = Hears("six", " ", "six")
    outcome = encode_files(Literate(), [manifest], tmp_path / "out", recognizer=recogniser.transcribe, say=said.append)
    assert recogniser.words == []  # what has a text is not listened to
    assert files(tmp_path / "out") == ["audio/a.tokens", "audio/b.tokens", "audio/d.tokens"]
    assert [line.endswith("text recognized: six") for line in said] == [False, True, False, True]
    assert Tokens.read(tmp_path / "out" / "audio" / "b.tokens").text == ("six",)
    (error,) = outcome.failed
    assert isinstance(error, TextError)
    wanted = f"{tmp_path / 'in' / 'audio' / 'c.wav'}: no words are recognized in its 0.19 s; pass its transcript"
    assert str(error) == wanted
    assert said[2] == f"failed: {wanted}"


def test_a_text_that_is_given_is_not_recognised(tmp_path: Path) -> None:
    speechlike(3_000).write(tmp_path / "a.wav")
    said: list[str] = []
    encode_files(
        Literate(), [tmp_path / "a.wav"], tmp_path / "a.tokens", text="six", recognizer=Hears().transcribe,
        say=said.append,
    ).finish()  # fmt: skip
    assert "recognised" not in said[0]


def test_recognise_at_the_command_line(run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vocable.evaluate.judges import find

    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(find, "find_scorer", lambda *words: asked.append(words) or Hears("good", "morning"))
    manifest = corpus(tmp_path / "in", a=None, b="one", c=None)
    words = ("encode", manifest, "-o", tmp_path / "out", "--model", model)
    assert run(*words)[0] == 0
    assert asked == []
    code, out, _ = run(*words, "--recognise", "--overwrite")
    assert (code, asked) == (0, [("recognizer",)])
    assert [line.partition("text recognized: ")[2] for line in out.splitlines()] == ["good", "", "morning"]
    assert Tokens.read(tmp_path / "out" / "audio" / "c.tokens").text == ("morning",)


def test_what_is_really_said_is_recognised(run: Run, model: Path, tmp_path: Path, speech_data: Path) -> None:
    recording = speech_data / "digits_fsdd"
    line = next(one for one in read_manifest(recording / "manifest.jsonl", "test") if one.text)
    speech, silence = Audio.read(line.audio_path), Audio(np.zeros(8_000, dtype=np.float32), 8_000)
    (tmp_path / "in").mkdir()
    speech.write(tmp_path / "in" / "a.wav")
    silence.write(tmp_path / "in" / "b.wav")
    code, out, err = run("encode", tmp_path / "in", "-o", tmp_path / "out", "--model", model, "--recognise")
    assert code == 1
    second, last = err.splitlines()
    assert "1 of 2 files failed" in last
    (first,) = out.splitlines()
    heard = first.partition("text recognized: ")[2]
    assert Tokens.read(tmp_path / "out" / "a.tokens").text == (heard,)
    assert heard
    assert second.endswith("b.wav: no words are recognized in its 1.00 s; pass its transcript")
