"""Manifests with alignments: of an aligner, and of others' files; whole or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vocable.audio import Audio
from vocable.data.alignment import Alignment, Segment, alignment_of
from vocable.data.alignment.make import align_from, align_with
from vocable.data.alignment.record import ScoredAlignment
from vocable.data.alignment.words import words_of
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import AlignmentError, InputError, OutputError
from vocable.text.pronounce import Pronunciation


class Evenly:
    """An aligner that gives each phone as much as the next, and a worse score to longer clips."""

    name = "evenly"

    def phones(self, clip: Audio, words: Sequence[Sequence[str]]) -> ScoredAlignment:
        said = [phone for word in words for phone in word]
        step = clip.duration / len(said)
        segments = tuple(Segment(one, at * step, (at + 1) * step) for at, one in enumerate(said))
        return ScoredAlignment(Alignment(segments), -clip.duration)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Four recordings of 1 to 4 seconds; the last has no phones, and there is no fifth."""
    rows: list[dict[str, Any]] = []
    for seconds in (1, 2, 3, 4):
        Audio(np.zeros(seconds * 8_000, dtype=np.float32), 8_000).write(tmp_path / f"u{seconds}.wav")
        rows.append(
            {"audio_path": f"u{seconds}.wav", "text": "ä", "take": seconds, "phones": [["HH", "AY1"]], "alignment": 7}
        )
    rows[3]["phones"] = "HH AY"
    rows.append({"audio_path": "nowhere.wav", "phones": [["AA"]]})
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "manifest.jsonl"


def test_what_cannot_be_aligned_is_named_and_left_out(manifest: Path, tmp_path: Path) -> None:
    said: list[str] = []
    out = align_with(manifest, tmp_path / "out" / "aligned.jsonl", Evenly(), least=-2.5, say=said.append)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == {
        "audio_path": str(tmp_path / "u1.wav"), "text": "ä", "take": 1, "phones": [["HH", "AY1"]],
        "alignment": [["HH", 0.0, 0.5], ["AY", 0.5, 1.0]], "alignment_score": -1.0,
    }  # fmt: skip
    assert [row["take"] for row in rows] == [1, 2]
    assert [alignment_of(one, 2.0) is not None for one in read_manifest(out)[1:]] == [True]
    for line, message in zip(
        said,
        [
            "left out: {}/u3.wav: its score is -3.00, under -2.5; check",
            "left out: {}/u4.wav: 'phones' is no list of a list",
            "left out: {}/nowhere.wav: no such file",
            "2 of 5 recordings aligned",
        ],
        strict=True,
    ):
        assert line.startswith(message.format(tmp_path))
    with pytest.raises(OutputError, match=r"aligned\.jsonl: exists already"):
        align_with(manifest, out, Evenly())


def test_with_keep_they_stay_without_the_key(manifest: Path, tmp_path: Path) -> None:
    said: list[str] = []
    out = align_with(manifest, tmp_path / "aligned.jsonl", Evenly(), keep=True, say=said.append)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [("alignment" in row, row["audio_path"]) for row in rows] == [
        (True, "u1.wav"), (True, "u2.wav"), (True, "u3.wav"), (False, "u4.wav"), (False, "nowhere.wav"),
    ]  # fmt: skip
    assert [line.split(":")[0] for line in said] == ["not aligned", "not aligned", "3 of 5 recordings aligned"]
    assert len(read_manifest(out)) == 5


