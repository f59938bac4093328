"""FSDD becomes a manifest: whole or not at all, and its metadata are never run."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.data.corpora.conftest import SPEAKERS, lines, no_manifest, silent, sound
from vocable.audio import Audio
from vocable.data.corpora import fsdd
from vocable.data.corpora.recordings import SHARES
from vocable.data.manifest import read_manifest
from vocable.errors import InputError


def test_fsdd_has_the_keys_of_every_digit_manifest(digits: Path, tmp_path: Path) -> None:
    manifest = fsdd.prepare(digits, tmp_path / "out", seed=3, say=silent)
    assert manifest == tmp_path / "out" / "manifest.jsonl"
    rows = lines(manifest)
    assert len(rows) == 6 * 2 * 7
    path = digits.resolve() / "recordings" / "7_jackson_10.wav"
    (row,) = [row for row in rows if row["audio_path"] == str(path)]
    assert row.pop("split") in SHARES
    assert row == {
        "audio_path": str(path), "text": "seven", "speaker": "fsdd-jackson", "duration": 0.02, "digit": 7, "take": 10,
        "gender": "male", "accent": "USA/neutral",
    }  # fmt: skip
    assert all("gender" not in row for row in rows if row["speaker"] != "fsdd-jackson")
    order = [(row["speaker"], row["digit"], row["take"]) for row in rows]
    assert order == sorted(order)
    assert all(one.audio_path.is_file() for one in read_manifest(manifest))


def test_paths_are_relative_where_the_manifest_lies_above_the_recordings(digits: Path) -> None:
    manifest = fsdd.prepare(digits, digits, say=silent)
    assert lines(manifest)[0]["audio_path"] == "recordings/0_george_0.wav"
    assert all(one.audio_path.is_file() for one in read_manifest(manifest))


def test_every_split_is_deterministic_and_keeps_its_law(digits: Path, tmp_path: Path) -> None:
    for seed in range(8):
        rows = lines(fsdd.prepare(digits, tmp_path / "out", seed=seed, say=silent))
        assert {row["split"] for row in rows} == set(SHARES)
        assert len({(row["speaker"], row["split"]) for row in rows}) == len(SPEAKERS)
    first = (tmp_path / "out" / "manifest.jsonl").read_bytes()
    fsdd.prepare(digits, tmp_path / "out", seed=seed, say=silent)
    assert (tmp_path / "out" / "manifest.jsonl").read_bytes() == first
    rows = lines(fsdd.prepare(digits, tmp_path / "out", split="random", say=silent))
    assert Counter(row["split"] for row in rows) == {"train": 67, "dev": 9, "test": 8}
    rows = lines(fsdd.prepare(digits, tmp_path / "out", split="official", say=silent))
    assert {row["take"] for row in rows if row["split"] == "test"} == {0, 3, 4}
    assert {row["take"] for row in rows if row["split"] == "train"} == {5, 6, 10, 49}


def test_what_was_written_is_told(digits: Path, tmp_path: Path) -> None:
    said: list[str] = []
    fsdd.prepare(digits, tmp_path / "out", split="official", say=said.append)
    assert said == ["train: 48 recordings, 6 speakers, 0.000 hours", "test: 36 recordings, 6 speakers, 0.000 hours"]


def test_what_cannot_be_used_is_told_and_left_out(digits: Path, tmp_path: Path) -> None:
    folder = digits / "recordings"
    (folder / "1_theo_0.wav").write_text("these are words")
    (folder / "1_theo_1.wav").write_bytes(b"")
    (folder / "1_theo_2.wav").mkdir()
    Audio(np.zeros(1, dtype=np.float32), 8_000).write(folder / "empty.wav")
    data = (folder / "empty.wav").read_bytes()
    (folder / "1_theo_3.wav").write_bytes(data[:40] + bytes(4))  # a header, and no samples
    for name in ("ten_theo_0.wav", "10_theo_0.wav", "1_theo.wav", "1_theo_0.flac", "٣_theo_0.wav", ".1_theo_9.wav"):
        sound(folder / "x.wav").rename(folder / name)
    said: list[str] = []
    rows = lines(fsdd.prepare(digits, tmp_path / "out", say=said.append))
    assert len(rows) == 84
    told = [line for line in said if line.startswith("left out: ")]
    assert [line.split("recordings/")[1][:12] for line in told] == [f"1_theo_{take}.wav" for take in range(4)]
    assert "cannot be read as audio" in told[0]
    assert "holds no samples" in told[3]
    assert "6 files left out: their names do not follow the corpus, such as 10_theo_0.wav" in said


def test_fsdd_without_metadata_does_not_know_the_speakers(digits: Path, tmp_path: Path) -> None:
    (digits / "metadata.py").unlink()
    rows = lines(fsdd.prepare(digits, tmp_path / "out", say=silent))
    assert {row["speaker"] for row in rows} >= {"fsdd-jackson", "fsdd-george"}
    assert not any({"gender", "accent"} & set(row) for row in rows)


HOSTILE = {
    "a call": "metadata = __import__('os').system('touch {mark}')",
    "a call within": "metadata = {{'theo': {{'gender': open('{mark}', 'w')}}}}",
    "a call beside it": "open('{mark}', 'w')\nmetadata = [1]",
    "a comprehension": "metadata = {{name: {{}} for name in [open('{mark}', 'w')]}}",
    "not assigned": "print(open('{mark}', 'w'))",
    "a list": "metadata = ['theo']",
    "a flat dictionary": "metadata = {{'theo': 'male'}}",
    "no Python": "metadata = {{",
    "nested without end": "metadata = " + "[" * 100_000,
    "minus without end": "metadata = " + "-" * 100_000 + "1",
    "an unhashable key": "metadata = {{[]: {{}}}}",
    "a zero byte": "metadata = {{}}\0",
    "another encoding": "# coding: nowhere\nmetadata = {{}}",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_metadata_that_is_more_than_data_is_refused_and_never_run(kind: str, digits: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (digits / "metadata.py").write_text(HOSTILE[kind].format(mark=mark))
    with pytest.raises(InputError, match=r"metadata\.py: .*copy it again, or remove it"):
        fsdd.prepare(digits, tmp_path / "out", say=silent)
    assert not mark.exists()
    assert no_manifest(tmp_path / "out")


def test_a_corpus_without_a_usable_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "0_theo_0.wav").write_text("words")
    with pytest.raises(InputError, match="recordings: no recording can be used"):
        fsdd.prepare(tmp_path, tmp_path / "out", say=silent)
    assert not (tmp_path / "out").exists()


def test_a_folder_whose_name_is_no_text_is_named(digits: Path, tmp_path: Path) -> None:
    odd = digits.rename(tmp_path / "caf\udce9")
    with pytest.raises(InputError, match="a path or the name of a speaker is no valid text; rename it"):
        fsdd.prepare(odd, tmp_path / "out", say=silent)
    assert not (tmp_path / "out").exists()
    assert len(lines(fsdd.prepare(odd, odd, say=silent))) == 84  # relative paths are text
