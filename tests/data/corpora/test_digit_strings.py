"""Spoken digit strings are cut into digits."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.corpora.conftest import lines, no_manifest, silent, sound
from vocable.audio import Audio
from vocable.data.corpora import digit_strings
from vocable.data.corpora.recordings import SHARES, WORDS
from vocable.errors import ConfigError, InputError, MissingDependencyError, OutputError


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
    with pytest.raises(OutputError, match=r"manifest\.jsonl: exists already"):
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


@pytest.mark.slow
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
    with pytest.raises(InputError, match=r"holds no digit strings \(looked for lines with a list 'digits'\)"):
        digit_strings.prepare(tmp_path, tmp_path / "out", say=silent)
    (tmp_path / "manifest.jsonl").write_text('{"audio_path": "a.wav", "text": "one", "digits": [1]}\n')
    with pytest.raises(InputError, match="none of 1 digit strings could be cut"):
        digit_strings.prepare(tmp_path, tmp_path / "out", say=silent)
    assert not (tmp_path / "out").exists()


def test_without_pocketsphinx_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingDependencyError, match=r"needs pocketsphinx; run pip install 'vocable\[evaluate\]'"):
        digit_strings.Aligner()
