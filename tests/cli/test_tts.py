"""``vocable tts`` as a user types it: files that hold what Python gives, one-line errors, nothing half-written."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run, files, quick_help
from tests.models import ready
from vocable import load, synthesize
from vocable.audio import Audio
from vocable.audio_files.mark import read_mark
from vocable.systems.ctap import recipe as ctap
from vocable.systems.ctap.networks import CtapModel
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.testing import speechlike
from vocable.vocoders import MelSpec

ANN, BOB = speechlike(8_000, 8_000, seed=1), speechlike(24_000, 16_000, seed=2)
HELLO = "HH AH L OW"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with two voices and a short one in ``in``."""
    (tmp_path / "in").mkdir()
    for name, clip in (("ann", ANN), ("bob", BOB), ("short", Audio(ANN.samples[:2_400], 8_000))):
        clip.write(tmp_path / "in" / f"{name}.wav")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wanted(
    model: Path, text: str | None = None, phonemes: str | None = None, voice: str = "ann", seed: int = 0
) -> np.ndarray:
    said = None if phonemes is None else phonemes.split()
    made = synthesize(load(model), text, Audio.read(f"in/{voice}.wav"), seed=seed, phonemes=said)
    return np.clip(made.samples, -1, 1)


def heard(path: str, samples: np.ndarray) -> bool:
    """Whether a 16-bit file holds these samples."""
    clip = Audio.read(path)
    return clip.samples.shape == samples.shape and bool(np.abs(clip.samples - samples).max() < 1e-4)


def written() -> list[str]:
    return [name for name in files(Path()) if not name.startswith("in/")]


@pytest.mark.slow
def test_a_text_in_a_voice(run: Run, here: Path, model: Path) -> None:
    code, out, _ = run("tts", "Hello, world!", "--voice", "in/ann.wav", "--model", model)
    assert (code, written()) == (0, ["spoken/001.wav"])
    samples = wanted(model, "Hello, world!")
    assert heard("spoken/001.wav", samples)
    assert out == f"'Hello, world!' → spoken/001.wav: {samples.size / 8_000:.2f} s\n"


@pytest.mark.slow
def test_into_one_file_with_another_seed_and_voice(run: Run, here: Path, model: Path) -> None:
    words = ("tts", "--phonemes", HELLO, "--model", model)
    for name, voice, seed in (("a", "ann", 0), ("b", "ann", 0), ("c", "ann", 7), ("d", "bob", 0)):
        code, out, _ = run(*words, "--voice", f"in/{voice}.wav", "--seed", seed, "-o", f"deep/{name}.flac")
        assert (code, out.startswith(f"phonemes → deep/{name}.flac: ")) == (0, True)
        assert heard(f"deep/{name}.flac", wanted(model, phonemes=HELLO, voice=voice, seed=seed))
    a, b, c, d = (Path(f"deep/{name}.flac").read_bytes() for name in "abcd")
    assert a == b
    assert len({a, c, d}) == 3


def test_given_phonemes_win(run: Run, here: Path, model: Path) -> None:
    assert run("tts", "world", "--phonemes", HELLO, "--voice", "in/ann.wav", "-o", "x.wav", "--model", model)[0] == 0
    assert heard("x.wav", wanted(model, phonemes=HELLO))


TEXTS = "\ufeffhello\r\n\n  good morning  \nhi 😀\n\nworld"


def test_a_file_of_texts_a_bad_one_is_named_and_the_rest_go_on(run: Run, here: Path, model: Path) -> None:
    Path("in/texts.txt").write_text(TEXTS, encoding="utf-8", newline="")
    words = ("tts", "--voice", "in/ann.wav", "--model", model, "--seed", 3, "-o", "out")
    code, out, err = run(*words, "--file", "in/texts.txt")
    failed, last = err.splitlines()
    assert (code, last) == (1, "vocable: 1 of 4 files failed; the others are done")
    assert written() == ["out/001.wav", "out/003.wav", "out/006.wav"]
    assert "in/texts.txt, line 3 → out/003.wav: " in out
    assert failed.startswith("failed: in/texts.txt, line 4: text 'hi 😀': '😀' (U+1F600, grinning face) cannot be said")
    for number, text in ((1, "hello"), (3, "good morning"), (6, "world")):
        assert heard(f"out/{number:03d}.wav", wanted(model, text, seed=3))


