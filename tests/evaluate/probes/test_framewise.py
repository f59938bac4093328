"""What single frames tell: phones and pitch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.evaluate.probes.drawn import ENTRIES, Embedder, tokens
from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AudioError
from vocable.evaluate.judges.base import Pitch
from vocable.evaluate.probes.frame import log_pitch_at, phone_marks, phones_at
from vocable.evaluate.probes.run import run_probe
from vocable.evaluate.probes.views import Clip

HOP = 0.02


def marked(*, speakers: int = 3, phones: str = "aeiou", seed: int = 0) -> list[Clip]:
    """Level 1 says the phone, five frames each; level 2 is noise."""
    random = torch.Generator().manual_seed(seed)
    clips = []
    for at in range(speakers * 4):
        said = torch.randint(len(phones), (12,), generator=random)
        noise = torch.randint(ENTRIES, (60,), generator=random)
        marks = [[place * 5 * HOP, phones[int(phone)]] for place, phone in enumerate(said)] + [[60 * HOP, "."]]
        utterance = Utterance(audio_path=Path(f"{at}.flac"), speaker=f"s{at % speakers}", extra={"phone_marks": marks})
        clips.append((utterance, tokens(torch.stack([said.repeat_interleave(5), noise]))))
    return clips


@pytest.mark.parametrize("tokenizer", [Embedder(), object()], ids=["vectors", "ids"])
def test_phones_that_level_one_says_are_found_there(tokenizer: object) -> None:
    level_1, level_2, both = run_probe("phoneme", tokenizer, "drawn", marked())
    assert level_1.figure.mean == 1.0
    assert both.figure.mean > 0.8
    assert abs(level_2.figure.mean - level_2.majority) < 0.12
    assert level_1.chance == 0.2
    assert level_1.metric == "frame top-1 accuracy"


def test_one_speaker_cannot_be_told_of_others() -> None:
    row = run_probe("phoneme", Embedder(), "drawn", marked(speakers=1))[0]
    assert "one speaker only (s0)" in row.note


def test_a_phone_not_fitted_on_is_an_error() -> None:
    clips = marked(phones="ae")
    other = tokens(torch.full((2, 60), 12))
    odd = [
        (utterance.model_copy(update={"extra": {"phone_marks": [[0.0, "x"], [1.2, "."]]}}), other)
        for utterance, _ in clips
        if utterance.speaker == "s0"
    ]
    rest = [clip for clip in clips if clip[0].speaker != "s0"]
    row = run_probe("phoneme", Embedder(), "drawn", [*odd, *rest], views=["level 1"])[0]
    assert row.figure.mean == pytest.approx(2 / 3)


def test_marks_are_starts_and_modifiers_belong_to_the_phone_before() -> None:
    raw = [[0.1, "_t"], [0.2, "!t\t+asp"], [0.3, "(gef"], [0.4, "a\t\t2"], [0.5, "\t+nas"], [0.6, "+sth"], [0.7, "."]]
    marks = phone_marks(Utterance(audio_path=Path("a.flac"), extra={"phone_marks": raw}))
    assert [phone for _, phone in marks] == ["t", "t", "", "a", "a", "a", ""]
    assert phones_at(marks, np.array([0.0, 0.15, 0.35, 0.65, 0.9])) == ["", "t", "", "a", ""]


class Tracker:
    """Says of each clip what its file name says: the pitch rises from there by an octave."""

    name = "drawn-1"

    def __init__(self, wanted: dict[Path, float]) -> None:
        self.wanted = wanted

    def track(self, clip: Audio) -> Pitch:
        start = float(clip.samples[0]) * 1000
        if start < 50:
            raise AudioError("silent")
        hz = start * 2 ** np.linspace(0, 1, 121)
        return Pitch(hz=hz, voiced=np.ones(121, dtype=bool), hop=0.01)


@pytest.fixture
def sung(tmp_path: Path) -> list[Clip]:
    """Level 1 is the pitch in steps; level 2 is noise."""
    clips = []
    random = torch.Generator().manual_seed(2)
    for at, start in enumerate([100, 120, 140, 160] * 3 + [0]):
        path = tmp_path / f"{at}.wav"
        Audio(np.full(19_200, start / 1000, dtype=np.float32), 16_000).write(path)
        log = np.log2(max(start, 1) / 100) + (np.arange(60) + 0.5) / 60
        level = torch.from_numpy(np.clip(log / 1.7 * ENTRIES, 0, ENTRIES - 1).astype(np.int64))
        noise = torch.randint(ENTRIES, (60,), generator=random)
        utterance = Utterance(audio_path=path, speaker=f"s{at % 3}")
        clips.append((utterance, tokens(torch.stack([level, noise]), torch.tensor([start / 100, 0.0]))))
    return clips


def test_pitch_that_level_one_says_is_found_there(sung: list[Clip]) -> None:
    rows = run_probe("pitch", object(), "drawn", sung, tracker=Tracker({}))
    figures = {(row.view, row.metric): row for row in rows}
    correlation, error = "F0 correlation within clips", "F0 error (cents)"
    assert figures["level 1", correlation].figure.mean > 0.97
    assert abs(figures["level 2", correlation].figure.mean) < 0.2
    assert figures["level 1", error].figure.mean < 200 < 300 < figures["level 2", error].figure.mean
    assert figures["level 2", error].figure.mean == pytest.approx(figures["level 2", error].majority, rel=0.1)
    assert figures["level 1", error].figure.low <= figures["level 1", error].figure.mean
    assert figures["level 1", error].figure.reasons == {"no pitch: silent": 1}


def test_a_voice_vector_says_the_register_but_not_the_melody(sung: list[Clip]) -> None:
    correlation, error = run_probe("pitch", object(), "drawn", sung, views=["voice vector"], tracker=Tracker({}))
    assert set(correlation.figure.reasons) == {"no pitch: silent", "the probe says one pitch throughout"}
    assert error.figure.mean < error.majority


def test_pitch_is_known_between_two_voiced_frames_only() -> None:
    heard = Pitch(hz=np.array([100.0, 200.0, 0.0, 150.0]), voiced=np.array([True, True, False, True]), hop=0.01)
    logs, known = log_pitch_at(heard, np.array([0.0, 0.005, 0.015, 0.03, 0.035]))
    assert known.tolist() == [True, True, False, True, False]
    np.testing.assert_allclose(np.exp(logs[known]), [100.0, 2**0.5 * 100, 150.0])
