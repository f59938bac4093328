"""LibriSpeech becomes a manifest with its texts and its own splits."""

import shutil
from pathlib import Path

import pytest

from tests.data.corpora.conftest import lines, no_manifest, silent, sound
from vocable.data.corpora import librispeech
from vocable.data.manifest import read_manifest
from vocable.errors import ConfigError, InputError

SPEAKERS = """;ID  |SEX| SUBSET           |MINUTES| NAME
103  | F | train-clean-100  | 25.05 | Karen | Savage
84   | M | dev-clean        | 8.02  | Christie Nowak
"""


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """LibriSpeech as published, with two subsets."""
    root = tmp_path / "copy" / "LibriSpeech"
    for subset, speaker, chapter in (("train-clean-100", 103, 1240), ("dev-clean", 84, 121123), ("dev-clean", 9, 7)):
        folder = root / subset / str(speaker) / str(chapter)
        for number in range(2):
            sound(folder / f"{speaker}-{chapter}-{number:04d}.flac", 16_000)
        texts = "".join(f"{speaker}-{chapter}-{number:04d} IT'S {number} O'CLOCK\n" for number in range(2))
        (folder / f"{speaker}-{chapter}.trans.txt").write_text(texts)
    (root / "SPEAKERS.TXT").write_text(SPEAKERS)
    return root


@pytest.mark.parametrize("above", [False, True])
def test_librispeech_keeps_its_texts_and_its_splits(above: bool, books: Path, tmp_path: Path) -> None:
    said: list[str] = []
    manifest = librispeech.prepare(books.parent if above else books, tmp_path / "out", say=said.append)
    rows = lines(manifest)
    assert said == ["train: 2 recordings, 1 speakers, 0.000 hours", "dev: 4 recordings, 2 speakers, 0.000 hours"]
    assert rows[-2] == {
        "audio_path": str(books / "train-clean-100/103/1240/103-1240-0000.flac"), "text": "IT'S 0 O'CLOCK",
        "speaker": "ls-103", "duration": 0.02, "gender": "female", "subset": "train-clean-100",
        "utt_id": "103-1240-0000", "split": "train",
    }  # fmt: skip
    assert {(row["speaker"], row.get("gender")) for row in rows} == {
        ("ls-103", "female"), ("ls-84", "male"), ("ls-9", None)
    }  # fmt: skip
    assert all(one.audio_path.is_file() for one in read_manifest(manifest, "dev"))


def test_paths_are_relative_where_the_manifest_lies_above(books: Path) -> None:
    rows = lines(librispeech.prepare(books, books, say=silent))
    assert rows[0]["audio_path"] == "dev-clean/84/121123/84-121123-0000.flac"


def test_what_does_not_follow_the_corpus_is_named(books: Path, tmp_path: Path) -> None:
    chapter = books / "dev-clean" / "84" / "121123"
    shutil.copy(chapter / "84-121123-0000.flac", chapter / "84-9-0000.flac")
    (chapter / "84-121123-0001.flac").write_text("words")
    (books / "train-clean-100" / "103" / "1240" / "103-1240.trans.txt").write_text(
        "103-1240-0000 HELLO\n\n103-1240-0001\n"
    )
    (books / "dev-clean" / "9" / "7" / "9-7.trans.txt").unlink()
    (books / "SPEAKERS.TXT").unlink()
    said: list[str] = []
    rows = lines(librispeech.prepare(books, tmp_path / "out", say=said.append))
    assert [row.get("text") for row in rows] == ["IT'S 0 O'CLOCK", None, None, "HELLO", None]
    assert not any("gender" in row for row in rows)
    assert said[0].startswith(f"left out: {chapter / '84-121123-0001.flac'}: cannot be read as audio")
    assert said[1] == f"left out: {chapter / '84-9-0000.flac'}: its name does not follow the corpus"
    assert said[2] == "3 recordings have no text, such as 9-7-0000"


@pytest.mark.parametrize("kind", ["no text", "large", "a folder"])
def test_a_damaged_text_is_named(kind: str, books: Path, tmp_path: Path) -> None:
    path = books / "dev-clean" / "84" / "121123" / "84-121123.trans.txt"
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate((64 << 20) + 1)
    else:
        path.write_bytes(b"84-121123-0000 \xff")
    with pytest.raises(InputError, match=r"84-121123\.trans\.txt: .*copy it again"):
        librispeech.prepare(books, tmp_path / "out", say=silent)
    assert no_manifest(tmp_path / "out")


def test_no_recording_and_no_other_split(books: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="split is 'speaker'; this corpus can be split by official"):
        librispeech.prepare(books, tmp_path / "out", split="speaker", say=silent)
    for path in books.rglob("*.flac"):
        path.unlink()
    with pytest.raises(InputError, match="no recording can be used"):
        librispeech.prepare(books, tmp_path / "out", say=silent)
    assert no_manifest(tmp_path / "out")
