"""The same utterances at several speeds, each a row of its own."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.systems.taste.spoken import Frames, Units, Voice, spoken
from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.systems.taste.data import TasteBatchConfig


def test_each_speed_is_a_row_that_is_heard_and_kept_for_itself(lines: list[Utterance], tmp_path: Path) -> None:
    speeds, first = (0.8, 1.0, 1.25), {"units": Units(), "frames": Frames(), "voice": Voice()}
    drawn = spoken(lines, tmp_path, TasteBatchConfig(batch_size=8, speeds=speeds), **first)
    assert (len(drawn), len(drawn.utterances), drawn.problems) == (9, 9, [])
    assert [one.audio_path.name for one in drawn.utterances] == ["a.wav"] * 3 + ["b.wav"] * 3 + ["c.wav"] * 3
    assert drawn.hours == pytest.approx(3.7 * (1 / 0.8 + 1 + 1 / 1.25) / 3600)
    assert len([*drawn.rows(range(9))]) == 9
    clip, path = Audio.read(lines[1].audio_path), str(lines[1].audio_path)
    for at, speed in enumerate(speeds):
        row, played = drawn.row(3 + at), clip.played(speed)
        assert row.names == (path if speed == 1 else f"{path} at speed {speed}",)
        assert torch.equal(row.units[0], Units().extract(played))
        heard = Frames().extract(played.resample(16_000))
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
    row = spoken(lines[:1], tmp_path, TasteBatchConfig(speeds=(speed,))).row(0)
    second = int(row.word_ids[0].tolist().index(1))
    assert bool(row.aligned)
    assert float(row.spans[0, second, 0]) == pytest.approx(0.6 / speed * 25)
    assert float(row.spans[0, -1, 1]) == row.units.shape[1]


def test_every_copy_is_as_likely_and_one_too_long_is_left_out_alone(lines: list[Utterance], tmp_path: Path) -> None:
    drawn = spoken(lines, tmp_path, TasteBatchConfig(batch_size=8, speeds=(0.8, 1.0), max_seconds=2.2))
    assert [str(problem) for problem in drawn.problems] == [
        f"{lines[1].name}: lasts 2.5 s at speed 0.8, longer than 2.2 s; cut it between words"
    ]
    counts = Counter(name for step in range(100) for name in drawn.batch(step).names)
    assert len(counts) == len(drawn) == 5
    assert min(counts.values()) > 160 * 0.75
    mute = lines[0].model_copy(update={"text": ""})
    drawn = spoken([mute, lines[2]], tmp_path, TasteBatchConfig(speeds=(0.8, 1.0)))
    assert [str(problem) for problem in drawn.problems] == [f"{mute.name}: its line has no 'text'; add the transcript"]