def test_nothing_is_written_where_nothing_is_aligned(manifest: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    for keep in (False, True):
        with pytest.raises(AlignmentError, match="not one of 5 recordings could be aligned; nothing is written"):
            align_with(manifest, tmp_path / "aligned.jsonl", Evenly(), least=0.0, keep=keep, say=lambda line: None)

    class Killed(Evenly):
        def phones(self, clip: Audio, words: Sequence[Sequence[str]]) -> ScoredAlignment:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align_with(manifest, tmp_path / "aligned.jsonl", Killed(), say=lambda line: None)
    assert sorted(tmp_path.rglob("*")) == before


def test_names_that_are_no_text_are_written(tmp_path: Path) -> None:
    Audio(np.zeros(8_000, dtype=np.float32), 8_000).write(tmp_path / "u1.wav")
    (tmp_path / "m.jsonl").write_text(r'{"audio_path": "u1.wav", "text": "\ud800é", "phones": [["AA"]]}')
    out = align_with(tmp_path / "m.jsonl", tmp_path / "aligned.jsonl", Evenly(), say=lambda line: None)
    assert read_manifest(out)[0].text == "\ud800é"


def test_words_are_given_or_made_of_text() -> None:
    class Letters:
        phonemes = None

        def phones(self, text: str) -> list[Pronunciation]:
            pause = Pronunciation(text=",", phones=("SIL",), source="mark")
            return [Pronunciation(text="a", phones=("AH",), source="dictionary"), pause]

    line = Utterance(audio_path="a.wav", text="a")
    assert words_of(line, Letters) == [["AH"]]  # type: ignore[arg-type]
    given = line.model_copy(update={"extra": {"phones": [["SIL"], ["HH", "AY2", "SIL"]]}})
    assert words_of(given, Letters) == [["HH", "AY"]]  # type: ignore[arg-type]
    for other, make, message in (
        (line, None, r"a\.wav: its line has no 'phones'; add them"),
        (line.model_copy(update={"text": None}), Letters, "no 'phones' and no 'text'; add them"),
        (line.model_copy(update={"extra": {"phones": [["AA"], "B"]}}), None, "'phones' is no list of a list"),
        (line.model_copy(update={"extra": {"phones": [[7]]}}), None, "'phones' is no list of a list"),
        (line.model_copy(update={"extra": {"phones": [["Q"]]}}), None, "'Q' is no ARPAbet phone"),
    ):
        with pytest.raises(AlignmentError, match=message):
            words_of(other, make)  # type: ignore[arg-type]


_GRID = """"ooTextFile" "TextGrid" 0 {end} <exists> 1
"IntervalTier" "{tier}" 0 {end} 2 0 0.5 "" 0.5 {end} "AA"
"""


def test_alignments_of_others_are_taken(manifest: Path, tmp_path: Path) -> None:
    grids = tmp_path / "grids" / "ann"
    grids.mkdir(parents=True)
    (grids / "u1.TextGrid").write_text(_GRID.format(end=1, tier="phones"))
    (grids / "u2.TextGrid").write_text(_GRID.format(end=1, tier="phones"))
    (grids / "u3.textgrid").write_text(_GRID.format(end=3, tier="words"))
    (tmp_path / "all.csv").write_text("utterance,start,end,symbol\nu4,1,2,AA\nu9,1,2,AA\n")
    (tmp_path / "more.ctm").write_text("nowhere 1 0 1 AA\n")
    said: list[str] = []
    sources = [tmp_path / "grids", tmp_path / "all.csv", tmp_path / "more.ctm"]
    out = align_from(manifest, tmp_path / "aligned.jsonl", sources, say=said.append)
    rows = {row["take"]: row["alignment"] for row in map(json.loads, out.read_text().splitlines())}
    assert rows == {
        1: [["SIL", 0.0, 0.5], ["AA", 0.5, 1.0]],
        4: [["SIL", 0.0, 1.0], ["AA", 1.0, 2.0], ["SIL", 2.0, 4.0]],
    }
    for line, message in zip(
        said,
        [
            "u2.wav: the alignment ends at 1.000 s, its audio at 2.000 s; align it with this very file",
            "u3.textgrid: no tiers of intervals are named 'phones'; there are 'words'; name one",
            "nowhere.wav: no such file",
            "2 of 5 recordings aligned",
        ],
        strict=True,
    ):
        assert message in line


def test_sources_that_cannot_be_used_are_named(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "u1.TextGrid").write_text(_GRID.format(end=1, tier="phones"))
    (tmp_path / "a.csv").write_text("utterance,start,end,symbol\nu1,0,1,AA\n")
    (tmp_path / "b.csv").write_text("utterance,start,end,symbol\nu7,0,1,AA\n")
    for sources, kind, message in (
        (
            [tmp_path / "u1.TextGrid", tmp_path / "a.csv"],
            AlignmentError,
            r"a\.csv: utterance 'u1' is in an earlier file",
        ),
        (
            [tmp_path / "u1.wav"],
            AlignmentError,
            r"u1\.wav: unknown suffix; alignments are read from \.textgrid, \.ctm, \.csv",
        ),
        ([tmp_path / "nothing.ctm"], AlignmentError, "cannot be read"),
        ([tmp_path / "b.csv"], AlignmentError, "not one of 5 recordings could be aligned"),
    ):
        with pytest.raises(kind, match=message):
            align_from(manifest, tmp_path / "aligned.jsonl", sources, say=lambda line: None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no alignment in here"):
        align_from(manifest, tmp_path / "aligned.jsonl", [tmp_path / "empty"], say=lambda line: None)
    assert not (tmp_path / "aligned.jsonl").exists()


_TINY = """File type = "ooTextFile short"
"TextGrid"

0
1
<exists>
2
"TextTier"
"phones"
0
1
1
0.5
"a ""point"" here"
"IntervalTier"
"phones"
0
1
4
0
0.0000227
""
0.0000227
0.5
"HH"
0.5
0.5000001
"EH"
0.5000001
1
"AY"
"""


def test_segments_shorter_than_the_written_precision_are_read_again(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "u1.TextGrid").write_bytes(_TINY.replace("\n", "\r\n").encode("utf-16"))
    (tmp_path / "rest.ctm").write_text("u2 1 0 0.00001 HH\nu2 1 0.00001 1.5 AY\nu3 1 0 9 AY\n")
    said: list[str] = []
    sources = [tmp_path / "u1.TextGrid", tmp_path / "rest.ctm"]
    lines = read_manifest(align_from(manifest, tmp_path / "out.jsonl", sources, say=said.append))
    found = [alignment_of(line, seconds) for line, seconds in zip(lines, (1.0, 2.0), strict=True)]
    assert [one.symbols for one in found if one] == [["SIL", "HH", "EH", "AY"], ["HH", "AY", "SIL"]]
    assert "u3.wav: the alignment ends at 9.000 s" in said[0]


def test_textgrids_of_one_name_belong_to_the_folder_of_the_same_name(tmp_path: Path) -> None:
    rows = []
    for speaker, phone in (("s1", "AA"), ("s2", "IY"), ("s3", "UW")):
        (tmp_path / "audio" / speaker).mkdir(parents=True)
        (tmp_path / "grids" / speaker).mkdir(parents=True)
        Audio(np.zeros(8_000, dtype=np.float32), 8_000).write(tmp_path / "audio" / speaker / "001.wav")
        (tmp_path / "grids" / speaker / "001.TextGrid").write_text(
            _GRID.format(end=1, tier="phones").replace('"AA"', f'"{phone}"')
        )
        rows.append({"audio_path": f"audio/{speaker}/001.wav"})
    (tmp_path / "grids" / "s3").rename(tmp_path / "grids" / "s4")
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said: list[str] = []
    out = align_from(tmp_path / "manifest.jsonl", tmp_path / "out.jsonl", [tmp_path / "grids"], say=said.append)
    assert [one.extra["alignment"][1][0] for one in read_manifest(out)] == ["AA", "IY"]
    assert "3 alignments are called '001', and none of them lie in a folder called 's3'" in said[0]


def test_alignments_without_a_recording_are_counted(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("utterance,start,end,symbol\nu1,0,1,AA\nu8,0,1,AA\nu9,1,0,AA\n")
    said: list[str] = []
    align_from(manifest, tmp_path / "out.jsonl", [tmp_path / "all.csv"], say=said.append)
    assert said[-1] == "1 of 5 recordings aligned; 2 alignments match no recording, such as 'u8'"
