"""A manifest says what it holds, or which line of which file is wrong and why."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.needed import lacking
from vocable.audio import Audio
from vocable.data.manifest import Utterance, read_manifest, read_manifests
from vocable.errors import ConfigError, ManifestError

GOOD = '{"audio_path": "good.wav", "split": "train"}'


def write(path: Path, *lines: str | dict[str, Any]) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def test_a_line_is_an_utterance_and_other_keys_are_kept(tmp_path: Path) -> None:
    line = {"audio_path": "audio/a.flac", "text": "guten Tag", "speaker": "s1", "split": "test", "duration": 1.5}
    others = {"digit": 4, "extra": {"a": 1}, "where": "Bonn", "phones": [["Z"]]}
    (utterance,) = read_manifest(write(tmp_path / "m.jsonl", {**line, **others}))
    assert utterance == Utterance(
        audio_path=tmp_path / "audio" / "a.flac", text="guten Tag", speaker="s1", split="test", duration=1.5,
        extra=others, where=f"{tmp_path}/m.jsonl, line 1",
    )  # fmt: skip
    assert utterance.value("where") == "Bonn"
    assert "where" not in utterance.model_dump()


def test_an_utterance_knows_its_line_and_says_it_with_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", GOOD, "", {"audio_path": "a.wav", "split": "test"}, GOOD)
    assert [one.where for one in read_manifest(path)] == [f"{path}, line {number}" for number in (1, 3, 4)]
    (one,) = read_manifest(path, "test")
    assert one.name == f"{path}, line 3: {tmp_path}/a.wav"
    assert Utterance(audio_path="a.wav").name == "a.wav"


def test_only_the_path_is_required(tmp_path: Path) -> None:
    nulls = {"audio_path": "b.wav", "text": None, "speaker": None, "split": None, "duration": None}
    one, two = read_manifest(write(tmp_path / "m.jsonl", {"audio_path": "a.wav"}, nulls))
    assert one == Utterance(audio_path=tmp_path / "a.wav", where=one.where)
    assert two == Utterance(audio_path=tmp_path / "b.wav", where=two.where)


def test_paths_are_absolute_or_relative_to_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    write(tmp_path / "set" / "m.jsonl", {"audio_path": "a.wav"}, {"audio_path": "/elsewhere/b.wav"})
    monkeypatch.chdir(tmp_path)
    paths = [utterance.audio_path for utterance in read_manifest("set/m.jsonl")]
    assert paths == [tmp_path / "set" / "a.wav", Path("/elsewhere/b.wav")]


@pytest.mark.slow
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=1, max_size=5))
@settings(deadline=None, max_examples=100)
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    lines = [{"audio_path": "a.wav", "text": text} for text in texts]
    path = write(
        tmp_path_factory.mktemp("text") / "m.jsonl", *lines
    )  # not in ASCII: U+2028 and the like stay as they are
    assert [utterance.text for utterance in read_manifest(path)] == texts


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_editors_do_to_files_does_no_harm(end: str, encoding: str, tmp_path: Path) -> None:
    lines = ['{"audio_path": "a.wav", "text": "ä"}', "", "   ", ' {"audio_path": "b.wav"} ', ""]
    (tmp_path / "m.jsonl").write_bytes(end.join(lines).encode(encoding))
    assert [utterance.audio_path.name for utterance in read_manifest(tmp_path / "m.jsonl")] == ["a.wav", "b.wav"]


def test_a_split_is_kept_and_an_unknown_one_is_told_from_those_there_are(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.jsonl",
        *({"audio_path": f"{at}.wav", "split": split} for at, split in enumerate(["train", "test", None, "train"])),
    )
    assert [utterance.audio_path.name for utterance in read_manifest(path, "train")] == ["0.wav", "3.wav"]
    assert len(read_manifest(path)) == 4
    with pytest.raises(
        ManifestError, match=r"m\.jsonl: no utterance has split 'dev'; there are \(none\), test, train$"
    ):
        read_manifest(path, "dev")


def test_several_manifests_follow_one_another_and_one_named_twice_counts_twice(tmp_path: Path) -> None:
    one = write(tmp_path / "1.jsonl", {"audio_path": "a.wav"})
    two = write(tmp_path / "2.jsonl", {"audio_path": "b.wav"}, {"audio_path": "c.wav"})
    names = [utterance.audio_path.name for utterance in read_manifests([two, one, str(one)])]
    assert names == ["b.wav", "c.wav", "a.wav", "a.wav"]
    write(two, "nonsense")
    with pytest.raises(ManifestError, match=r"2\.jsonl, line 1"):
        read_manifests([one, two])


LINES: dict[str, tuple[str, str]] = {
    "no JSON": ("a.wav|good morning", r"this is no JSON \(Expecting value at column 1 .*write {\"audio_path\": …"),
    "half a line": ('{"audio_path": "a.wa', "this is no JSON"),
    "two objects": (GOOD + GOOD, r"this is no JSON \(Extra data at column 45"),
    "single quotes": ("{'audio_path': 'a.wav'}", "this is no JSON"),
    "nested without end": ("[" * 100_000, "this is no JSON"),
    "a number without end": ('{"audio_path": "a.wav", "n": ' + "1" * 5000 + "}", "this is no JSON"),
    "a list": ('["a.wav"]', r'this is no JSON object; write {"audio_path": …'),
    "a string": ('"a.wav"', "this is no JSON object"),
    "null": ("null", "this is no JSON object"),
    "key missing": ('{"path": "a.wav", "text": "x"}', "the key 'audio_path' is missing or empty"),
    "key empty": ('{"audio_path": ""}', "the key 'audio_path' is missing or empty"),
    "key null": ('{"audio_path": null}', "the key 'audio_path' is missing or empty"),
    "path of another type": ('{"audio_path": 5}', r"audio_path is 5: Input is not a valid path"),
    "text of another type": (
        '{"audio_path": "a.wav", "text": ["x"]}',
        r"text is \['x'\]: Input should be a valid string",
    ),
    "speaker of another type": (
        '{"audio_path": "a.wav", "speaker": 7}',
        "speaker is 7: Input should be a valid string",
    ),
    "split of another type": ('{"audio_path": "a.wav", "split": {}}', "split is {}"),
    "duration of another type": ('{"audio_path": "a.wav", "duration": "long"}', "duration is 'long'"),
    "no duration": ('{"audio_path": "a.wav", "duration": 0}', "duration is 0: Input should be greater than 0"),
    "negative duration": ('{"audio_path": "a.wav", "duration": -1.5}', r"duration is -1\.5"),
    "NaN": ('{"audio_path": "a.wav", "duration": NaN}', "NaN is no number of JSON"),
    "infinity": ('{"audio_path": "a.wav", "duration": Infinity}', "Infinity is no number of JSON"),
    "a long value": (
        json.dumps({"audio_path": "a.wav", "text": list(range(9999))}),
        r"text is \[0, 1, .{1,100}\.\.\.: ",
    ),
}


@pytest.mark.parametrize(("line", "message"), LINES.values(), ids=LINES)
def test_a_line_that_cannot_be_used_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", GOOD, "", line, GOOD)
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(path, "train")
    assert str(caught.value).startswith(f"{path}, line 3: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "cannot be read .*No such file"),
        (lambda path: path.mkdir(), "cannot be read .*Is a directory"),
        (lambda path: path.write_bytes(b""), "no utterance in it"),
        (lambda path: path.write_bytes(b"\n  \n"), "no utterance in it"),
        (lambda path: path.write_bytes('{"audio_path": "ü"}'.encode("latin-1")), "cannot be read .*that it is UTF-8"),
        (lambda path: path.write_bytes(b"fLaC\x00\x00\xff\xfe"), "cannot be read .*that it is UTF-8"),
    ],
    ids=["missing", "folder", "empty", "blank", "latin-1", "audio"],
)
@pytest.mark.parametrize("split", [None, "train"])
def test_a_manifest_without_utterances_is_named(
    make: Callable[[Path], object], message: str, split: str | None, tmp_path: Path
) -> None:
    make(tmp_path / "m.jsonl")
    with pytest.raises(ManifestError, match=rf"m\.jsonl: {message}"):
        read_manifest(tmp_path / "m.jsonl", split)


@pytest.mark.parametrize("name", ["digits_fsdd", "emo_emodb_de", "read_librispeech", "read_speechocean762"])
def test_real_manifests_name_recordings_that_are_there(name: str, speech_data: Path) -> None:
    utterances = read_manifest(speech_data / name / "manifest.jsonl")
    assert {utterance.split for utterance in utterances} >= {"train", "test"}
    assert all(utterance.audio_path.is_file() for utterance in utterances[:: len(utterances) // 20])
    assert sum(utterance.duration or 0 for utterance in utterances) > 600


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.floats(0.5, 20.0), st.floats(0.1, 10.0)), min_size=1, max_size=4),
    st.booleans(),
)
def test_shares_are_those_of_the_speech(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, float, float]], has_duration: bool
) -> None:
    folder = tmp_path_factory.mktemp("shares")
    entries = []
    for number, (count, seconds, share) in enumerate(parts):
        rows = [
            {"audio_path": f"{number}/{at}.wav", **({"duration": seconds} if has_duration else {})}
            for at in range(count)
        ]
        write(folder / f"{number}.jsonl", *rows)
        entries.append(f"{folder}/{number}.jsonl:{share}")
    lines = read_manifests(entries)
    assert lines == read_manifests(entries)
    sizes = [0.0] * len(parts)
    for one in lines:
        sizes[int(one.audio_path.parent.name)] += one.duration or 1.0
    for size, (count, seconds, share) in zip(sizes, parts, strict=True):
        clip = seconds if has_duration else 1.0
        assert size >= count * clip * 0.999
        wanted = share / sum(one[2] for one in parts) * sum(sizes)
        assert abs(size - wanted) <= sum(one[1] if has_duration else 1.0 for one in parts) + 1e-6


def test_without_shares_manifests_are_as_they_were(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.jsonl", GOOD, GOOD), write(tmp_path / "b.jsonl", GOOD)
    assert read_manifests([one, two, one]) == [*read_manifest(one), *read_manifest(two), *read_manifest(one)]
    assert read_manifests([f"{one}:0.7"]) == read_manifest(one)
    assert len(read_manifests([f"{one}:1", f"{two}:1"])) == 4
    odd = write(tmp_path / "c:2", GOOD)
    assert len(read_manifests([odd, two])) == 2


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((":0", ":1"), "the share '0' must be a positive number"),
        ((":1", ":-1"), "the share '-1'"),
        ((":1e999", ":1"), "the share '1e999'"),
        ((":1", ""), "b.jsonl has no share, but another manifest has one"),
        ((":1e-12", ":1"), "these shares need"),
    ],
)
def test_shares_that_cannot_be_are_named(tmp_path: Path, shares: tuple[str, str], message: str) -> None:
    paths = [write(tmp_path / name, GOOD) for name in ("a.jsonl", "b.jsonl")]
    with pytest.raises(ConfigError, match=message):
        read_manifests([f"{path}{share}" for path, share in zip(paths, shares, strict=True)])


@pytest.mark.parametrize("name", ["read_librispeech_tc5", "read_librispeech_devclean", "tts_kathleen", "tts_ljspeech"])
def test_the_sets_in_ogg_opus_are_read(name: str, speech_data: Path) -> None:
    manifest = speech_data / name / "manifest.jsonl"
    if not manifest.exists():
        lacking(f"the speech data {name}")
    lines = read_manifest(manifest)
    assert all(one.text and one.speaker and one.split for one in lines)
    for one in lines[:: len(lines) // 3]:
        clip = Audio.read(one.audio_path)
        assert clip.duration == pytest.approx(one.duration, abs=0.02)
        assert clip.sample_rate in (16_000, 48_000)
