"""A published corpus becomes a manifest: whole or not at all, with splits that keep their law, and nothing is run."""

import json
import math
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.audio import Audio
from vocable.data.corpora import CORPORA, audiomnist, digit_strings, find, fsdd
from vocable.data.corpora.recordings import WORDS, known_age, known_text
from vocable.data.corpora.splits import SHARES, split_at_random, split_by_speaker
from vocable.data.manifest import read_manifest
from vocable.errors import (
    ConfigError,
    InputError,
    ManifestError,
    MissingDependencyError,
    OutputError,
    VocableError,
)

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
METADATA = """'Speakers.'

metadata = {
    'jackson': {
    \t'gender': 'male',
        'accent': 'USA/neutral'
    },
}
"""
META = {
    "01": {"accent": "german", "age": 30, "gender": "male", "native speaker": "no", "recordingroom": "Kino"},
    "02": {"accent": "German", "age": "25", "gender": "female", "origin": "Europe, Germany, Hamburg"},
    "03": {"accent": " ", "age": " 1234", "gender": None},
}


def silent(line: str) -> None:
    pass


def sound(path: Path, rate: int = 8_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Audio(np.full(rate // 50, 0.1, dtype=np.float32), rate).write(path)
    return path


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """FSDD as published, with two digits and seven takes."""
    root = tmp_path / "fsdd"
    for speaker in SPEAKERS:
        for name in (f"{digit}_{speaker}_{take}.wav" for digit in (0, 7) for take in (0, 3, 4, 5, 6, 10, 49)):
            sound(root / "recordings" / name)
    (root / "metadata.py").write_text(METADATA)
    return root


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """AudioMNIST as published, with four speakers."""
    root = tmp_path / "AudioMNIST"
    for speaker in ("01", "02", "03", "04"):
        for digit in (0, 9):
            sound(root / "data" / speaker / f"{digit}_{speaker}_0.wav", 48_000)
    (root / "data" / "audioMNIST_meta.txt").write_text(json.dumps(META))
    return root


def lines(manifest: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]


def no_manifest(folder: Path) -> bool:
    return not folder.exists() or not [path for path in folder.iterdir() if path.name != "audio"]


# Splits


@given(
    speakers=st.lists(st.sampled_from("abcdefghijkl"), min_size=3, max_size=60).filter(lambda row: len(set(row)) > 2),
    seed=st.integers(0, 2**32),
    women=st.sets(st.sampled_from("abcdefghijkl")),
)
@settings(deadline=None, max_examples=200)
def test_no_speaker_is_in_two_splits_and_no_split_is_empty(speakers: list[str], seed: int, women: set[str]) -> None:
    genders = {name: "female" if name in women else "male" for name in speakers}
    splits = split_by_speaker(speakers, genders=genders, seed=seed)
    assert len(splits) == len(speakers)
    assert len(set(zip(speakers, splits, strict=True))) == len(set(speakers))
    assert set(splits) == set(SHARES)
    assert splits == split_by_speaker(speakers, genders=genders, seed=seed)
    again = dict(zip(speakers[::-1], split_by_speaker(speakers[::-1], genders=genders, seed=seed), strict=True))
    assert [again[name] for name in speakers] == splits  # the order of the recordings does not matter


@given(count=st.integers(3, 300), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=100)
def test_random_splits_have_their_shares(count: int, seed: int) -> None:
    splits = split_at_random(count, seed=seed)
    assert splits == split_at_random(count, seed=seed)
    seen = Counter(splits)
    assert set(seen) == set(SHARES)
    assert sum(seen.values()) == count
    assert all(abs(seen[split] - share * count) < 1 for split, share in SHARES.items()) or count < 10


@given(st.lists(st.integers(1, 20), min_size=1, max_size=5), st.integers(0, 40))
@settings(deadline=None, max_examples=100)
def test_any_shares_are_kept_to_a_recording(weights: list[int], more: int) -> None:
    shares = {f"part{at}": weight / sum(weights) for at, weight in enumerate(weights)}
    count = math.ceil(1 / min(shares.values())) + more
    seen = Counter(split_at_random(count, shares=shares))
    assert all(abs(seen[split] - share * count) < len(shares) for split, share in shares.items())


def test_genders_are_spread_over_the_splits() -> None:
    women = {f"s{at:02d}" for at in range(12)}  # of 60, as in AudioMNIST
    speakers = [f"s{at:02d}" for at in range(60)]
    genders = {name: "female" if name in women else "male" for name in speakers}
    for seed in range(20):
        splits = split_by_speaker(speakers, genders=genders, seed=seed)
        assert Counter(splits) == {"train": 48, "dev": 6, "test": 6}
        seen = Counter(split for name, split in zip(speakers, splits, strict=True) if name in women)
        assert seen["train"] in (9, 10)
        assert 1 <= seen["dev"] <= 2
        assert 1 <= seen["test"] <= 2


def test_another_seed_is_another_split() -> None:
    speakers = [f"s{at}" for at in range(20)]
    assert split_by_speaker(speakers, seed=0) != split_by_speaker(speakers, seed=1)
    assert split_at_random(50, seed=0) != split_at_random(50, seed=1)


def test_splits_that_cannot_be_say_why() -> None:
    with pytest.raises(ConfigError, match=r"2 speakers cannot be shared by 3 splits .*; split at random instead"):
        split_by_speaker(["a", "b", "a", "b"])
    with pytest.raises(ConfigError, match=r"2 recordings cannot be shared by 3 splits \(train, dev, test\)"):
        split_at_random(2)
    with pytest.raises(ConfigError, match="seed is -1: it must be at least 0"):
        split_at_random(9, seed=-1)
    for shares in ({}, {"a": 1.0, "b": 0.0}, {"a": 0.5, "b": 0.4}, {"a": float("nan"), "b": 0.5}):
        with pytest.raises(ConfigError, match="each must be above 0, and together they must be 1"):
            split_by_speaker(list("abcdef"), shares=shares)


# FSDD


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


# AudioMNIST


@pytest.mark.parametrize("inside", ["", "data"])
def test_audiomnist_is_found_at_its_root_and_in_data(inside: str, mnist: Path, tmp_path: Path) -> None:
    rows = lines(audiomnist.prepare(mnist / inside, tmp_path / "out", say=silent))
    assert len(rows) == 8
    assert len({(row["speaker"], row["split"]) for row in rows}) == 4
    assert {row["split"] for row in rows} == set(SHARES)
    about = {row["speaker"]: (row.get("gender"), row.get("age"), row.get("accent")) for row in rows}
    assert about == {
        "audiomnist-01": ("male", 30, "german"), "audiomnist-02": ("female", 25, "German"),
        "audiomnist-03": (None, None, None), "audiomnist-04": (None, None, None),
    }  # fmt: skip
    assert [row["text"] for row in rows[:2]] == ["zero", "nine"]


def test_audiomnist_without_its_table_and_with_files_in_the_wrong_folder(mnist: Path, tmp_path: Path) -> None:
    (mnist / "data" / "audioMNIST_meta.txt").unlink()
    sound(mnist / "data" / "02" / "5_01_0.wav")
    said: list[str] = []
    rows = lines(audiomnist.prepare(mnist, tmp_path / "out", split="random", say=said.append))
    assert len(rows) == 8
    assert not any({"gender", "accent", "age"} & set(row) for row in rows)
    assert "1 files left out: their names do not follow the corpus, such as 02/5_01_0.wav" in said


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[" * 100_000, "[]", '{"01": 7}', '{"01": {"age": ' + "1" * 5000 + "}}"]
)
def test_a_damaged_table_is_named(text: str, mnist: Path, tmp_path: Path) -> None:
    (mnist / "data" / "audioMNIST_meta.txt").write_text(text)
    with pytest.raises(InputError, match=r"audioMNIST_meta\.txt: .*copy it again, or remove it"):
        audiomnist.prepare(mnist, tmp_path / "out", say=silent)
    assert no_manifest(tmp_path / "out")


def test_what_is_told_of_a_speaker_is_kept_only_where_it_can_be() -> None:
    ages = [7, "61", " 30 ", 0, -4, 121, "1234", "1" * 5000, "x", "", 2.5, True, None, [30]]
    assert [known_age(age) for age in ages] == [7, 61, 30, *[None] * 11]
    assert [known_text(text) for text in (" male ", "", "  ", None, 7, ["male"])] == ["male", *[None] * 5]


# Every corpus


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("audiomnist", r"no AudioMNIST in here \(looked for 01/0_01_0\.wav and data/01"),
        ("fsdd", r"no Free Spoken Digit Dataset in here \(looked for recordings/"),
        ("digit_strings", "cannot be read"),
    ],
)
@pytest.mark.parametrize("kind", ["missing", "empty", "a file"])
def test_a_folder_that_is_not_the_corpus_says_what_was_looked_for(
    name: str, message: str, kind: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    if kind == "empty":
        source.mkdir()
    elif kind == "a file":
        source.write_bytes(b"\xff")
    with pytest.raises((InputError, ManifestError), match=rf"source.*: {message}"):
        find(name)(source, tmp_path / "out", say=silent)
    assert not (tmp_path / "out").exists()


def test_a_corpus_without_a_usable_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "0_theo_0.wav").write_text("words")
    with pytest.raises(InputError, match="recordings: none of the recordings in here can be used"):
        fsdd.prepare(tmp_path, tmp_path / "out", say=silent)
    assert not (tmp_path / "out").exists()


