"""Who is left out and why, and who is doubted and stays."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from tests.systems.taste.spoken import Units, record, spoken
from vocable.audio import Audio
from vocable.data.alignment.doubts import find_doubtful
from vocable.data.manifest import Utterance
from vocable.errors import AudioError, VocableError
from vocable.systems.taste.data import TasteBatchConfig


def test_each_manifest_is_doubted_by_its_own_scores() -> None:
    said = [
        Utterance(audio_path=f"/{name}-{number}.flac", where=f"{name}.jsonl, line {number}",
                  extra={"alignment_score": middle + number % 5})
        for name, middle, count in (("native", -15.0, 40), ("accented", -40.0, 20)) for number in range(1, count + 1)
    ]  # fmt: skip
    assert find_doubtful(said) == []
    wrong = said[3].model_copy(update={"extra": {"alignment_score": -36.0}})
    assert [str(doubt).partition(": its")[0] for doubt in find_doubtful([*said, wrong])] == [wrong.name]


@pytest.mark.slow
def test_scores_far_under_the_others_are_doubted_by_name_and_stay(lines: list[Utterance], tmp_path: Path) -> None:
    scores = [*np.linspace(-25.0, -15.0, 21), -33.0, float("nan"), 10**400, "low", None, True]  # median -20.25
    said = [
        Utterance(audio_path=f"/{number}.flac", extra={"alignment_score": score}) for number, score in enumerate(scores)
    ]
    (doubt,) = find_doubtful(said)
    assert str(doubt).startswith("/21.flac: its alignment_score is -33, the median is -20.25; check whether its text")
    assert find_doubtful(said[:19]) == []
    assert find_doubtful([one.model_copy(update={"extra": {}}) for one in said]) == []
    many = [lines[0], *(
        one.model_copy(update={"audio_path": record(tmp_path / f"{number}.wav", 0.8, number), "text": "good",
                               "extra": {"alignment_score": -1.0 - number % 4}})
        for number, one in enumerate([lines[1]] * 24)
    )]  # fmt: skip
    many[5] = many[5].model_copy(update={"extra": {"alignment_score": -40.0}})
    drawn = spoken(many, tmp_path, TasteBatchConfig(speeds=(1.0, 1.25)))
    assert (len(drawn), drawn.problems) == (50, [])
    assert [str(doubt).partition(": its")[0] for doubt in drawn.doubts] == [many[5].name]


def left_out(
    lines: list[Utterance], tmp_path: Path, config: TasteBatchConfig | None = None, **changes: Any
) -> list[str]:
    """Why the first of three is left out, changed like this; that it alone is."""
    known = {name: changes.pop(name) for name in ("text", "audio_path") if name in changes}
    changed = lines[0].model_copy(update={**known, "extra": {**lines[0].extra, **changes}})
    drawn = spoken([changed, *lines[1:]], tmp_path, config)
    assert [str(one.audio_path) for one in drawn.utterances] == [str(one.audio_path) for one in lines[1:]]
    assert len(drawn._entries) == len(drawn) == 2
    assert all(isinstance(problem, VocableError) for problem in drawn.problems)
    return [str(problem) for problem in drawn.problems]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "its line has no 'text'"),
        ({"text": ""}, "its line has no 'text'"),
        ({"text": " ... "}, "there are no letters in it"),
        ({"text": "twenty " * 30}, r"its text has \d+ subwords, its audio 25 units"),
        ({"alignment": [["G", 0.0, 7.0]]}, "the alignment ends at 7.000 s"),
        ({"alignment": "nothing"}, "Input should be a valid array"),
    ],
)
def test_an_utterance_that_cannot_be_used_is_left_out_by_name(
    lines: list[Utterance], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    (problem,) = left_out(lines, tmp_path, **changes)
    assert problem.startswith(lines[0].name)
    assert re.search(message, problem), problem


def test_recordings_that_are_long_or_damaged_or_mute_to_a_listener_are_left_out(
    lines: list[Utterance], tmp_path: Path
) -> None:
    long = record(tmp_path / "long.wav", 3.5)
    (problem,) = left_out(lines, tmp_path, TasteBatchConfig(max_seconds=3.0), audio_path=long)
    assert problem == f"{lines[0].where}: {long}: lasts 3.5 s, longer than 3 s; cut it between words"
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    (problem,) = left_out(lines, tmp_path, audio_path=tmp_path / "broken.wav")
    assert "cannot be read as audio" in problem

    class Choosy(Units):
        def extract(self, clip: Audio) -> Tensor:
            if clip.duration > 1.5:
                raise AudioError("says nothing of it")
            return super().extract(clip)

    drawn = spoken(lines, tmp_path / "other", units=Choosy())
    assert drawn.problems == []
    named = [str(problem) for step in range(9) for problem in drawn.prepare(step)]
    assert named == [str(problem) for problem in drawn.problems] == [f"{lines[1].name}: says nothing of it"]
    names = {name for step in range(9) for name in drawn.batch(step).names}
    assert names == {str(one.audio_path) for one in (lines[0], lines[2])}
    with pytest.raises(AudioError, match="a feature extractor refuses it"):
        drawn.row(1)
