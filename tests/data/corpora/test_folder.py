"""A folder of one's own: texts, speakers and splits as people keep them; what cannot be used is named."""

import json
from pathlib import Path

import numpy as np
import pytest

from vocable.audio import Audio
from vocable.data.corpora import find_corpus
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import ConfigError, InputError, ManifestError

prepare = find_corpus("folder")


def record(path: Path, seconds: float = 0.1) -> Path:
    """A recording that no other equals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, str(path)))
    noise = np.random.default_rng(seed).uniform(-0.1, 0.1, int(seconds * 8_000)).astype(np.float32)
    Audio(noise, 8_000).write(path)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Five speakers with two recordings each."""
    root = tmp_path / "recordings"
    for speaker in ("ann", "ben", "cat", "dan", "eve"):
        for name in ("one", "two"):
            record(root / speaker / f"{name}.wav").with_suffix(".txt").write_text(f"{name} of\n {speaker}\n")
    return root


def lines_of(source: Path, out: Path, **options: object) -> tuple[dict[str, Utterance], list[str]]:
    """The manifest by path in the source, and what was said."""
    said: list[str] = []
    lines = read_manifest(prepare(source, out, say=said.append, **options))
    return {one.audio_path.relative_to(source.resolve()).as_posix(): one for one in lines}, said


def test_speakers_are_folders_and_texts_lie_beside(source: Path, tmp_path: Path) -> None:
    lines, said = lines_of(source, tmp_path / "out")
    assert len(lines) == 10
    assert (lines["ann/one.wav"].text, lines["ann/one.wav"].speaker) == ("one of ann", "ann")
    assert lines["ann/one.wav"].duration == 0.1
    splits = {one.speaker: one.split for one in lines.values()}
    assert sorted(splits.values()) == ["dev", "test", "train", "train", "train"]
    assert all(one.split == splits[one.speaker] for one in lines.values())
    assert said == [
        "train: 6 recordings, 3 speakers, 0.000 hours",
        "dev: 2 recordings, 1 speakers, 0.000 hours",
        "test: 2 recordings, 1 speakers, 0.000 hours",
    ]
    assert lines_of(source, tmp_path / "again")[0].keys() == lines.keys()
    seeds = {
        tuple(one.split for one in lines_of(source, tmp_path / f"seed{seed}", seed=seed)[0].values())
        for seed in range(4)
    }
    assert len(seeds) > 1


def test_one_speaker_is_split_by_recording_and_that_is_said(tmp_path: Path) -> None:
    root = tmp_path / "LJ" / "wavs"
    for number in range(10):
        record(root / f"LJ001-{number:04d}.wav")
    rows = [f"LJ001-{number:04d}|Dr. No, {number}|Doctor No, number {number}" for number in range(10)]
    (tmp_path / "LJ" / "metadata.csv").write_text("\n".join([*rows, "LJ001-0099|x|y", "LJ001-0002"]))
    lines, said = lines_of(tmp_path / "LJ", tmp_path / "out")
    assert {one.speaker for one in lines.values()} == {"LJ"}
    assert lines["wavs/LJ001-0003.wav"].text == "Doctor No, number 3"
    assert sorted(one.split for one in lines.values()) == ["dev", "test", *["train"] * 8]
    assert any("1 speaker cannot be shared by 3 splits: recordings are shared instead" in line for line in said)
    assert any("1 lines of tables match no recording, such as 'LJ001-0099'" in line for line in said)
    assert any("metadata.csv, line 12: 1 fields; it needs 3" in line for line in said)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.tsv", 'client_id\tpath\tsentence\nann\tb/1.wav\tHe said "no"\nben\tb/2.wav\tyes\n'),
        ("metadata.csv", 'file_name,transcription,speaker_id\r\nb/1.wav,"He said ""no""",ann\r\nb/2.wav,yes,ben\r\n'),
        ("list.csv", 'path;text;speaker\n1;He said "no";ann\n2;yes;ben\n'.replace('"no"', '"no"')),
        ("filelist.psv", 'b/1.wav|ann|He said "no"\nb/2.wav|ben|yes\nb/3.wav|ann|it is\nb/4.wav|ben|so\n'),
        ("utf16.csv", 'Path,Text,Speaker\nb\\1.wav,"He said ""no""",ann\nb\\2.wav,yes,ben\n'),
    ],
)
def test_tables_are_read_as_others_write_them(tmp_path: Path, name: str, content: str) -> None:
    root = tmp_path / "root"
    for number in (1, 2, 3, 4):
        record(root / "b" / f"{number}.wav")
    (root / name).write_bytes(content.encode("utf-16" if name.startswith("utf16") else "utf-8"))
    lines, _ = lines_of(root, tmp_path / "out", split="random")
    assert (lines["b/1.wav"].text, lines["b/1.wav"].speaker) == ('He said "no"', "ann")
    assert (lines["b/2.wav"].text, lines["b/2.wav"].speaker) == ("yes", "ben")


