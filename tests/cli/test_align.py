"""``vocable data align`` as a user types it."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run, quick_help
from vocable.audio import Audio
from vocable.data.alignment import alignment_of
from vocable.data.manifest import read_manifest


@pytest.fixture
def read(speech_data: Path, tmp_path: Path) -> Path:
    """Two recordings of SpeechOcean762 with their phones, and one of nothing."""
    source = speech_data / "read_speechocean762"
    rows = [json.loads(line) for line in (source / "manifest.jsonl").read_text().splitlines()[:2]]
    Audio(np.zeros(800, dtype=np.float32), 16_000).write(tmp_path / "short.wav")
    rows = [row | {"audio_path": str(source / row["audio_path"])} for row in rows]
    rows.append(rows[0] | {"audio_path": "short.wav", "duration": 0.05})
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "manifest.jsonl"


@pytest.mark.slow
def test_recordings_are_aligned_and_the_others_named(run: Run, read: Path, tmp_path: Path) -> None:
    out = tmp_path / "aligned.jsonl"
    code, told, err = run("data", "align", read, "--out", out)
    assert (code, err) == (0, "")
    assert told.splitlines() == [
        f"left out: {tmp_path}/short.wav: 0 of 4 words were found in 0.05 s; compare them with it",
        "2 of 3 recordings aligned",
        str(out),
    ]
    aligned = read_manifest(out)
    assert [alignment_of(one) is not None for one in aligned] == [True, True]
    assert run("data", "align", read, "--out", tmp_path / "kept.jsonl", "--keep")[0] == 0
    assert ["alignment" in one.extra for one in read_manifest(tmp_path / "kept.jsonl")] == [True, True, False]


@pytest.mark.slow
def test_the_ctc_head_is_trained_where_it_is_not_there(run: Run, read: Path, weights: Path, tmp_path: Path) -> None:
    words = ("--aligner", "ctc", "--whisper", weights / "whisper-tiny.en", "--head", tmp_path / "head")
    code, told, err = run("data", "align", read, "--out", tmp_path / "one.jsonl", *words)
    assert (code, err) == (0, "")
    assert "CTC head: pass 1 of" in told
    code, told, err = run("data", "align", read, "--out", tmp_path / "two.jsonl", *words)
    assert (code, err) == (0, "")
    assert "CTC head" not in told
    assert (tmp_path / "one.jsonl").read_text() == (tmp_path / "two.jsonl").read_text()


def test_files_of_others_are_read(run: Run, read: Path, tmp_path: Path) -> None:
    name = read_manifest(read)[0].audio_path.stem
    (tmp_path / "theirs.csv").write_text(f"utterance,start,end,symbol\n{name},0.5,1,AA\n")
    code, told, err = run("data", "align", read, "--out", tmp_path / "out.jsonl", "--from", tmp_path / "theirs.csv")
    assert (code, err) == (0, "")
    assert "1 of 3 recordings aligned" in told


def test_what_cannot_be_done_is_one_line(run: Run, read: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    for words, message in (
        (("--least", "0"), "not one of 3 recordings could be aligned; nothing is written"),
        (("--aligner", "mfa"), "there is no aligner 'mfa'"),
        (("--aligner", "ctc"), "needs --whisper"),
        (("--from", tmp_path / "nowhere.TextGrid"), "not one of 3 recordings could be aligned"),
        (("--from", tmp_path / "nowhere.ctm"), "cannot be read"),
    ):
        code, _, err = run("data", "align", read, "--out", out, *words)
        assert (code, err.count("\n")) == (1, 1), err
        assert message in err
    assert not out.exists()


def test_help_does_not_wait_for_torch() -> None:
    assert "Write a manifest with start and end of each phone" in quick_help("data", "align")
