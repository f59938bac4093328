"""Metrics by name: judges are asked once, what they cannot judge is undefined, what is missing is named."""

import importlib.metadata
import math

import numpy as np
import pytest

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError, MissingDependencyError
from vocable.evaluate import measures
from vocable.evaluate.judges.base import Pitch
from vocable.evaluate.measures import DEFAULT, NAMES, find_measures
from vocable.evaluate.pairs import Pair, ScoredClip
from vocable.testing import speechlike


class Listener:
    """A pitch tracker and recogniser that counts how often it is asked."""

    name = "listener-1.0"

    def __init__(self) -> None:
        self.asked = 0

    def track(self, clip: Audio) -> Pitch:
        self.asked += 1
        if clip.duration < 0.5:
            raise AudioError("shorter than half a second")
        hz = 100 + 10 * np.sin(np.arange(50) / 4)
        return Pitch(hz=hz, voiced=hz > 0, hop=0.01)

    def transcribe(self, clip: Audio) -> str:
        self.asked += 1
        return "good old" if clip.samples.max() > 0.5 else "good old cold rain"


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Listener:
    one = Listener()
    monkeypatch.setattr(measures, "find_scorer", lambda kind, name=None, device="cpu": one)
    return one


def pair(seconds: float = 1.0, **more: object) -> Pair:
    clip = speechlike(int(16_000 * seconds))
    loud = Audio(clip.samples / np.abs(clip.samples).max(), 16_000)
    quiet = Audio(0.1 * loud.samples, 16_000)
    return Pair(reference=ScoredClip(quiet), decoded=ScoredClip(loud), **more)  # type: ignore[arg-type]


def test_a_judge_hears_each_side_once_however_many_metrics_ask(listener: Listener) -> None:
    found, _ = find_measures(("f0_correlation", "f0_rmse", "voicing_error"))
    both = pair()
    assert [measure(both).value for measure in found] == [pytest.approx(1.0), 0.0, 0.0]
    assert listener.asked == 2


def test_what_a_judge_cannot_judge_is_undefined_with_its_reason(listener: Listener) -> None:
    (measure,), _ = find_measures(("f0_rmse",))
    score = measure(pair(0.2))
    assert math.isnan(score.value)
    assert score.reason == "shorter than half a second"


def test_word_errors_against_the_text_and_against_the_recording(listener: Listener) -> None:
    found, _ = find_measures(("wer", "dwer"))
    wer, dwer = (measure(pair(text="Good, old; rain.")) for measure in found)
    assert (wer.value, wer.weight) == (pytest.approx(1 / 3), 3.0)
    assert (dwer.value, dwer.weight) == (0.5, 4.0)
    assert [measure.column.key for measure in found] == ["wer@listener-1.0", "dwer@listener-1.0"]
    assert "no text" in found[0](pair()).reason


def test_a_clip_that_is_spared_does_not_reach_the_recogniser(listener: Listener) -> None:
    found, _ = find_measures(("wer", "dwer"))
    spared = pair(text="one", is_recognized=False)
    assert len(found) == 2
    assert all("not among the clips" in measure(spared).reason for measure in found)
    assert listener.asked == 0


def test_an_unknown_name_is_answered_with_every_name() -> None:
    with pytest.raises(ConfigError, match=r"'mos' is no metric; there are pesq_wb, pesq_nb, stoi, .*, visqol"):
        find_measures(("stoi", "mos"))


def test_a_missing_package_is_named_if_asked_for_and_left_out_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(kind: str, name: str | None = None, device: str = "cpu") -> None:
        raise MissingDependencyError("needs a package; run pip install it")

    monkeypatch.setattr(measures, "find_scorer", missing)
    with pytest.raises(MissingDependencyError, match="needs a package"):
        find_measures(("speaker_similarity",))
    found, lines = find_measures(None)
    assert "speaker_similarity: needs a package; run pip install it" in lines
    assert "pesq_wb" in {measure.column.key for measure in found}

    def no_version(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(measures, "version", no_version)
    with pytest.raises(MissingDependencyError, match=r"needs pesq; run pip install"):
        find_measures(("pesq_wb",))


def test_names_are_told_once_and_the_slow_ones_wait_to_be_asked_for() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert DEFAULT == (
        "pesq_wb", "stoi", "log_mel_distance", "f0_correlation", "f0_rmse", "voicing_error", "speaker_similarity",
        "wer", "dwer",
    )  # fmt: skip
    assert set(DEFAULT) < set(NAMES)


def test_all_is_every_metric_that_this_machine_has(monkeypatch: pytest.MonkeyPatch, listener: Listener) -> None:
    names = {measure.column.key.split("@")[0] for measure in find_measures(("all",))[0]}
    assert names == set(NAMES)

    def no_version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(measures, "version", no_version)
    found, left_out = find_measures(("all",))  # not a choice of one by one: what is missing is named and undefined
    assert {measure.column.key.split("@")[0] for measure in found} == set(NAMES)
    missing = [measure for measure in found if measure.column.key in ("pesq_wb", "stoi")]
    assert all("needs p" in measure(pair()).reason for measure in missing)
    assert any(line.startswith("pesq_wb, pesq_nb: needs pesq; run pip install") for line in left_out)


def test_every_metric_says_what_it_tells_and_what_it_does_not() -> None:
    for measure in find_measures([name for name in NAMES if name != "visqol"])[0]:
        sentences = [part for part in measure.column.caption.replace("e.g.", "").split(". ") if part]
        assert len(sentences) > 1 or any(sign in measure.column.caption for sign in ";:,"), measure.column.key
        assert measure.column.caption.endswith(".")


def test_every_comparison_gives_the_recording_itself_its_ceiling() -> None:
    clip = speechlike(48_000)
    same = Pair(reference=ScoredClip(clip), decoded=ScoredClip(clip))
    wanted = [
        name
        for name in NAMES
        if not name.startswith(("wer", "cer", "dnsmos", "dwer", "dcer", "distillmos", "per", "dper"))
    ]
    found, left_out = find_measures(wanted)
    assert left_out == []
    assert len(found) >= len(wanted) > 10
    for measure in found:
        score = measure(same)
        assert measure.ceiling is not None
        better = score.value >= measure.ceiling if measure.column.better == "higher" else score.value <= measure.ceiling
        assert better, (measure.column.key, score)