def test_texts_on_standard_input(run: Run, here: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for out, name in (("x.wav", "x.wav"), ("out", "out/002.wav")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\nhello\n")))
        code, said, _ = run("tts", "--file", "-", "--voice", "in/ann.wav", "--model", model, "-o", out)
        assert (code, said.startswith(f"standard input, line 2 → {name}: ")) == (0, True)
        assert heard(name, wanted(model, "hello"))


def test_a_vocoder_by_name(run: Run, here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The spectra are those of the vocoder in the box, so that there are two to choose from."""
    folder = tmp_path_factory.mktemp("box")
    mel = MelSpec(sample_rate=8_000, n_fft=384, hop=96, bins=64)
    net = CtapModel(replace(ctap.tiny().model, mel=mel))
    net.trained.fill_(1)
    CtapTokenizer(net).save(folder)
    words = ("tts", "--phonemes", HELLO, "--voice", "in/ann.wav", "--model", folder)
    for name, choice in (("a", ()), ("b", ("--vocoder", "vocoder-8k")), ("c", ("--vocoder", "griffin-lim"))):
        assert run(*words, *choice, "-o", f"{name}.wav")[0] == 0
    a, b, c = (Path(f"{name}.wav").read_bytes() for name in "abc")
    assert a == b != c
    code, _, err = run(*words, "--vocoder", "nobody", "-o", "d.wav")
    assert (code, err.count("\n"), "there is no vocoder 'nobody'; give a folder, or" in err) == (1, 1, True)
    assert written() == ["a.wav", "b.wav", "c.wav"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("",), "text '': there is nothing in it to say; give words"),
        (("hi 😀",), "text 'hi 😀': '😀' (U+1F600, grinning face) cannot be said"),
        (("--phonemes", "HH XX"), "phoneme 2 of 2, 'XX', is not among the 40 of this set"),
        (("--phonemes", ""), "phonemes: there is nothing in [] to say; give phonemes"),
        ((), "nothing to synthesize, or too much: pass a text, its phonemes, or a file of texts"),
        (("hello", "--file", "in/texts.txt"), "nothing to synthesize, or too much"),
        (("--phonemes", HELLO, "--file", "in/texts.txt"), "nothing to synthesize, or too much"),
        (("--file", "in/none.txt"), "in/none.txt: cannot be read (No such file or directory); check the path"),
        (("--file", "in"), "in: cannot be read (Is a directory); check the path"),
        (("--file", "in/ann.wav"), "in/ann.wav: byte 4 is not UTF-8; save the text as UTF-8"),
        (("--file", "in/blank.txt"), "in/blank.txt: the file has no text; write one on each line"),
        (("--file", "in/texts.txt", "-o", "x.wav"), "x.wav is one file and there are 2 results; pass a folder"),
        (
            ("hello", "--voice", "in/short.wav"),
            "in/short.wav: the voice is 0.30 s long, at least 0.5 s are needed",
        ),
        (("hello", "--voice", "in/none.wav"), "in/none.wav: no such file"),
        (("hello", "--voice", "in/texts.txt"), "in/texts.txt: cannot be read as audio"),
        (
            ("hello", "-o", "in/ann.wav"),
            "in/ann.wav: this input would be overwritten; write to",
        ),
        (("hello", "-o", "x.aif"), "'.aif' is not an audio format vocable writes"),
        (("hello", "--model", "nowhere"), "nowhere: no such model; give a folder, or one of: "),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    run: Run, here: Path, model: Path, words: tuple[str, ...], message: str
) -> None:
    Path("in/texts.txt").write_text("hello\nworld\n")
    Path("in/blank.txt").write_text(" \n\n")
    before = Path("in/ann.wav").read_bytes()
    code, out, err = run("tts", "--voice", "in/ann.wav", "--model", model, *words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("vocable: ")
    assert message in err
    assert [path.name for path in here.iterdir()] == ["in"]
    assert Path("in/ann.wav").read_bytes() == before


def test_a_file_that_is_too_large_is_refused(run: Run, here: Path, model: Path) -> None:
    with Path("in/large.txt").open("wb") as file:
        file.truncate(16 * 2**20 + 1)
    code, _, err = run("tts", "--file", "in/large.txt", "--voice", "in/ann.wav", "--model", model)
    assert (code, "in/large.txt: has more than 16 MiB; split it into smaller files" in err) == (1, True)


def test_a_model_of_another_system_is_one_line(run: Run, here: Path, tmp_path: Path) -> None:
    ready("spectral").save(tmp_path / "in/guided")
    words = ("tts", "hello", "--voice", "in/ann.wav", "--model", "in/guided")
    for choice, message in (
        ((), "a GuidedTokenizer synthesizes no speech from text; take ctap-small"),
        (("--vocoder", "griffin-lim"), "in/guided: a guided model makes samples itself and takes no vocoder"),
    ):
        code, _, err = run(*words, *choice)
        assert (code, err.count("\n"), message in err) == (1, 1, True)
    assert written() == []


def test_a_vocoder_is_handed_on(model: Path) -> None:
    assert load(model, vocoder="griffin-lim").vocoder.name == "griffin-lim"


@pytest.mark.usefixtures("here")
def test_a_model_without_voices_needs_a_recording(run: Run, model: Path) -> None:
    code, _, err = run("tts", "--phonemes", HELLO, "--model", model)
    assert code == 1
    assert "this model comes with no voice; give a recording of the speaker (--voice FILE)" in err


@pytest.mark.slow
def test_voices_of_the_model_are_taken_by_name_and_the_first_by_default(run: Run, here: Path, model: Path) -> None:
    tokenizer = load(model)
    for name, clip in (("cara", BOB), ("ann", ANN)):
        tokenizer.add_voice(name, [clip])
    tokenizer.save(here / "voices")
    speech = ("tts", "--phonemes", HELLO, "--model", "voices")
    for options, name in ((("--voice", "cara"), "cara"), ((), "ann")):
        code, _, err = run(*speech, *options, "-o", f"{name}.wav")
        assert (code, err) == (0, "")
        assert read_mark(f"{name}.wav") is not None
        made = synthesize(tokenizer, None, tokenizer.voices[name], phonemes=HELLO.split())
        assert heard(f"{name}.wav", np.clip(made.samples, -1, 1))
    assert run("vc", "in/bob.wav", "--voice", "cara", "--model", "voices", "-o", "vc.wav")[0] == 0
    assert run("encode", "in/bob.wav", "--model", "voices", "-o", "bob.tokens")[0] == 0
    assert run("decode", "bob.tokens", "--voice", "cara", "--model", "voices", "-o", "decoded.wav")[0] == 0
    assert np.array_equal(Audio.read("vc.wav").samples, Audio.read("decoded.wav").samples)
    assert read_mark("vc.wav") == read_mark("decoded.wav") is not None
    assert "ann, cara" in run("inspect", "voices")[1]
    for command in (speech, ("vc", "in/bob.wav", "--model", "voices"), ("decode", "bob.tokens", "--model", "voices")):
        code, _, err = run(*command, "--voice", "dora", "-o", "none.wav")
        assert code == 1
        assert "no recording 'dora', and no voice of this name in the model, which has ann, cara" in err
    Path("in/ann.wav").rename("cara")  # a recording is taken before a voice
    assert run(*speech, "--voice", "cara", "-o", "file.wav")[0] == 0
    Path("cara").rename("in/ann.wav")
    assert heard("file.wav", wanted(model, phonemes=HELLO))


def test_help_does_not_wait_for_torch() -> None:
    assert "--phonemes" in quick_help("tts")
