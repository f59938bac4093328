"""Utterances with their text become batches: what is heard once, where pieces lie, who is left out and why."""

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vocable.audio import Audio
from vocable.data.alignment.phones import words_of
from vocable.data.manifest import Utterance, read_manifest
from vocable.data.spoken import Spoken, SpokenConfig, doubtful, part_of
from vocable.data.spoken_batch import SpokenBatch
from vocable.data.targets import Listener
from vocable.errors import AudioError, CheckpointError, ConfigError, ManifestError, VocableError
from vocable.text.pieces import BytePairs

RATE = 8_000
PIECES = BytePairs.learn(["good day", "a good one two three", "good good day day", "twenty-one"], 40)


class Units:
    """Says 25 ids a second: how loud, in 64 steps."""

    name, digest, sample_rate, frame_rate, width = "units", "units", RATE, 25.0, 64

    def __init__(self) -> None:
        self.heard: list[int] = []

    def hear(self, clip: Audio) -> Tensor:
        self.heard.append(clip.sample_rate)
        return (self._level(clip, 320) * 63).long()

    def _level(self, clip: Audio, hop: int) -> Tensor:
        samples = torch.from_numpy(np.pad(clip.samples, (0, -clip.samples.size % hop)))
        return samples.reshape(-1, hop).abs().mean(1).clamp(max=1)


class Frames(Units):
    """Says 50 pairs of layers a second: three numbers each, the shallow ones negative."""

    name, digest, sample_rate, frame_rate, width = "frames", "frames", 16_000, 50.0, 6

    def hear(self, clip: Audio) -> Tensor:
        self.heard.append(clip.sample_rate)
        level = self._level(clip, 320)[:, None]
        return torch.cat([level.repeat(1, 3), -level.repeat(1, 3)], dim=1)


class Voice(Units):
    name, digest, sample_rate, frame_rate, width = "voice", "voice", 16_000, None, 2  # type: ignore[assignment]

    def hear(self, clip: Audio) -> Tensor:
        self.heard.append(clip.sample_rate)
        return torch.tensor([clip.duration, 1.0])


def record(path: Path, seconds: float, seed: int = 0) -> Path:
    samples = np.random.default_rng(seed).uniform(-0.9, 0.9, round(seconds * RATE)).astype(np.float32)
    Audio(samples, RATE).write(path)
    return path


@pytest.fixture
def lines(tmp_path: Path) -> list[Utterance]:
    """Three utterances, the last as its seed has it: a path, a text, and nothing else."""
    alignment = [
        ["G", 0.2, 0.28],
        ["UH", 0.28, 0.4],
        ["D", 0.4, 0.44],
        ["D", 0.6, 0.7],
        ["EY", 0.7, 0.88],
        ["SIL", 0.88, 1.0],
    ]
    rows: list[dict[str, Any]] = [
        {
            "audio_path": str(record(tmp_path / "a.wav", 1.0)), "text": "GOOD DAY", "alignment": alignment,
            "phones": [["G", "UH1", "D"], ["D", "EY1"]], "alignment_score": -3.0,
        },
        {"audio_path": str(record(tmp_path / "b.wav", 2.0, 1)), "text": "a good one"},
        {"audio_path": "c.wav", "text": "two three"},
    ]  # fmt: skip
    record(tmp_path / "c.wav", 0.7, 2)
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_manifest(tmp_path / "manifest.jsonl")


def spoken(lines: list[Utterance], folder: Path, config: SpokenConfig | None = None, **listeners: Any) -> Spoken:
    parts = {"units": Units(), "frames": Frames(), **listeners}
    return Spoken(lines, config or SpokenConfig(batch_size=8), pieces=PIECES, cache=folder / "cache", **parts)


def test_the_listeners_are_what_the_protocol_says() -> None:
    assert all(isinstance(one(), Listener) for one in (Units, Frames, Voice))


def test_a_row_is_what_was_heard_of_the_utterance(lines: list[Utterance], tmp_path: Path) -> None:
    drawn = spoken(lines, tmp_path)
    assert (len(drawn), drawn.problems, drawn.unmatched) == (3, [], 0)
    assert drawn.hours == pytest.approx(3.7 / 3600)
    row, clip = drawn.row(1), Audio.read(lines[1].audio_path)
    assert row.names == (str(lines[1].audio_path),)
    assert torch.equal(row.units[0], Units().hear(clip))
    heard = Frames().hear(clip.resample(16_000))
    assert torch.allclose(row.keys[0], heard[:, :3], atol=1e-3)
    assert torch.allclose(row.values[0], heard[:, 3:], atol=1e-3)
    assert row.piece_mask.all()
    assert row.frame_mask.all()
    assert row.unit_mask.all()
    assert row.voices.tolist() == [[0.0]]
    split = PIECES.split("A good one")
    assert drawn.splits[1] == split
    assert row.pieces[0].tolist() == list(split.ids)
    assert row.words[0].tolist() == list(split.words)


