"""``vocable generate`` as a user types it, and ``vocable train`` of what it speaks with."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.conftest import Run, files, quick_help
from tests.digits import write_digits
from tests.models import ready, ready_speaker
from vocable import load
from vocable.apps.generate import _PAUSE, generate, generate_strip
from vocable.audio import Audio


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speaker")
    ready_speaker().save(folder)
    return folder


def heard(path: Path, wanted: Audio) -> bool:
    """Whether a 16-bit file holds this clip."""
    clip = Audio.read(path)
    return (
        clip.sample_rate == wanted.sample_rate
        and clip.samples.size == wanted.samples.size
        and bool(np.abs(clip.samples - np.clip(wanted.samples, -1, 1)).max() < 1e-4)
    )


def test_files_are_named_after_what_is_said(run: Run, model: Path, tmp_path: Path) -> None:
    code, out, _ = run("generate", "--digit", 7, "-n", 3, "-o", tmp_path / "out", "--seed", 2, "--model", model)
    assert code == 0
    assert files(tmp_path) == ["out/7-000.wav", "out/7-001.wav", "out/7-002.wav"]
    wanted = generate(load(model), label=7, n=3, seed=2)
    for index, clip in enumerate(wanted):
        path = tmp_path / f"out/7-00{index}.wav"
        assert heard(path, clip)
        assert f"{path}: {clip.duration:.2f} s" in out


def test_one_file_where_a_file_is_named(run: Run, model: Path, tmp_path: Path) -> None:
    words = ("generate", "--digit", 3, "--speaker", "bob", "--model", model, "-o", tmp_path / "x.wav")
    assert run(*words)[0] == 0
    assert files(tmp_path) == ["x.wav"]
    assert heard(tmp_path / "x.wav", generate(load(model), label=3, speaker="bob")[0])


def test_several_digits_become_one_clip(run: Run, model: Path, tmp_path: Path) -> None:
    words = ("generate", "--digit", "2 0 2", "--model", model, "--seed", 4, "-n", 2, "-o", tmp_path)
    assert run(*words)[0] == 0
    assert files(tmp_path) == ["2-0-2-000.wav", "2-0-2-001.wav"]
    for index in range(2):
        assert heard(tmp_path / f"2-0-2-00{index}.wav", generate_strip(load(model), ["2", "0", "2"], seed=4 + index))
    assert run(*words[:-4], "-o", tmp_path / "y.flac", "--speaker", "ann")[0] == 0
    assert Audio.read(tmp_path / "y.flac").duration == pytest.approx(0.24 + 0.2 + 0.24 + 2 * _PAUSE, abs=2e-3)


def test_anything_where_nothing_is_asked_for(run: Run, model: Path, tmp_path: Path) -> None:
    assert run("generate", "--model", model, "-o", tmp_path)[0] == 0
    assert files(tmp_path) == ["any-000.wav"]
    assert heard(tmp_path / "any-000.wav", generate(load(model))[0])


def test_the_choice_can_be_narrowed(run: Run, model: Path, tmp_path: Path) -> None:
    for name, *words in (("a", "--temperature", 0), ("b", "--top-k", 1), ("c", "--top-p", 1e-6, "--seed", 9)):
        assert (
            run("generate", "--digit", 1, "--speaker", "ann", "--model", model, "-o", tmp_path / f"{name}.wav", *words)[
                0
            ]
            == 0
        )
    one, two, three = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert one == two == three


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--digit", 12), "digit '12' is unknown; choose one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (("--digit", "1 x"), "digit 'x' is unknown; choose one of 0, 1,"),
        (("--speaker", "eve"), "speaker 'eve' is unknown; choose one of ann, bob"),
        (("--accent", "x"), "this model has no condition 'accent'; its conditions: digit, speaker"),
        (("--gender", "female"), "this model has no condition 'gender'"),
        (("--top-k", 99), "top_k is 99: give 1 to 32"),
        (("--top-p", 0), "top_p is 0.0: give more than 0"),
        (("-n", 2, "-o", "x.wav"), "x.wav is one file and there are 2 results; pass a folder"),
        (("--digit", "1 2", "-n", 2, "-o", "x.FLAC"), "x.FLAC is one file and there are 2 results"),
        (("-o", "x.aif"), "'.aif' is not an audio format vocable writes"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("generate", "--model", model, *words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("vocable: ")
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_speak_is_one_line(run: Run, tmp_path: Path) -> None:
    ready("spectral").save(tmp_path / "guided")
    for name, message in (("guided", "has no prior to sample from; take a VQalAttent"), ("nowhere", "no such model")):
        code, _, err = run("generate", "--model", tmp_path / name, "-o", tmp_path / "x.wav")
        assert (code, err.count("\n")) == (1, 1)
        assert message in err
    assert not (tmp_path / "x.wav").exists()


@pytest.mark.parametrize("words", [("-n", "0"), ("--temperature", "-1"), ("--seed", "-1"), ("--top-k", "0")])
def test_numbers_out_of_range_are_refused_at_once(run: Run, words: tuple[str, str]) -> None:
    code, _, err = run("generate", *words)
    assert code == 2
    assert "is no whole number" in err or "is no number" in err
    assert words[1] in err


@pytest.mark.parametrize(("command", "option"), [("generate", "--digit"), ("train", "--init")])
def test_help_does_not_wait_for_torch(command: str, option: str) -> None:
    assert option in quick_help(command)


@pytest.mark.slow
def test_train_then_begin_another_prior_from_it_then_speak(run: Run, tmp_path: Path) -> None:
    manifest = write_digits(tmp_path / "data", takes=2, digits=3)
    words = ("train", "vqalattent-tiny", "--data", manifest, "--batch-size", 4)
    assert run(*words, "--out", tmp_path / "one", "--steps", 10)[0] == 0
    code, out, _ = run(*words, "--out", tmp_path / "two", "--steps", 2, "--init", tmp_path / "one")
    assert code == 0, out
    one, two = (load(tmp_path / name).model for name in ("one", "two"))
    assert all(torch.equal(value, two.vqvae.state_dict()[name]) for name, value in one.vqvae.state_dict().items())
    for name in ("one", "two"):
        code, out, _ = run("generate", "--digit", "2", "--model", tmp_path / name, "-o", tmp_path / f"{name}.wav")
        assert code == 0, out
        assert Audio.read(tmp_path / f"{name}.wav").sample_rate == 8_000
    code, _, err = run("generate", "--digit", "7", "--model", tmp_path / "two", "-o", tmp_path / "x.wav")
    assert (code, "digit '7' is unknown; choose one of 0, 1, 2" in err) == (1, True)


def test_a_beginning_that_is_none_is_one_line_and_leaves_nothing(run: Run, model: Path, tmp_path: Path) -> None:
    manifest = write_digits(tmp_path / "data", takes=2, digits=1)
    words = ("train", "vqalattent-tiny", "--data", manifest, "--out", tmp_path / "run")
    for start, message in ((tmp_path / "nowhere", "no such model"), (tmp_path / "data", "is this a model's")):
        code, _, err = run(*words, "--init", start)
        assert (code, err.count("\n")) == (1, 1), err
        assert message in err
    assert not (tmp_path / "run").exists()
