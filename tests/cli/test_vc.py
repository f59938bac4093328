"""``vocable vc`` as a user types it: files that hold what Python gives, one-line errors, nothing half-written."""

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run, files, quick_help
from tests.models import ready, ready_speaker
from vocable import convert, load
from vocable.apps.vc import Mix
from vocable.audio import Audio
from vocable.testing import speechlike

ANN = speechlike(8_000, 8_000, seed=1)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with a voice, a short one, and sources in ``in``."""
    (tmp_path / "in/talk/deep").mkdir(parents=True)
    ANN.write(tmp_path / "in/ann.wav")
    Audio(ANN.samples[:2_400], 8_000).write(tmp_path / "in/short.wav")
    speechlike(11_000, 8_000, seed=5).write(tmp_path / "in/talk/a.wav")
    speechlike(20_000, 16_000, seed=6).write(tmp_path / "in/talk/deep/b.flac")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def holds(path: str, source: str, model: Path, mix: Mix | None = None) -> bool:
    """Whether a 16-bit file holds what Python makes of a source."""
    clip = Audio.read(path)
    made = convert(load(model), Audio.read(source), Audio.read("in/ann.wav"), mix)
    same = clip.sample_rate == made.sample_rate and clip.samples.shape == made.samples.shape
    return same and bool(np.abs(clip.samples - np.clip(made.samples, -1, 1)).max() < 1e-4)


def written() -> list[str]:
    return [name for name in files(Path()) if not name.startswith("in/")]


def test_one_recording(run: Run, here: Path, model: Path) -> None:
    words = ("vc", "in/talk/a.wav", "--voice", "in/ann.wav", "--model", model)
    code, out, _ = run(*words)
    assert (code, out) == (0, "in/talk/a.wav → converted/a.wav: 1.38 s\n")
    assert run(*words, "-o", "new/x.flac")[0] == 0
    assert written() == ["converted/a.wav", "new/x.flac"]
    assert holds("converted/a.wav", "in/talk/a.wav", model)
    assert holds("new/x.flac", "in/talk/a.wav", model)


def test_a_folder_mirrors_into_a_folder(run: Run, here: Path, model: Path) -> None:
    assert run("vc", "in/talk", "--voice", "in/ann.wav", "-o", "out", "--model", model)[0] == 0
    assert written() == ["out/a.wav", "out/deep/b.wav"]
    assert holds("out/deep/b.wav", "in/talk/deep/b.flac", model)


def test_one_bad_file_is_named_and_the_rest_go_on(run: Run, here: Path, model: Path) -> None:
    Path("in/talk/bad.wav").write_text("these are words")
    words = ("in/talk/a.wav", "in/talk/bad.wav", "in/none.wav", "in/talk/deep/b.flac")
    code, out, err = run("vc", *words, "--voice", "in/ann.wav", "-o", "out", "--model", model)
    assert (code, out.count("\n")) == (1, 2)
    bad, missing, last = err.splitlines()
    assert bad.startswith("failed: in/talk/bad.wav: cannot be read as audio")
    assert missing == "failed: in/none.wav: no such file"
    assert last == "vocable: 2 of 4 files failed; the others are done"
    assert written() == ["out/a.wav", "out/b.wav"]


def test_the_guided_codec_mixes_levels(run: Run, here: Path) -> None:
    ready("spectral").save("in/guided")
    words = ("vc", "in/talk/a.wav", "--voice", "in/ann.wav", "--model", "in/guided", "-o", "x.wav")
    assert run(*words)[0] == 0
    assert holds("x.wav", "in/talk/a.wav", Path("in/guided"))
    for options, mix in (
        (("--levels", 2), Mix(levels=2)),
        (("--align", "dtw"), Mix(align="dtw")),
        (("--upto", 2), Mix(upto=2)),
        (("--levels", 3, "--align", "dtw"), Mix(levels=3, align="dtw")),
    ):
        assert run(*words, *options, "--overwrite")[0] == 0
        assert holds("x.wav", "in/talk/a.wav", Path("in/guided"), mix)
        assert not holds("x.wav", "in/talk/a.wav", Path("in/guided"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--voice", "in/short.wav"),
            "in/short.wav: the voice is 0.30 s long, at least 0.5 s are needed",
        ),
        (("--voice", "in/none.wav"), "in/none.wav: no such file"),
        (("-o", "in/talk/a.wav"), "in/talk/a.wav: this input would be overwritten; write to"),
        (("-o", "in/talk"), "in/talk/a.wav: this input would be overwritten"),
        (("-o", "in/ann.wav"), "in/ann.wav: this input would be overwritten"),
        (("in/ann.wav", "-o", "x.wav"), "x.wav is one file and there are 2 results; pass a folder"),
        (("in/other/a.wav", "-o", "out"), "out/a.wav: two inputs would be written here; rename one, or"),
        (("in/empty",), "in/empty: no audio in here"),
        (("-o", "x.aif"), "'.aif' is not an audio format vocable writes"),
        (("--model", "in/speaker"), "a VqalattentTokenizer cannot convert voices; take guided-small or ctap-small"),
        (("--model", "nowhere"), "nowhere: no such model; give a folder, or one of: "),
        (
            ("--levels", "2"),
            "a CtapTokenizer keeps the voice beside its tokens and mixes no levels: leave",
        ),
        (("--align", "x"), "align is 'x': Input should be 'repeat' or 'dtw'"),
        (("--vocoder", "nobody"), "there is no vocoder 'nobody'; give a folder, or one of: griffin-lim"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    run: Run, here: Path, model: Path, words: tuple[str, ...], message: str
) -> None:
    Path("in/empty").mkdir()
    ready_speaker().save("in/speaker")
    before = {name: Path(name).read_bytes() for name in files(Path())}
    code, out, err = run("vc", "in/talk/a.wav", "--voice", "in/ann.wav", "--model", model, *words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("vocable: ")
    assert message in err
    assert {name: Path(name).read_bytes() for name in files(Path())} == before
    assert [path.name for path in here.iterdir()] == ["in"]


def test_a_source_that_is_missing_is_one_line(run: Run, here: Path, model: Path) -> None:
    code, out, err = run("vc", "in/none.wav", "--voice", "in/ann.wav", "--model", model)
    assert (code, out, err) == (1, "", "vocable: in/none.wav: no such file\n")
    assert written() == []


def test_help_does_not_wait_for_torch() -> None:
    assert "--voice" in quick_help("vc")