def test_aligned_pieces_lie_where_they_are_said_and_others_where_letters_would(
    lines: list[Utterance], tmp_path: Path
) -> None:
    drawn = spoken(lines, tmp_path)
    row = drawn.row(0)
    second = int(row.words[0].tolist().index(1))
    assert bool(row.aligned)
    assert float(row.spans[0, second, 0]) == pytest.approx(0.6 * 25)
    assert float(row.spans[0, 0, 0]) == 0
    assert float(row.spans[0, -1, 1]) == row.units.shape[1] == 25
    other = drawn.row(2)
    assert not bool(other.aligned)
    second = int(other.words[0].tolist().index(1))
    assert float(other.spans[0, second, 0]) == pytest.approx(18 * 3 / 8)


def test_a_batch_is_rows_side_by_side_with_nothing_behind_their_ends(lines: list[Utterance], tmp_path: Path) -> None:
    drawn = spoken(lines, tmp_path)
    alone = {one.names[0]: one for one in map(drawn.row, range(3))}
    batch = drawn.batch(0)
    assert set(batch.names) == set(alone), "eight draws of three"
    groups = {
        "piece_mask": ("pieces", "words", "spans"), "frame_mask": ("keys", "values"), "unit_mask": ("units",)
    }  # fmt: skip
    for at, name in enumerate(batch.names):
        for mask, fields in groups.items():
            inside = getattr(batch, mask)[at]
            for field in fields:
                padded = getattr(batch, field)[at]
                assert torch.equal(padded[inside], getattr(alone[name], field)[0])
                assert not padded[~inside].any()
    moved = batch.to(torch.device("meta"))
    assert {value.device.type for name, value in vars(moved).items() if name != "names"} == {"meta"}


def test_batches_are_of_seed_and_step_alone_and_every_utterance_is_as_likely(
    lines: list[Utterance], tmp_path: Path
) -> None:
    config = SpokenConfig(batch_size=8, seed=3)
    one, two = spoken(lines, tmp_path, config), spoken(lines, tmp_path, config)
    first, again = one.batch(5), two.batch(5)
    assert first.names == again.names
    assert torch.equal(first.keys, again.keys)
    halves = [one.batch(5, rank, 2).names for rank in (0, 1)]
    assert (*halves[0], *halves[1]) == first.names
    assert one.batch(6).names != first.names
    counts = Counter(name for step in range(100) for name in one.batch(step).names)
    assert min(counts.values()) > 800 / 3 * 0.8


def test_what_was_heard_is_not_heard_again_and_each_at_its_own_rate(lines: list[Utterance], tmp_path: Path) -> None:
    first = {"units": Units(), "frames": Frames(), "voice": Voice()}
    row = spoken(lines, tmp_path, **first).row(1)
    assert row.voices.tolist() == [[2.0, 1.0]]
    assert [one.heard for one in first.values()] == [[8_000] * 3, [16_000] * 3, [16_000] * 3]
    again = {"units": Units(), "frames": Frames(), "voice": Voice()}
    same = spoken(lines, tmp_path, **again).row(1)
    assert not any(one.heard for one in again.values())
    assert torch.equal(same.keys, row.keys)
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["frames", "units", "voices"]


