"""Ratings: means and intervals, raters screened, bad files named by line."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from tests.lab.listening.listening import build_test, rows_of, write_ratings
from vocable.errors import ConfigError, InputError
from vocable_lab.listening.analysis import analyze, analyze_files
from vocable_lab.listening.build import ListeningTest
from vocable_lab.listening.key import read_key


@pytest.fixture(scope="module")
def mos(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> ListeningTest:
    return build_test(folders, tmp_path_factory.mktemp("mos") / "test.html", kind="mos")


GOOD = {"reference": 100.0, "codec-eight": 80.0, "codec-two": 40.0, "anchor 7 kHz": 60.0, "anchor 3.5 kHz": 20.0}


def test_means_and_intervals_are_those_of_the_raters(mushra: ListeningTest, tmp_path: Path) -> None:
    key = read_key(mushra.key)
    given = {"ann": 76.0, "bob": 80.0, "eve": 90.0}
    for rater, value in given.items():
        write_ratings(tmp_path / f"{rater}.csv", rows_of(key, GOOD | {"codec-eight": value}, rater))
    found = analyze([tmp_path], mushra.key)
    assert found.excluded == {}
    assert found.raters == dict.fromkeys(given, 0)
    quality = [one for one in found.opinions if one.scale == "quality"]
    assert [one.system for one in quality] == [
        "reference", "codec-eight", "anchor 7 kHz", "codec-two", "anchor 3.5 kHz"
    ]  # fmt: skip
    figure = quality[1].figure
    half = 4.302652729911275 * np.std(list(given.values()), ddof=1) / math.sqrt(3)  # t of 2 degrees at 97.5 %
    assert (figure.mean, figure.n, quality[1].raters) == (pytest.approx(82.0), 6, 3)
    assert (figure.low, figure.high) == (pytest.approx(82 - half), pytest.approx(82 + half))
    assert {one.scale for one in found.opinions} == {"quality", "prosody", "speaker"}
    assert len(found.opinions) == 5 + 3 + 3


def test_who_does_not_hear_the_hidden_reference_is_excluded(mushra: ListeningTest, tmp_path: Path) -> None:
    key = read_key(mushra.key)
    deaf = rows_of(key, GOOD | {"reference": 89.0, "codec-eight": 0.0}, "deaf")
    once = rows_of(key, GOOD, "once")  # one of six screens is more than 15 %
    hidden = [row for row in once if key.stimuli[row[3]].system == "reference"]
    hidden[0][5] = "10"
    same = rows_of(key, dict.fromkeys(GOOD, 95.0), "same")
    files = [write_ratings(tmp_path / f"{at}.csv", rows) for at, rows in enumerate((deaf, once, same))]
    files += [write_ratings(tmp_path / f"{rater}.csv", rows_of(key, GOOD, rater)) for rater in ("ann", "bob")]
    found = analyze(files, mushra.key)
    assert found.excluded == {
        "deaf": "the hidden reference is rated under 90 on 6 of 6 screens",
        "once": "the hidden reference is rated under 90 on 1 of 6 screens",
        "same": f"all {len(same)} ratings are 95",
    }
    best = next(one for one in found.opinions if one.system == "codec-eight")
    assert (best.figure.mean, best.figure.n, best.figure.excluded) == (80.0, 4, 6)
    assert best.figure.reasons == {"the rater is excluded": 6}
    page = found.to_markdown()
    assert "- deaf: excluded, the hidden reference is rated under 90 on 6 of 6 screens" in page
    assert "| codec-eight | 80.00 | 80.00 to 80.00 | 2 | 4 |" in page


def test_who_rates_against_the_others_is_excluded(mos: ListeningTest, tmp_path: Path) -> None:
    key = read_key(mos.key)
    liking = {"reference": 5.0, "codec-eight": 4.0, "codec-two": 2.0}
    raters = {"ann": liking, "bob": liking | {"codec-two": 1.0}, "cat": liking | {"codec-eight": 3.0}}
    raters["odd"] = {name: 6 - value for name, value in liking.items()}
    raters["same"] = dict.fromkeys(liking, 3.0)
    files = [write_ratings(tmp_path / f"{rater}.csv", rows_of(key, given, rater)) for rater, given in raters.items()]
    found = analyze(files, mos.key)
    assert list(found.raters) == ["ann", "bob", "cat"]
    assert re.fullmatch(r"the correlation with the mean of the others is -[01]\.\d\d", found.excluded["odd"])
    assert found.excluded["same"] == "all 18 ratings are 3"
    assert list(analyze(files, mos.key, min_correlation=-1.0).excluded) == ["same"]
    assert "odd" not in analyze(files[3:4] + files[:1], mos.key).excluded  # two raters: nobody knows who is odd


def test_unequal_scales_do_not_pass_for_agreement(mos: ListeningTest, tmp_path: Path) -> None:
    key = read_key(mos.key)
    random = np.random.default_rng(0)
    files = []
    for rater in ("ann", "bob", "cat", "odd"):
        rows = rows_of(key, {"reference": 5.0, "codec-eight": 4.0, "codec-two": 3.0}, rater)
        for row in rows:
            if row[4] == "speaker":
                row[5] = "1"  # far from the other scales, for everybody
            elif rater == "odd":
                row[5] = f"{8 - float(row[5]):g}"
            else:
                row[5] = f"{float(row[5]) - random.integers(2):g}"
        files.append(write_ratings(tmp_path / f"{rater}.csv", rows))
    assert list(analyze(files, mos.key).excluded) == ["odd"]


def test_one_rater_has_a_mean_and_no_interval(mos: ListeningTest, tmp_path: Path) -> None:
    key = read_key(mos.key)
    rows = rows_of(key, {"reference": 5.0, "codec-eight": 4.0, "codec-two": 2.0}, "ann")
    found = analyze_files([write_ratings(tmp_path / "a.csv", rows[3:])], mos.key, tmp_path / "out")
    assert found.raters == {"ann": 3}
    values = json.loads((tmp_path / "out" / "listening.json").read_text(encoding="utf-8"))
    assert {row["figure"]["low"] for row in values["opinions"]} == {None}
    page = (tmp_path / "out" / "listening.md").read_text(encoding="utf-8")
    assert "- ann: counts; 3 stimuli not rated" in page
    assert "| undefined | 1 |" in page
    with pytest.raises(ConfigError, match="min_correlation is 2"):
        analyze([tmp_path / "a.csv"], mos.key, min_correlation=2.0)


def test_a_bad_ratings_file_gives_one_line_that_names_file_and_line(mushra: ListeningTest, tmp_path: Path) -> None:
    key = read_key(mushra.key)
    path = tmp_path / "bad.csv"
    for column, value, message in (
        (0, " ", "the rater is missing"),
        (1, "0ther", f"a rating of test '0ther', but the key is that of '{key.test}'"),
        (2, "t9999", "trial 't9999' where stimulus 's0002' has"),
        (3, "s9999", "the key has no stimulus 's9999'"),
        (4, "loudness", "scale 'loudness' where stimulus 's0002' has"),
        (5, "101", "the rating is '101'; mushra goes from 0 to 100"),
        (5, "nan", "the rating is 'nan'"),
        (5, "good", "the rating is 'good'"),
    ):
        rows = rows_of(key, GOOD, "ann")
        rows[1][column] = value
        write_ratings(path, rows)
        with pytest.raises(InputError, match=re.escape(f"{path}, line 3: {message}")) as caught:
            analyze([path], mushra.key)
        assert "\n" not in str(caught.value)
    rows = rows_of(key, GOOD, "ann")
    write_ratings(path, [*rows, rows[0]])
    repeated = f"line {len(rows) + 2}: rater 'ann' has rated stimulus 's0001' already ({path}, line 2)"
    with pytest.raises(InputError, match=re.escape(repeated)):
        analyze([path], mushra.key)
    write_ratings(path, [rows[0][:-1]])
    with pytest.raises(InputError, match="line 2: 6 cells where 7 are needed"):
        analyze([path], mushra.key)
    path.write_text("rater;test\n", encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(f"{path}, line 1: the columns are rater;test; rater, test,")):
        analyze([path], mushra.key)
    for content in (b"\xff\xfe\x00", b'rater,"'):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot be read (as CSV )?\("):
            analyze([path], mushra.key)
    write_ratings(path, [])
    with pytest.raises(InputError, match="there is no rating"):
        analyze([path], mushra.key)
    with pytest.raises(InputError, match="no ratings file in here"):
        analyze([mushra.page.parent], mushra.key)


def test_a_bad_key_is_named(mushra: ListeningTest, tmp_path: Path) -> None:
    whole = json.loads(mushra.key.read_text(encoding="utf-8"))
    path = tmp_path / "key.json"
    with pytest.raises(InputError, match=r"key\.json: cannot be read \(No such file"):
        read_key(path)
    for content in ("", "[]", "{}", json.dumps(whole | {"kind": "abx"})):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match="is not the key of a listening test"):
            read_key(path)
    path.write_text(json.dumps(whole | {"listening_test": 2}), encoding="utf-8")
    with pytest.raises(InputError, match="the key has version 2"):
        read_key(path)