def test_lists_of_librispeech_and_labels_are_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for speaker in ("84", "85", "86"):
        folder = root / speaker / "121123"
        record(folder / f"{speaker}-121123-0000.flac")
        record(folder / f"{speaker}-121123-0001.flac").with_suffix(".lab").write_text("\ufeffFROM A LABEL")
        (folder / f"{speaker}-121123.trans.txt").write_text(
            f"{speaker}-121123-0000 GO  DO YOU\n{speaker}-121123-0001 NOT THIS\n"
        )
    lines, _ = lines_of(root, tmp_path / "out")
    assert lines["84/121123/84-121123-0000.flac"].text == "GO DO YOU"
    assert lines["84/121123/84-121123-0001.flac"].text == "FROM A LABEL"
    assert {one.speaker for one in lines.values()} == {"84", "85", "86"}


def test_bad_files_and_copies_are_named_and_the_others_go_on(source: Path, tmp_path: Path) -> None:
    (source / "ann" / "bad.wav").write_bytes(b"RIFF nothing")
    (source / "ann" / "empty.flac").write_bytes(b"")
    (source / "ben" / "three.wav").write_bytes((source / "ann" / "one.wav").read_bytes())
    (source / "cat" / "three.m4a").write_bytes(b"no audio")
    (source / "dan" / "one.txt").write_bytes("ä".encode("latin-1"))
    (source / "eve" / "two.txt").unlink()
    lines, said = lines_of(source, tmp_path / "out")
    assert len(lines) == 10
    text = "\n".join(said)
    for message in (
        f"left out: {source.resolve()}/ann/bad.wav: ",
        f"left out: {source.resolve()}/ann/empty.flac: ",
        f"left out: {source.resolve()}/ben/three.wav: a copy of {source.resolve()}/ann/one.wav",
        f"left out: {source.resolve()}/cat/three.m4a: ",
        "3 of 14 recordings cannot be used, 1 are copies",
        "one.txt: is neither UTF-8 nor UTF-16",
        "2 of 10 recordings have no text, such as",
    ):
        assert message in text


def test_speakers_by_pattern_and_splits_by_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for part, speaker in (("train", "s1"), ("Train", "s2"), ("valid", "s3"), ("test", "s4")):
        record(root / part / f"{speaker}_a.wav")
    lines, _ = lines_of(root, tmp_path / "out", split="official", speaker=r"/(s\d)_")
    assert {(one.speaker, one.split) for one in lines.values()} == {
        ("s1", "train"), ("s2", "train"), ("s3", "dev"), ("s4", "test"),
    }  # fmt: skip
    record(root / "test" / "stranger.wav")
    lines, said = lines_of(root, tmp_path / "two", speaker=r"/(s\d)_")
    assert len(lines) == 4
    assert "stranger.wav: the pattern of speakers finds none in 'test/stranger.wav'" in said[0]
    for options, message in (
        ({"speaker": "("}, "is no regular expression"),
        ({"speaker": "s1"}, "has no group"),
        ({"split": "x"}, "split is 'x'"),
        ({"split": "official", "speaker": None}, None),
    ):
        if message:
            with pytest.raises(ConfigError, match=message):
                prepare(root, tmp_path / "three", **options)
    record(root / "other.wav")
    with pytest.raises(ConfigError, match=r"1 recordings name no split, such as .*other\.wav"):
        prepare(root, tmp_path / "three", split="official", say=lambda line: None)
    assert not (tmp_path / "three").exists()


def test_sources_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.wav").write_bytes(b"x")
    for source, message in (
        ("nowhere", "no folder"),
        ("file", "no folder"),
        ("empty", "no audio"),
        ("bad", "no recording"),
    ):
        with pytest.raises(InputError, match=message):
            prepare(tmp_path / source, tmp_path / "out", say=lambda line: None)
    record(tmp_path / "good" / "a.wav")
    for content, message in (
        ("", "it is empty"),
        ("a\nb\n", "needs a column of names"),
        ("path,size\nx,1\n", "needs a column"),
    ):
        (tmp_path / "t.csv").write_text(content)
        with pytest.raises(InputError, match=message):
            prepare(tmp_path / "good", tmp_path / "out", texts=[tmp_path / "t.csv"], say=lambda line: None)
    lines, said = lines_of(tmp_path / "good", tmp_path / "out")
    assert [one.split for one in lines.values()] == ["train"]
    assert any("1 recordings cannot be shared by 3 splits: all are train" in line for line in said)


def test_names_that_are_not_unique_need_paths(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for speaker in ("s1", "s2", "s3"):
        record(root / speaker / "001.wav")
    (root / "t.csv").write_text("path,text\ns1/001.wav,one\ns2/001,two\n")
    lines, _ = lines_of(root, tmp_path / "out")
    assert [lines[f"s{number}/001.wav"].text for number in (1, 2)] == ["one", "two"]
    lines, said = lines_of(root, tmp_path / "again")
    assert lines["s3/001.wav"].text is None
    assert any("2 lines are called '001'; write paths" in line for line in said)


def test_a_folder_where_a_manifest_is_needed_says_the_command(source: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"Is a directory.; run `vocable data prepare folder .*recordings --out DIR`"
    ):
        read_manifest(source)
    prepare(source, tmp_path / "out", say=lambda line: None)
    with pytest.raises(ManifestError, match=r"give its manifest, .*out/manifest\.jsonl"):
        read_manifest(tmp_path / "out")


def test_a_manifest_beside_its_audio_is_relative(source: Path) -> None:
    rows = [json.loads(line) for line in prepare(source, source, say=lambda line: None).read_text().splitlines()]
    assert rows[0]["audio_path"] == "ann/one.wav"