def test_each_speed_is_a_row_that_is_heard_and_kept_for_itself(lines: list[Utterance], tmp_path: Path) -> None:
    speeds, first = (0.8, 1.0, 1.25), {"units": Units(), "frames": Frames(), "voice": Voice()}
    drawn = spoken(lines, tmp_path, SpokenConfig(batch_size=8, speeds=speeds), **first)
    assert (len(drawn), len(drawn.utterances), drawn.problems) == (9, 9, [])
    assert [one.audio_path.name for one in drawn.utterances] == ["a.wav"] * 3 + ["b.wav"] * 3 + ["c.wav"] * 3
    assert drawn.hours == pytest.approx(3.7 * (1 / 0.8 + 1 + 1 / 1.25) / 3600)
    clip, path = Audio.read(lines[1].audio_path), str(lines[1].audio_path)
    for at, speed in enumerate(speeds):
        row, played = drawn.row(3 + at), clip.played(speed)
        assert row.names == (path if speed == 1 else f"{path} at speed {speed}",)
        assert torch.equal(row.units[0], Units().hear(played))
        heard = Frames().hear(played.resample(16_000))
        assert torch.allclose(row.keys[0], heard[:, :3], atol=1e-3)
        assert row.voices[0, 0] == pytest.approx(2.0 / speed, abs=1e-3)
        assert row.units.shape[1] == pytest.approx(50 / speed, abs=1)
    assert [len(one.heard) for one in first.values()] == [9, 9, 9]
    files = [path.name for path in (tmp_path / "cache" / "units").glob("*.safetensors")]
    assert [sum(f"@{speed}." in name for name in files) for speed in speeds] == [3, 0, 3]
    again = {"units": Units(), "frames": Frames(), "voice": Voice()}
    plain = spoken(lines, tmp_path, **again)
    assert not any(one.heard for one in again.values())
    assert torch.equal(plain.row(1).keys, drawn.row(4).keys)
    assert torch.equal(plain.row(1).units, drawn.row(4).units)


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_words_lie_where_they_are_said_at_that_speed(lines: list[Utterance], tmp_path: Path, speed: float) -> None:
    row = spoken(lines[:1], tmp_path, SpokenConfig(speeds=(speed,))).row(0)
    second = int(row.words[0].tolist().index(1))
    assert bool(row.aligned)
    assert float(row.spans[0, second, 0]) == pytest.approx(0.6 / speed * 25)
    assert float(row.spans[0, -1, 1]) == row.units.shape[1]


def test_every_copy_is_as_likely_and_one_too_long_is_left_out_alone(lines: list[Utterance], tmp_path: Path) -> None:
    drawn = spoken(lines, tmp_path, SpokenConfig(batch_size=8, speeds=(0.8, 1.0), longest=2.2))
    assert [str(problem) for problem in drawn.problems] == [
        f"{lines[1].audio_path}: lasts 2.5 s at speed 0.8, and 2.2 s are the most; cut it between words"
    ]
    counts = Counter(name for step in range(100) for name in drawn.batch(step).names)
    assert len(counts) == len(drawn) == 5
    assert min(counts.values()) > 160 * 0.75
    mute = lines[0].model_copy(update={"text": ""})
    drawn = spoken([mute, lines[2]], tmp_path, SpokenConfig(speeds=(0.8, 1.0)))
    assert [str(problem) for problem in drawn.problems] == [
        f"{mute.audio_path}: its line has no 'text'; add what is said"
    ]


def test_a_smaller_part_lies_inside_a_larger_one_and_parts_no_speaker() -> None:
    said = [
        Utterance(audio_path=f"/{number}.flac", speaker=f"s{number % 40}" if number < 300 else None)
        for number in range(320)
    ]
    parts = {share: part_of(said, share) for share in (0.01, 0.25, 0.5, 1.0)}
    paths = [{one.audio_path for one in part} for part in parts.values()]
    assert all(smaller < larger for smaller, larger in pairwise(paths))
    for share, part in parts.items():
        assert share * 320 <= len(part) < share * 320 + 8  # of a speaker there are 8 at most
        inside = {one.speaker for one in part if one.speaker}
        assert not inside & {one.speaker for one in said if one not in part}
        assert part == [one for one in said if one in part]
    assert parts[1.0] == said
    shuffled = [said[at] for at in np.random.default_rng(0).permutation(320)]
    assert {one.audio_path for one in part_of(shuffled, 0.25)} == paths[1]
    assert part_of([Utterance(audio_path="a.wav", speaker="\ud800")], 0.5)


def test_a_share_is_all_that_is_learnt_from(lines: list[Utterance], tmp_path: Path) -> None:
    units = Units()
    drawn = spoken(lines, tmp_path, SpokenConfig(share=0.3), units=units)
    assert drawn.utterances == part_of(lines, 0.3)
    assert len(drawn) == len(units.heard) == 1


