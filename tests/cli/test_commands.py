"""The commands as a user types them: results, one-line errors, exit codes, and nothing half-written."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import Run, files, quick_help
from tests.models import ready
from vocable import recipes
from vocable.audio import Audio
from vocable.audio_files.mark import read_mark
from vocable.systems.ctap.networks import CtapModel
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.testing import speechlike
from vocable.tokens import Tokens


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    ready("spectral").save(folder)
    return folder


def test_encode_then_decode_one_file(run: Run, model: Path, tmp_path: Path) -> None:
    speechlike(20_000).write(tmp_path / "a.wav")
    assert run("encode", tmp_path / "a.wav", "-o", tmp_path / "a.tokens", "--model", model)[0] == 0
    code, out, _ = run("decode", tmp_path / "a.tokens", "-o", tmp_path / "b.flac", "--model", model)
    assert code == 0
    assert "1.25 s at 16000 Hz" in out
    again = Audio.read(tmp_path / "b.flac")
    assert again.samples.size == 20_000
    wanted = ready("spectral").decode(ready("spectral").encode(Audio.read(tmp_path / "a.wav"))).samples
    assert np.abs(again.samples - np.clip(wanted, -1, 1)).max() < 1e-4


def test_tokens_are_decoded_in_another_voice(run: Run, model: Path, tmp_path: Path) -> None:
    ctap = tmp_path / "ctap"
    CtapTokenizer(CtapModel(recipes.find("ctap-tiny").model)).save(ctap)
    for name, seed in (("a", 0), ("b", 1)):
        speechlike(16_000, 8_000, seed=seed).write(tmp_path / f"{name}.wav")
    place = tmp_path / "a.tokens"
    assert run("encode", tmp_path / "a.wav", "--model", ctap, "-o", place)[0] == 0
    spoken = []
    for name in ("a", "b"):
        made = tmp_path / f"{name}-said.wav"
        assert run("decode", place, "--model", ctap, "--voice", tmp_path / f"{name}.wav", "-o", made)[0] == 0
        spoken.append(Audio.read(made).samples)
        mark = read_mark(made)
        assert mark is not None
        assert mark.use == "voice conversion"
    assert not np.allclose(*spoken, atol=1e-3)
    code, _, complaint = run("decode", place, "--model", model, "--voice", tmp_path / "b.wav", "-o", tmp_path / "c.wav")
    assert (code, (tmp_path / "c.wav").exists()) == (1, False)
    assert "takes no other" in complaint


def test_levels_make_a_smaller_file(run: Run, model: Path, tmp_path: Path) -> None:
    speechlike(20_000).write(tmp_path / "a.wav")
    run("encode", tmp_path / "a.wav", "-o", tmp_path / "a.tokens", "--model", model, "--levels", 2)
    assert Tokens.read(tmp_path / "a.tokens").spec.num_codebooks == 2
    code, _, err = run("encode", tmp_path / "a.wav", "-o", tmp_path / "b.tokens", "--model", model, "--levels", 9)
    assert (code, err.count("\n")) == (1, 1)
    assert "9 levels were asked of tokens that have 4" in err


def test_a_folder_mirrors_into_a_folder(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.wav", "deep/b.flac"):
        speechlike(3_000).write(tmp_path / "in" / name)
    assert run("encode", tmp_path / "in", "-o", tmp_path / "out", "--model", model)[0] == 0
    assert files(tmp_path / "out") == ["a.tokens", "deep/b.tokens"]
    assert run("decode", tmp_path / "out", "-o", tmp_path / "back", "--model", model)[0] == 0
    assert files(tmp_path / "back") == ["a.wav", "deep/b.wav"]


def test_one_bad_file_is_named_and_the_rest_go_on(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    speechlike(3_000).write(tmp_path / "in" / "good.wav")
    (tmp_path / "in" / "bad.wav").write_text("these are words")
    code, out, err = run("encode", tmp_path / "in", "-o", tmp_path / "out", "--model", model)
    assert (code, out.count("\n")) == (1, 1)
    first, last = err.splitlines()
    assert first.startswith("failed: ")
    assert "bad.wav: cannot be read as audio" in first
    assert last == "vocable: 1 of 2 files failed; the others are done"
    assert files(tmp_path / "out") == ["good.tokens"]


def _silent(path: Path) -> None:
    Audio(np.zeros(8_000, dtype=np.float32), 16_000).write(path)


def _clipped(path: Path) -> None:
    Audio(np.clip(speechlike(8_000).samples * 20, -1, 1), 16_000).write(path)


def _rate(rate: int) -> Callable[[Path], None]:
    return lambda path: speechlike(rate // 2, rate).write(path)


def _stereo(path: Path) -> None:
    soundfile.write(path, np.stack([speechlike(8_000).samples] * 2, axis=1), 16_000)


def _eight_bit(path: Path) -> None:
    soundfile.write(path, speechlike(8_000).samples, 16_000, subtype="PCM_U8")


GOOD: dict[str, Callable[[Path], None]] = {
    "one sample": lambda path: speechlike(1).write(path),
    "silent": _silent,
    "clipped": _clipped,
    "stereo": _stereo,
    "8 bit": _eight_bit,
    **{f"{rate} Hz": _rate(rate) for rate in (8_000, 22_050, 44_100, 48_000)},
}


@pytest.mark.parametrize("kind", GOOD)
def test_odd_but_good_audio_has_tokens(run: Run, model: Path, tmp_path: Path, kind: str) -> None:
    GOOD[kind](tmp_path / "a.wav")
    code, _, err = run("encode", tmp_path / "a.wav", "-o", tmp_path / "a.tokens", "--model", model)
    assert (code, err) == (0, "")
    tokens = Tokens.read(tmp_path / "a.tokens")
    wanted = 1 if kind == "one sample" else 8_000
    assert int(tokens.samples[0]) == wanted
    assert tokens.ids.shape[2] == -(-wanted // 320)


def _empty(path: Path) -> None:
    soundfile.write(path, np.zeros(0, dtype=np.float32), 16_000)


def _not_a_number(path: Path) -> None:
    samples = speechlike(8_000).samples.copy()
    samples[77] = np.nan
    soundfile.write(path, samples, 16_000, subtype="FLOAT")


def _truncated(path: Path) -> None:
    speechlike(40_000).write(path.with_suffix(".flac"))
    data = path.with_suffix(".flac").read_bytes()
    path.with_suffix(".flac").unlink()
    path.write_bytes(data[: len(data) // 2])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (_empty, "holds no samples"),
    "no bytes": (lambda path: path.write_bytes(b""), "cannot be read as audio"),
    "NaN": (_not_a_number, "sample 77 is nan"),
    "truncated FLAC": (_truncated, "truncated|cannot be read as audio"),
    "text": (lambda path: path.write_text("hello"), "convert it to WAV or FLAC"),
    "missing": (lambda path: None, "no such file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_audio_is_one_clear_line_and_leaves_nothing(run: Run, model: Path, tmp_path: Path, kind: str) -> None:
    make, message = BAD[kind]
    make(tmp_path / "a.wav")
    before = files(tmp_path)
    code, out, err = run("encode", tmp_path / "a.wav", "-o", tmp_path / "a.tokens", "--model", model)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"vocable: {tmp_path / 'a.wav'}: ")
    assert any(part in err for part in message.split("|")), err
    assert files(tmp_path) == before


def test_places_that_cannot_be_used(run: Run, model: Path, tmp_path: Path) -> None:
    speechlike(3_000).write(tmp_path / "a.wav")
    (tmp_path / "file").write_text("")
    (tmp_path / "hollow").mkdir()
    a, out = tmp_path / "a.wav", tmp_path / "o.tokens"
    for words, message in (
        (("encode", a, "-o", tmp_path / "file" / "x.tokens", "--model", model), "cannot be created"),
        (("encode", a, "-o", "/dev/full/x.tokens", "--model", model), "cannot be created"),
        (("encode", tmp_path / "hollow", "-o", out, "--model", model), "no audio in here"),
        (("encode", a, "-o", out, "--model", tmp_path / "nowhere"), "no such model"),
        (("encode", a, "-o", out, "--model", tmp_path / "hollow"), "is this a model's or a run's folder?"),
        (("decode", a, "-o", tmp_path / "b.wav", "--model", model), "not a token file"),
        (("decode", tmp_path / "none.tokens", "-o", tmp_path / "b.wav", "--model", model), "cannot be read"),
        (("inspect", tmp_path / "none"), "is no file, folder, model"),
        (("inspect", tmp_path / "file"), "is not a token file"),
        (("train", "nothing", "--data", a, "--out", tmp_path / "run"), "there is no recipe 'nothing'"),
        (("train", "guided-tiny", "--data", tmp_path / "m", "--out", tmp_path / "run"), "cannot be read"),
    ):
        code, _, err = run(*words)
        assert (code, err.count("\n")) == (1, 1), err
        assert message in err
    assert files(tmp_path) == ["a.wav", "file"]


def test_decode_to_no_audio_format(run: Run, model: Path, tmp_path: Path) -> None:
    ready("spectral").encode(speechlike(900)).write(tmp_path / "a.tokens")
    code, _, err = run("decode", tmp_path / "a.tokens", "-o", tmp_path / "a.txt", "--model", model)
    assert code == 1
    assert "'.txt' is not an audio format" in err
    assert files(tmp_path) == ["a.tokens"]


def test_another_models_tokens_are_refused(run: Run, tmp_path: Path) -> None:
    ready("seanet").save(tmp_path / "other")
    ready("spectral").encode(speechlike(900)).write(tmp_path / "a.tokens")
    code, _, err = run("decode", tmp_path / "a.tokens", "-o", tmp_path / "a.wav", "--model", tmp_path / "other")
    assert code == 1
    assert "load the one that made them" in err


def test_a_model_with_a_flipped_byte_or_of_another_version(run: Run, model: Path, tmp_path: Path) -> None:
    speechlike(900).write(tmp_path / "a.wav")
    ready("spectral").save(tmp_path / "m")
    data = bytearray((tmp_path / "m" / "model.safetensors").read_bytes())
    data[-3] ^= 1
    (tmp_path / "m" / "model.safetensors").write_bytes(data)
    words = ("encode", tmp_path / "a.wav", "-o", tmp_path / "a.tokens", "--model", tmp_path / "m")
    code, _, err = run(*words)
    assert code == 1
    assert "the weights are altered" in err
    card = json.loads((tmp_path / "m" / "model.json").read_text())
    (tmp_path / "m" / "model.json").write_text(json.dumps(card | {"format": 99}))
    code, _, err = run(*words)
    assert code == 1
    assert "model format 99" in err
    assert not (tmp_path / "a.tokens").exists()


def test_two_inputs_for_one_output(run: Run, model: Path, tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        speechlike(900).write(tmp_path / folder / "a.wav")
    code, _, err = run("encode", tmp_path / "x", tmp_path / "y", "-o", tmp_path / "out", "--model", model)
    assert code == 1
    assert "two inputs would be written here" in err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no json", "line 2: this is no JSON"),
        ("[1]", "line 2: this is no JSON object"),
        ('{"text": "x"}', "line 2: the key 'audio_path' is missing"),
        ('{"audio_path": "a.wav", "duration": -1}', "line 2: duration is -1"),
    ],
)
def test_a_bad_manifest_line_is_named(run: Run, tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "m.jsonl").write_text('{"audio_path": "a.wav", "split": "train"}\n' + line + "\n")
    code, _, err = run("train", "guided-tiny", "--data", tmp_path / "m.jsonl", "--out", tmp_path / "run")
    assert code == 1
    assert f"m.jsonl, {message}" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_train_inspect_and_use_a_run(run: Run, tmp_path: Path) -> None:
    speechlike(40_000).write(tmp_path / "a.wav")
    (tmp_path / "m.jsonl").write_text('{"audio_path": "a.wav", "text": null, "split": "train"}\n')
    words = ("train", "guided-tiny", "--data", tmp_path / "m.jsonl", "--out", tmp_path / "run", "--steps", 6)
    assert run(*words)[0] == 0
    code, _, err = run(*words)
    assert code == 1
    assert "holds a run already; pass --resume" in err
    assert run(*words[:-1], 8, "--resume")[0] == 0
    code, out, _ = run("inspect", tmp_path / "run")
    assert code == 0
    assert "8 of 8" in out
    assert "perplexity" in out
    encode = ("encode", tmp_path / "a.wav", "-o", tmp_path / "a.tokens", "--model", tmp_path / "run")
    assert run(*encode)[0] == 0
    code, out, _ = run("inspect", tmp_path / "a.tokens")
    assert code == 0
    assert "125 frames" in out or "125" in out
    code, _, err = run(*words, "--precision", "float8")
    assert code == 1
    assert "train.precision: 'float8': Input should be 'float32' or 'bfloat16'" in err


def test_inspect_a_recipe_shows_the_papers_sizes(run: Run) -> None:
    code, out, _ = run("inspect", "guided-paper")
    assert code == 0
    assert "67,705,856" in out
    assert "4000 bit/s" in out


def test_help_does_not_wait_for_torch() -> None:
    assert "Speech to tokens and back" in quick_help()


def test_a_name_that_is_no_text(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    good, bad = (tmp_path / "in" / os.fsdecode(name) for name in (b"caf\xe9.wav", b"th\xe9.wav"))
    speechlike(900).write(tmp_path / "a.wav")
    (tmp_path / "a.wav").rename(good)
    bad.write_text("words")
    code, out, err = run("encode", tmp_path / "in", "-o", tmp_path / "out", "--model", model)
    assert code == 1
    assert "caf?.wav" in out
    assert "th\\udce9.wav: cannot be read" in err
    assert len(files(tmp_path / "out")) == 1
