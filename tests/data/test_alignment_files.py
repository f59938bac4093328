"""TextGrid, CTM and CSV as others write them, and as nobody should."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from vocable.data.alignment.files import read_csv, read_ctm, read_textgrid
from vocable.errors import AlignmentError

_LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 1.5
            text = "he said ""hi"" 7"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 0.9
            text = "HH"
        intervals [3]:
            xmin = 0.9
            xmax = 1.5
            text = "AY1"
"""
_SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
3
"TextTier"
"phones"
0
1.5
1
0.75
"a point"
"IntervalTier"
"anna - phones"
0
1.5
2
0
1.2e0
"ʃ"
1.2
1.5
"sp"
"IntervalTier"
"words"
0 1.5 1 ! a comment with 7 "numbers"
0 1.5 "she"
"""


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_textgrids_are_read_long_and_short_in_any_unicode(tmp_path: Path, encoding: str) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    long = read_textgrid(put(tmp_path, "a.TextGrid", mark + _LONG.replace("\n", "\r\n").encode(encoding)))
    assert long.values() == [["SIL", 0.0, 0.5], ["HH", 0.5, 0.9], ["AY1", 0.9, 1.5]]
    short = read_textgrid(put(tmp_path, "b.TextGrid", mark + _SHORT.encode(encoding)))
    assert short.values() == [["ʃ", 0.0, 1.2], ["SIL", 1.2, 1.5]]


def test_a_textgrid_without_the_tier_lists_those_there_are(tmp_path: Path) -> None:
    path = put(tmp_path, "a.TextGrid", _LONG.replace('"phones"', '"phonemes"'))
    with pytest.raises(
        AlignmentError,
        match=r"a\.TextGrid: no tiers of intervals are named 'phones'; there are 'words', 'phonemes'; name one of them",
    ):
        read_textgrid(path)
    twice = put(tmp_path, "b.TextGrid", _SHORT.replace('"words"', '"ben - phones"'))
    with pytest.raises(AlignmentError, match="2 tiers of intervals are named 'phones'"):
        read_textgrid(twice)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ooTextFile", "ooBinaryFile", "this is no TextGrid written as text"),
        ("TextGrid", "Pitch", "this is no TextGrid"),
        ("intervals: size = 3", "intervals: size = 99999999999", "not a number; the TextGrid is cut short"),
        ("intervals: size = 3", "intervals: size = -3", "is -3; the TextGrid is altered"),
        ("intervals: size = 3", "intervals: size = 2.5", "is 2.5; the TextGrid is altered"),
        ("size = 2", "size = 1e999", "is inf, not a number"),
        ("xmax = 0.9", "xmax = nan", "not a number"),
        ("xmin = 0.9", "xmin = -0.9", "no span of time"),
        ("xmin = 0.9", "xmin = 0.7", "begins before the previous one ends"),
        ('text = "HH"', 'text = "spn"', "'spn' is a word that the aligner did not know; add it"),
        ('text = "HH"', 'text = "H H"', "has no symbol"),
        ('text = "HH"', 'text = "HH', "is .*; the TextGrid is cut short or altered"),
    ],
)
def test_altered_textgrids_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in _LONG
    with pytest.raises(AlignmentError, match=r"a\.TextGrid.*" + message):
        read_textgrid(put(tmp_path, "a.TextGrid", _LONG.replace(old, new)))


def test_a_textgrid_cut_anywhere_is_named(tmp_path: Path) -> None:
    for cut in range(0, len(_LONG) - 6, 7):
        with pytest.raises(AlignmentError, match=r"a\.TextGrid"):
            read_textgrid(put(tmp_path, "a.TextGrid", _LONG[:cut]))


@pytest.mark.slow
@settings(deadline=None)
@given(some.binary(max_size=300))
def test_any_bytes_are_read_or_named(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for name, read in (("a.TextGrid", read_textgrid), ("a.ctm", read_ctm), ("a.csv", read_csv)):
        for before in (b"", b"utterance,start,end,symbol\n", b'"ooTextFile" "TextGrid" 0 1 1 "IntervalTier" "phones" '):
            told = name
            try:
                read(put(folder, name, before + content))
            except AlignmentError as error:
                told = str(error)
            assert name in told


def test_hostile_sizes_and_encodings_cost_nothing(tmp_path: Path) -> None:
    large = tmp_path / "large.ctm"
    with large.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(AlignmentError, match="larger than 64 MiB"):
        read_ctm(large)
    with pytest.raises(AlignmentError, match="neither UTF-8 nor UTF-16"):
        read_textgrid(put(tmp_path, "latin.TextGrid", _LONG.replace("HH", "ä").encode("latin-1")))
    with pytest.raises(AlignmentError, match=r"nowhere\.TextGrid: cannot be read \(No such file"):
        read_textgrid(tmp_path / "nowhere.TextGrid")
    begun = time.process_time()
    with pytest.raises(AlignmentError):
        read_textgrid(put(tmp_path, "quotes.TextGrid", '"ooTextFile" "TextGrid" ' + '"' * 2_000_001))
    assert time.process_time() - begun < 5


def test_ctm(tmp_path: Path) -> None:
    path = put(
        tmp_path,
        "a.ctm",
        ";; Kaldi\nu1 1 0.10 0.20 HH_B 0.99\nu2 A 0 0.5 SIL\n"
        "u1 1 0.3 0.3 AY_E\n\nu2 A 0.5 0.25 <eps>\nu2 A 0.75 0.25 a\n",
    )
    found = read_ctm(path)
    assert found["u1"].values() == [["SIL", 0.0, 0.1], ["HH", 0.1, 0.3], ["AY", 0.3, 0.6]]
    assert found["u2"].values() == [["SIL", 0.0, 0.75], ["a", 0.75, 1.0]]
    for line, message in (
        ("u1 1 0.1 0.2", "line 1: 4 fields; it needs utterance, channel, start"),
        ("u1 1 0.1 much HH", "line 1: 'much' is no time"),
        ("u1 1 0.1 nan HH", "utterance u1: segment 1 of 1, .* no span of time"),
        ("u1 1 -1 0.2 HH", "no span of time"),
        ("u1 1 0 1e999 HH", "no span of time"),
        ("u1 1 0 0.5 HH\nu1 1 0.2 0.5 AY", "begins before"),
        ("u1 1 0 0.5 spn", "line 1: 'spn'"),
        ("", "no phones in it"),
    ):
        with pytest.raises(AlignmentError, match=r"b\.ctm.*" + message):
            read_ctm(put(tmp_path, "b.ctm", line))


def test_csv_of_ours_and_of_mfa(tmp_path: Path) -> None:
    ours = put(
        tmp_path, "a.csv", 'utterance,start,end,symbol\nu1,0.1,0.3,"HH"\nu2,0,0.2,\nu2,0.2,1,a\nu1,0.3,0.6,AY0\n'
    )
    assert {name: one.values() for name, one in read_csv(ours).items()} == {
        "u1": [["SIL", 0.0, 0.1], ["HH", 0.1, 0.3], ["AY0", 0.3, 0.6]],
        "u2": [["SIL", 0.0, 0.2], ["a", 0.2, 1.0]],
    }
    mfa = "Begin,End,Label,Type,Speaker\n0.1,0.6,hi,words,ann\n0.1,0.3,h,phones,ann\n0.3,0.6,aj,phones,ann\n"
    assert {name: one.symbols for name, one in read_csv(put(tmp_path, "u7.csv", mfa)).items()} == {
        "u7": ["SIL", "h", "aj"]
    }
    for content, message in (
        ("", "the header is ''; it needs utterance,start,end,symbol or MFA's Begin"),
        ("a,b\n1,2\n", "the header is 'a,b'"),
        ("utterance,start,end,symbol\nu1,0,1\n", "line 2: 3 fields, but the header has 4"),
        ("utterance,start,end,symbol\nu1,0,one,A\n", "line 2: 'one' is no time"),
        ("utterance,start,end,symbol\nu1,0,inf,A\n", "no span of time"),
        ("utterance,start,end,symbol\n", "no phones in it"),
        ('utterance,start,end,symbol\nu1,0,1,"' + "A" * 200_000 + '"\n', "this is no CSV"),
    ):
        with pytest.raises(AlignmentError, match=r"b\.csv.*" + message):
            read_csv(put(tmp_path, "b.csv", content))


def test_a_bad_utterance_of_a_list_costs_only_itself(tmp_path: Path) -> None:
    failures: dict[str, AlignmentError] = {}
    ctm = put(tmp_path, "a.ctm", "u1 1 0 0.5 HH\nu1 1 0.2 0.5 AY\nu2 1 0 0.5 a\nu3 1 0 0.5 spn\nu4 1 -1 2 a\n")
    assert list(read_ctm(ctm, failures)) == ["u2"]
    assert {name: "begins before" in str(one) for name, one in failures.items()} == {
        "u1": True, "u3": False, "u4": False,
    }  # fmt: skip
    failures.clear()
    assert list(read_csv(put(tmp_path, "a.csv", "utterance,start,end,symbol\nu1,1,0,a\nu2,0,1,b\n"), failures)) == [
        "u2"
    ]
    assert "no span of time" in str(failures["u1"])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('File type = "ooTextFile"', 'File type = "ooTextFile short"'),
        ('File type = "ooTextFile"\nObject class = "TextGrid"', '"ooTextFile short"\n"TextGrid"'),
        ('Object class = "TextGrid"', 'Object class = "TextGrid 1"'),
        ("tiers? <exists>\n", ""),
        ("item []:\n", ""),
        ("    item [1]:\n", "! the first tier\n"),
    ],
)
def test_headers_that_praat_accepts_are_read(tmp_path: Path, old: str, new: str, encoding: str, end: str) -> None:
    assert old in _LONG
    content = _LONG.replace(old, new).replace("\n", end).encode(encoding)
    assert read_textgrid(put(tmp_path, "a.TextGrid", content)).symbols == ["SIL", "HH", "AY1"]


def test_silence_of_no_length_is_nothing_and_a_phone_of_no_length_is_named(tmp_path: Path) -> None:
    lines = "u1 1 0 0.5 HH\nu1 1 0.5 0 SIL\nu1 1 0.5 0.5 AY\n"
    assert read_ctm(put(tmp_path, "a.ctm", lines))["u1"].symbols == ["HH", "AY"]
    with pytest.raises(AlignmentError, match=r"'EH' from 0\.5 to 0\.5 s, is no span of time"):
        read_ctm(put(tmp_path, "a.ctm", lines.replace("SIL", "EH")))