def test_scores_far_under_the_others_are_doubted_by_name_and_stay(lines: list[Utterance], tmp_path: Path) -> None:
    scores = [*np.linspace(-25.0, -15.0, 21), -33.0, float("nan"), 10**400, "low", None, True]  # median -20.25
    said = [
        Utterance(audio_path=f"/{number}.flac", extra={"alignment_score": score}) for number, score in enumerate(scores)
    ]
    (doubt,) = doubtful(said)
    assert str(doubt).startswith(
        "/21.flac: its alignment_score is -33, that of most recordings around -20.25: its text"
    )
    assert doubtful(said[:19]) == []
    assert doubtful([one.model_copy(update={"extra": {}}) for one in said]) == []
    many = [lines[0], *(
        one.model_copy(update={"audio_path": record(tmp_path / f"{number}.wav", 0.8, number), "text": "good",
                               "extra": {"alignment_score": -1.0 - number % 4}})
        for number, one in enumerate([lines[1]] * 24)
    )]  # fmt: skip
    many[5] = many[5].model_copy(update={"extra": {"alignment_score": -40.0}})
    drawn = spoken(many, tmp_path, SpokenConfig(speeds=(1.0, 1.25)))
    assert (len(drawn), drawn.problems) == (50, [])
    assert [str(doubt).partition(":")[0] for doubt in drawn.doubts] == [str(many[5].audio_path)]


def left_out(lines: list[Utterance], tmp_path: Path, config: SpokenConfig | None = None, **changes: Any) -> list[str]:
    """Why the first of three is left out, changed like this; that it alone is."""
    known = {name: changes.pop(name) for name in ("text", "audio_path") if name in changes}
    changed = lines[0].model_copy(update={**known, "extra": {**lines[0].extra, **changes}})
    drawn = spoken([changed, *lines[1:]], tmp_path, config)
    assert [str(one.audio_path) for one in drawn.utterances] == [str(one.audio_path) for one in lines[1:]]
    assert len(drawn.splits) == len(drawn) == 2
    assert all(isinstance(problem, VocableError) for problem in drawn.problems)
    return [str(problem) for problem in drawn.problems]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "its line has no 'text'"),
        ({"text": ""}, "its line has no 'text'"),
        ({"text": " ... "}, "there are no letters in it"),
        ({"text": "twenty " * 30}, r"its text has \d+ pieces, its audio 25 units"),
        ({"alignment": [["G", 0.0, 7.0]]}, "the alignment ends at 7.000 s"),
        ({"alignment": "nothing"}, "is no list of"),
        ({"alignment_score": -9.5}, r"its alignment_score is -9\.5, under -5"),
        ({"alignment_score": float("nan")}, "its alignment_score is nan"),
        ({"alignment_score": True}, "its alignment_score is True"),
        ({"alignment_score": "high"}, "its alignment_score is high"),
        ({"alignment_score": 10**400}, "its alignment_score is 1000"),
    ],
)
def test_an_utterance_that_cannot_be_used_is_left_out_by_name(
    lines: list[Utterance], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    (problem,) = left_out(lines, tmp_path, SpokenConfig(least_score=-5.0), **changes)
    assert problem.startswith(str(lines[0].audio_path))
    assert re.search(message, problem), problem


def test_recordings_that_are_long_or_damaged_or_mute_to_a_listener_are_left_out(
    lines: list[Utterance], tmp_path: Path
) -> None:
    long = record(tmp_path / "long.wav", 3.5)
    (problem,) = left_out(lines, tmp_path, SpokenConfig(longest=3.0), audio_path=long)
    assert problem == f"{long}: lasts 3.5 s, and 3 s are the most; cut it between words"
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    (problem,) = left_out(lines, tmp_path, audio_path=tmp_path / "broken.wav")
    assert "cannot be read as audio" in problem

    class Choosy(Units):
        def hear(self, clip: Audio) -> Tensor:
            if clip.duration > 1.5:
                raise AudioError("says nothing of it")
            return super().hear(clip)

    drawn = spoken(lines, tmp_path / "other", units=Choosy())
    assert [str(problem) for problem in drawn.problems] == [f"{lines[1].audio_path}: says nothing of it"]


def test_scores_count_only_where_they_are_asked_for(lines: list[Utterance], tmp_path: Path) -> None:
    assert len(spoken(lines, tmp_path)) == 3
    assert len(spoken(lines, tmp_path, SpokenConfig(least_score=-3.0))) == 3
    assert len(spoken(lines, tmp_path, SpokenConfig(least_score=-2.9))) == 2


def test_an_alignment_with_other_words_than_the_text_leaves_a_guess_that_is_counted(
    lines: list[Utterance], tmp_path: Path
) -> None:
    other = {"text": "good-day day"}, {"text": "good day", "phones": [["G", "UH1"], ["D", "EY1"]]}
    changed = [
        lines[0].model_copy(update={"text": one.pop("text"), "extra": {**lines[0].extra, **one}}) for one in other
    ]  # fmt: skip
    drawn = spoken([*changed, lines[0]], tmp_path)
    assert (len(drawn), drawn.unmatched) == (3, 2)
    assert [bool(drawn.row(at).aligned) for at in range(3)] == [False, False, True]


def test_phones_of_a_text_are_found_where_the_line_has_none(lines: list[Utterance], tmp_path: Path) -> None:
    extra = {key: value for key, value in lines[0].extra.items() if key != "phones"}
    drawn = spoken([lines[0].model_copy(update={"extra": extra})], tmp_path)
    assert bool(drawn.row(0).aligned)


def test_nothing_to_learn_from_and_listeners_in_the_wrong_place(lines: list[Utterance], tmp_path: Path) -> None:
    mute = [Utterance(audio_path=lines[0].audio_path)]
    with pytest.raises(ManifestError, match=r"none of 1 recordings can be used; the first: .*no 'text'"):
        spoken(mute, tmp_path)
    for parts in ({"units": Voice()}, {"frames": Voice()}, {"voice": Units()}):
        with pytest.raises(ConfigError, match="exchange them"):
            spoken(lines, tmp_path, **parts)
    with pytest.raises(CheckpointError, match=r"cannot be read|holds"):
        spoken(lines, tmp_path / "two", units=Frames())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"longest": 0.0}, "longest is 0"),
        ({"longest": float("nan")}, "longest is nan"),
        ({"voice_width": 0}, "voice_width is 0"),
        ({"least_score": float("nan")}, "least_score is nan"),
        ({"gain_db": (-3.0, 0.0)}, r"gain_db is \(-3.0, 0.0\): what listeners say is kept"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"speeds": ()}, r"speeds is \(\): give one or more"),
        ({"speeds": (1.0, 0.4)}, "speeds is .*between 0.5 and 2"),
        ({"speeds": (1.0, float("nan"))}, "speeds is .*between 0.5 and 2"),
        ({"speeds": (1.0, 0.9, 1.0)}, "speeds is .*each once"),
        ({"share": 0.0}, "share is 0.0: it must be over 0 and at most 1"),
        ({"share": 1.5}, "share is 1.5"),
        ({"share": float("nan")}, "share is nan"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"utterances: {message}"):
        SpokenConfig(**values)


