from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from vocable.audio import Audio
from vocable.evaluate.judges.quality import visqol, visqol_name


@pytest.fixture(scope="module")
def speech(speech_data: Path) -> np.ndarray:
    clip = Audio.read(sorted((speech_data / "read_librispeech" / "audio").rglob("*.*"))[0], 16_000)
    return clip.samples[:56_000]


def _noisy(speech: np.ndarray, level: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(speech.size).astype(np.float32)
    return speech + level * float(speech.std()) * noise


@pytest.mark.slow
def test_the_figure_is_that_of_the_package(speech) -> None:
    from visqol.api import VisqolApi

    package = VisqolApi()
    package.create(mode="speech", use_lattice_model=True)
    for made in (_noisy(speech, 0.1), np.roll(_noisy(speech, 0.3), 400)):
        expected = package.measure_from_arrays(speech, made, 16_000).moslqo
        assert visqol(speech, made, 16_000).value == pytest.approx(expected, abs=1e-9)


def test_worse_speech_scores_less(speech) -> None:
    low = sosfilt(butter(8, 1500, fs=16_000, output="sos"), speech).astype(np.float32)
    identity, little, much, dull = (
        visqol(speech, made, 16_000).value for made in (speech, _noisy(speech, 0.03), _noisy(speech, 1.0), low)
    )
    assert identity > 3.9
    assert identity > little > much
    assert identity - dull > 0.3


def test_any_rate_is_resampled_and_the_longer_clip_cut(speech) -> None:
    made = _noisy(speech, 0.1)
    there = visqol(speech, made, 16_000).value
    up = [Audio(samples, 16_000).resample(48_000).samples for samples in (speech, made)]
    assert visqol(*up, 48_000).value == pytest.approx(there, abs=0.15)
    assert visqol(speech, np.append(made, made), 16_000).value == there


@pytest.mark.parametrize(
    ("reference", "made", "reason"),
    [
        (np.zeros(16_000), np.ones(16_000), "the recording is silent"),
        (np.tile([0.1, -0.1], 8000), np.zeros(16_000), "the decoded speech is silent"),
        (np.tile([0.1, -0.1], 8000), np.full(16_000, np.nan), "the decoded speech holds NaN or infinity"),
        (np.tile([0.1, -0.1], 5000), np.tile([0.1, -0.1], 5000), "shorter than 0.75 s"),
        (np.ones(0), np.ones(0), "shorter than 0.75 s"),
    ],
)
def test_what_cannot_be_measured_says_why(reference, made, reason) -> None:
    score = visqol(reference, made, 16_000)
    assert not score.defined
    assert score.reason == reason


def test_a_click_in_silence_has_a_score_or_a_reason(speech) -> None:
    click = np.zeros(16_000, dtype=np.float32)
    click[8000] = 0.5
    for pair in (
        (click, click),
        (click, speech[:16_000]),
        (speech[:16_000], click),
        (speech[:12_001], speech[:12_001]),
    ):
        score = visqol(*pair, 16_000)
        assert 1.0 <= score.value <= 5.0 or score.reason


def test_the_name_says_what_maps_to_opinions() -> None:
    assert visqol_name().endswith("-lattice")