def test_splits_and_places_that_cannot_be_leave_nothing(digits: Path, mnist: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    two = tmp_path / "two"
    for speaker in ("ann", "bob"):
        sound(two / "recordings" / f"1_{speaker}_0.wav")
    cases: list[tuple[Callable[[], object], type[VocableError], str]] = [
        (lambda: find("mnist"), ConfigError, "no corpus 'mnist'; there are audiomnist, fsdd, digit_strings"),
        (lambda: audiomnist.prepare(mnist, tmp_path / "out", split="official"), ConfigError, "speaker, random$"),
        (lambda: fsdd.prepare(digits, tmp_path / "out", split="x"), ConfigError, "split is 'x'.*random, official$"),
        (lambda: fsdd.prepare(digits, tmp_path / "out", seed=-1), ConfigError, "seed is -1"),
        (lambda: fsdd.prepare(two, tmp_path / "out"), ConfigError, "2 speakers .*at random instead"),
        (lambda: fsdd.prepare(two, tmp_path / "out", split="random"), ConfigError, "2 recordings"),
        (lambda: fsdd.prepare(digits, tmp_path / "file"), OutputError, "file: this folder cannot be created"),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind, match=message):
            call()
    assert not (tmp_path / "out").exists()


def test_a_folder_whose_name_is_no_text_is_named(digits: Path, tmp_path: Path) -> None:
    odd = digits.rename(tmp_path / "caf\udce9")
    with pytest.raises(InputError, match="a path or a speaker's name is no text; rename it"):
        fsdd.prepare(odd, tmp_path / "out", say=silent)
    assert not (tmp_path / "out").exists()
    assert len(lines(fsdd.prepare(odd, odd, say=silent))) == 84  # relative paths are text


# Digit strings


def strings(folder: Path, speech_data: Path, *ids: str, **other: object) -> Path:
    """A manifest of some of SpeechOcean762's digit strings."""
    folder.mkdir(parents=True, exist_ok=True)
    source = speech_data / "read_speechocean762" / "manifest.jsonl"
    rows = [row for row in lines(source) if row["utt_id"] in ids]
    rows = [row | {"audio_path": str(source.parent / row["audio_path"])} | other for row in rows]
    (folder / "strings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "strings.jsonl"


def test_digit_strings_become_digits(speech_data: Path, tmp_path: Path) -> None:
    source = strings(tmp_path, speech_data, "000010035", "000480045")
    assert len(lines(source)) == 2
    manifest = digit_strings.prepare(source, tmp_path / "out", say=silent)
    rows = lines(manifest)
    assert Counter(row["text"] for row in rows) == Counter(
        ["zero", "three", "five", "one", "five", "nine", "six", "five"]
    )
    first = next(row for row in rows if row["text"] == "three")
    assert first == {
        "audio_path": "audio/00001-2-three.flac", "text": "three", "speaker": "so762-0001", "duration": 0.54,
        "digit": 3, "take": 0, "gender": "male", "age": 6, "accent": "non-native, first language Mandarin",
        "source": "000010035.flac", "split": "train",
    }  # fmt: skip
    assert [row["take"] for row in rows if row["text"] == "five"] == [0, 0, 1]
    whole = Audio.read(lines(source)[0]["audio_path"]).samples
    for row in rows:
        clip = Audio.read(manifest.parent / row["audio_path"])
        assert row["text"] == WORDS[row["digit"]]
        assert clip.duration == pytest.approx(row["duration"], abs=1e-4)
        if row["source"] == "000010035.flac":  # the very samples
            windows = np.lib.stride_tricks.sliding_window_view(whole, 64)
            assert (windows == clip.samples[:64]).all(axis=1).any()
    with pytest.raises(OutputError, match=r"manifest\.jsonl: is there already"):
        digit_strings.prepare(source, tmp_path / "out", say=silent)


def test_a_cut_does_not_depend_on_the_strings_before_it(speech_data: Path, tmp_path: Path) -> None:
    several = strings(tmp_path / "several", speech_data, "000480045", "000010035")
    alone = strings(tmp_path / "alone", speech_data, "000480045")
    one = digit_strings.prepare(several, tmp_path / "1", say=silent).parent
    two = digit_strings.prepare(alone, tmp_path / "2", say=silent).parent
    cuts = [sorted((folder / "audio").glob(f"{number}-*"))[-1] for folder, number in ((one, "00002"), (two, "00001"))]
    assert cuts[0].read_bytes() == cuts[1].read_bytes()


def test_strings_that_do_not_align_are_told_and_the_rest_go_on(speech_data: Path, tmp_path: Path) -> None:
    source = strings(tmp_path, speech_data, "000010035")
    good = lines(source)[0]
    sound(tmp_path / "short.wav", 16_000)
    rows: list[dict[str, Any]] = [
        {"audio_path": good["audio_path"], "text": "no digits in this line"},
        good | {"audio_path": "nowhere.wav"},
        good | {"audio_path": "short.wav"},
        good | {"digits": "0351"},
        good | {"digits": [0, 3, 5, 10]},
        good | {"digits": [0, 3, 5]},
        good | {"text": None},
        good | {"text": "xyzzy three five one"},
        good | {"text": "\ud800 0 three five one"},
        good | {"digits": [0, 3, 5, 2]},
        good | {"text": "Zero, three; five -- one!", "gender": 7, "age": "1234"},
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said: list[str] = []
    found = lines(digit_strings.prepare(source, tmp_path / "out", say=said.append))
    assert [row["text"] for row in found] == ["zero", "zero", "one", "three", "three", "five", "five"]
    assert [row["take"] for row in found] == [0, 1, 0, 0, 1, 0, 1]
    assert sum("gender" in row for row in found) == sum("age" in row for row in found) == 3
    told = [line for line in said if line.startswith("left out: ")]
    for line, message in zip(
        told,
        [
            "nowhere.wav: no such file", "short.wav: 0 of 4 digits were found", "'digits' is '0351': this is no list",
            "'digits' is [0, 3, 5, 10]: this is no list", "4 of 3 digits", "0 of 4 digits", "0 of 4", "3 of 4",
        ],
        strict=True,
    ):  # fmt: skip
        assert message in line
    assert "1 words left out: shorter than 120 ms, or not the digit that was expected" in said


def test_digit_strings_are_split_as_asked(speech_data: Path, tmp_path: Path) -> None:
    source = strings(tmp_path / "a", speech_data, "000010035", split="held")
    rows = lines(digit_strings.prepare(source, tmp_path / "1", say=silent))
    assert {row["split"] for row in rows} == {"held"}
    rows = lines(digit_strings.prepare(source, tmp_path / "2", split="random", say=silent))
    assert {row["split"] for row in rows} == set(SHARES)
    for other, split, message in (
        ({"split": None}, "official", "4 recordings name no split; split by speaker instead"),
        ({"speaker": None}, "speaker", "4 recordings name no speaker; split at random instead"),
        ({}, "speaker", "1 speakers cannot be shared"),
    ):
        source = strings(tmp_path / "b", speech_data, "000010035", **other)
        with pytest.raises(ConfigError, match=message):
            digit_strings.prepare(source, tmp_path / "3", split=split, say=silent)
        assert no_manifest(tmp_path / "3")


def test_a_manifest_without_usable_strings_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"audio_path": "a.wav", "text": "one"}\n')
    with pytest.raises(InputError, match=r"no digit strings in here \(looked for lines with a list 'digits'\)"):
        digit_strings.prepare(tmp_path, tmp_path / "out", say=silent)
    (tmp_path / "manifest.jsonl").write_text('{"audio_path": "a.wav", "text": "one", "digits": [1]}\n')
    with pytest.raises(InputError, match="not one of 1 digit strings could be cut"):
        digit_strings.prepare(tmp_path, tmp_path / "out", say=silent)
    assert not (tmp_path / "out").exists()


def test_without_pocketsphinx_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingDependencyError, match=r"needs pocketsphinx; run pip install 'vocable\[evaluate\]'"):
        digit_strings.Aligner()


def test_every_corpus_is_known_by_its_name() -> None:
    assert [prepare.__module__.rsplit(".", 1)[1] for prepare in CORPORA.values()] == list(CORPORA)