def test_a_file_that_was_altered_is_refused(lines: list[Utterance], tmp_path: Path) -> None:
    drawn = spoken(lines[:1], tmp_path)
    (file,) = (tmp_path / "cache" / "frames").glob("*.safetensors")
    save_file({"target": load_file(file)["target"][:, :4].contiguous()}, file, metadata={"digest": "frames"})
    with pytest.raises(CheckpointError, match=r"holds \[50, 4\] of F16"):
        drawn.batch(0)
    assert isinstance(spoken(lines[1:], tmp_path).batch(0), SpokenBatch)


def test_real_digit_strings_with_their_phones(speech_data: Path, tmp_path: Path) -> None:
    rows = [one for one in read_manifest(speech_data / "read_speechocean762" / "manifest.jsonl") if one.text][:4]
    even = []
    for one in rows:  # phones laid evenly over the recording: an alignment of the right words at the wrong times
        phones = [phone for word in words_of(one) for phone in word]
        ends = np.linspace(0, Audio.read(one.audio_path).duration, len(phones) + 1)
        alignment = [[phone, *map(float, ends[at : at + 2])] for at, phone in enumerate(phones)]
        even.append(one.model_copy(update={"extra": {**one.extra, "alignment": alignment}}))
    pieces = BytePairs.learn([str(one.text) for one in rows], 60)
    drawn = Spoken(
        even, SpokenConfig(batch_size=4), pieces=pieces, units=Units(), frames=Frames(), cache=tmp_path / "cache"
    )
    assert (len(drawn), drawn.unmatched, drawn.problems) == (4, 0, [])
    for at in range(4):
        row = drawn.row(at)
        assert float(row.spans[0, -1, 1]) == row.units.shape[1]
        assert torch.equal(row.spans[0, 1:, 0], row.spans[0, :-1, 1])
