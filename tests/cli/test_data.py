"""``vocable data`` as a user types it."""

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run, quick_help
from vocable.audio import Audio
from vocable.data.manifest import read_manifest


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "fsdd"
    (folder / "recordings").mkdir(parents=True)
    for speaker in ("ann", "bob", "eve"):
        for take in (0, 7):
            clip = Audio(np.zeros(28_800, dtype=np.float32), 8_000)
            clip.write(folder / "recordings" / f"4_{speaker}_{take}.wav")
    return folder


def test_prepare_writes_a_manifest_and_tells_what_is_in_it(run: Run, corpus: Path, tmp_path: Path) -> None:
    code, out, err = run("data", "prepare", "fsdd", corpus, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        *(f"{split}: 2 recordings, 1 speakers, 0.002 hours" for split in ("train", "dev", "test")),
        str(tmp_path / "out" / "manifest.jsonl"),
    ]
    assert {one.text for one in read_manifest(tmp_path / "out" / "manifest.jsonl")} == {"four"}


def test_split_and_seed_are_taken(run: Run, corpus: Path, tmp_path: Path) -> None:
    words = ("data", "prepare", "fsdd", corpus, "--out", tmp_path / "out")
    assert "train: 3 recordings, 3 speakers" in run(*words, "--split", "official")[1]
    seen = set()
    for seed in range(6):
        assert run(*words, "--seed", seed, "--overwrite")[0] == 0
        seen.add((tmp_path / "out" / "manifest.jsonl").read_text())
    assert len(seen) > 1


def test_a_bad_recording_is_named_and_the_rest_go_on(run: Run, corpus: Path, tmp_path: Path) -> None:
    (corpus / "recordings" / "5_ann_0.wav").write_text("words")
    (corpus / "recordings" / "caf\udce9.wav").write_text("words")
    code, out, _ = run("data", "prepare", "fsdd", corpus, "--out", tmp_path / "out")
    assert code == 0
    assert "5_ann_0.wav: cannot be read as audio" in out
    assert "1 files left out: their names do not follow the corpus, such as caf?.wav" in out
    assert len(read_manifest(tmp_path / "out" / "manifest.jsonl")) == 6


def test_what_is_wrong_is_one_line_and_leaves_nothing(run: Run, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for words, message in (
        (
            ("data", "prepare", "nothing", corpus, "--out", out),
            "there is no corpus 'nothing'; there are audiomnist, fsdd",
        ),
        (("data", "prepare", "audiomnist", corpus, "--out", out), "holds no AudioMNIST"),
        (("data", "prepare", "fsdd", corpus, "--out", out, "--split", "half"), "split is 'half'"),
        (("data", "prepare", "digit_strings", corpus, "--out", out), "cannot be read"),
    ):
        code, _, err = run(*words)
        assert (code, err.count("\n")) == (1, 1), err
        assert message in err
    assert not out.exists()


def test_a_folder_of_recordings_becomes_a_manifest(run: Run, tmp_path: Path) -> None:
    for number, name in enumerate(("ann/a.wav", "ben/b.wav", "eve/c.wav", "eve/d.m4a", "eve/e.wav")):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("wav"):
            Audio(np.full(800 + number, 0.1, dtype=np.float32), 8_000).write(tmp_path / "mine" / name)
        else:
            (tmp_path / "mine" / name).write_bytes(b"no audio")
    (tmp_path / "mine" / "ann" / "a.txt").write_text("hello")
    (tmp_path / "more.csv").write_text("path,text\nben/b.wav,there\n")
    words = ("data", "prepare", "folder", tmp_path / "mine", "--out", tmp_path / "out")
    code, out, err = run(*words, "--texts", tmp_path / "more.csv")
    assert (code, err) == (0, "")
    assert "d.m4a" in out
    assert "1 of 5 recordings cannot be used" in out
    texts = {one.audio_path.name: one.text for one in read_manifest(tmp_path / "out" / "manifest.jsonl")}
    assert texts == {"a.wav": "hello", "b.wav": "there", "c.wav": None, "e.wav": None}
    code, _, err = run("data", "prepare", "fsdd", tmp_path / "mine", "--out", tmp_path / "no", "--speaker", "(.)")
    assert (code, err.count("\n")) == (1, 1)
    assert "--speaker is for recordings of your own" in err
    code, _, err = run("train", "guided-tiny", "--data", tmp_path / "mine", "--out", tmp_path / "run")
    assert (code, err.count("\n")) == (1, 1)
    assert f"vocable data prepare folder {tmp_path}/mine --out DIR" in err


def test_help_does_not_wait_for_torch() -> None:
    assert "Write the manifest of a published corpus" in quick_help("data", "prepare")
