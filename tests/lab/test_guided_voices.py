"""Converted sentences are compared with recordings of the same sentence, and of no other."""

import numpy as np
import pytest

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import ManifestError
from vocable.evaluate.judges.find import find_scorer
from vocable.testing import speechlike
from vocable_lab.guided.conversion import PARALLEL, Conversion, draw_conversions, score_conversion


def clip(name: str, **extra: str) -> Utterance:
    """Return a clip by the letters of speaker, sentence and emotion, as ``a1s``."""
    return Utterance(
        audio_path=f"{name}.flac", speaker=name[0], extra={"sentence_id": name[1], "emotion": name[2], **extra}
    )


CLIPS = [clip(speaker + sentence + mood) for speaker in "abc" for sentence in "12" for mood in "sn"]


def test_targets_say_the_sentence_and_voices_another_in_the_same_mood() -> None:
    found = draw_conversions({one.audio_path.stem: one for one in CLIPS[:2]}, CLIPS, seed=0)
    assert len(found) == 4
    for name, one in found.items():
        assert name.startswith(f"convert {one.source.audio_path.stem} to {one.target.speaker} with")
        assert one.target.speaker == one.voice.speaker != one.source.speaker
        assert one.target.value("sentence_id") == one.source.value("sentence_id") != one.voice.value("sentence_id")
        assert len({part.value("emotion") for part in (one.source, one.target, one.voice)}) == 1
    assert draw_conversions({"x": clip("a1s", sentence_id="")}, CLIPS, seed=0) == {}


@pytest.mark.parametrize("other", [clip("b2s"), Utterance(audio_path="b.flac", speaker="b")])
def test_recordings_of_other_sentences_are_not_score_conversion(other: Utterance) -> None:
    with pytest.raises(
        ManifestError, match=r"has sentence_id (None|'2'), a1s.flac '1': MCD compares recordings of one"
    ):
        Conversion(source=clip("a1s"), voice=clip("b1s"), target=other)
    nameless = Utterance(audio_path="a.flac", speaker="a")
    with pytest.raises(ManifestError, match="give a target with the source's 'sentence_id'"):
        Conversion(source=nameless, voice=clip("b1s"), target=Utterance(audio_path="b.flac", speaker="b"))


def test_the_target_itself_is_all_alike_and_a_click_cannot_be_score_conversion(tmp_path) -> None:  # type: ignore[no-untyped-def]
    sound = speechlike(24_000, seed=1)
    sound.write(tmp_path / "target.flac")
    target = Utterance(audio_path=tmp_path / "target.flac", speaker="b", extra={"sentence_id": "1"})
    asked = Conversion(source=clip("a1s"), voice=clip("b2s"), target=target)
    tracker = find_scorer("pitch")
    same = score_conversion(tracker, asked, sound)
    assert same.keys() == {column.key for column in PARALLEL}
    assert same["vc_mcd"].value < 0.05
    assert same["vc_pitch_correlation"].value > 0.99
    assert score_conversion(tracker, asked, speechlike(24_000, seed=2))["vc_mcd"].value > 1.0
    short = score_conversion(tracker, asked, Audio(np.zeros(100, np.float32), 16_000))
    assert {score.reason for score in short.values()} == {"the clip is too short"}
