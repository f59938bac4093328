"""Pitch: figures of contours made on purpose, and what cannot be measured."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.errors import ConfigError, ShapeError
from vocable.metrics.pitch import f0_correlation, f0_mse, f0_rmse, gross_pitch_error, voicing_error
from vocable.metrics.score import Score, summarize
from vocable.metrics.spectral import dtw_path, mel_cepstra

VOICED_IN_BOTH: dict[str, Callable[..., Score]] = {
    "f0_correlation": f0_correlation,
    "f0_rmse": f0_rmse,
    "f0_mse": f0_mse,
    "gross_pitch_error": gross_pitch_error,
}
ALL = VOICED_IN_BOTH | {"voicing_error": voicing_error}
TUNE = 120 + 25 * np.sin(np.arange(100) / 7)
SUNG = np.where(np.arange(100) % 10 < 3, 0.0, TUNE)  # 70 of 100 frames are voiced


def test_identity_is_perfect() -> None:
    assert f0_correlation(SUNG, SUNG).value == pytest.approx(1.0, abs=1e-12)
    for metric in (f0_rmse, f0_mse, gross_pitch_error, voicing_error):
        assert metric(SUNG, SUNG).value == 0.0


@given(factor=st.floats(0.3, 3), power=st.sampled_from([-1.0, 0.5, 2.0]))
@settings(max_examples=30, deadline=None)
def test_correlation_hears_the_melody_in_any_key(factor: float, power: float) -> None:
    made = np.where(SUNG > 0, factor * np.maximum(SUNG, 1.0) ** power, 0.0)
    assert f0_correlation(SUNG, made).value == pytest.approx(math.copysign(1.0, power), abs=1e-9)
    assert -1.0 <= f0_correlation(SUNG, made).value <= 1.0


def test_correlation_is_that_of_numpy_on_logarithms_of_frames_voiced_in_both() -> None:
    random = np.random.default_rng(0)
    made = np.where(random.random(100) < 0.2, 0.0, TUNE * np.exp(0.1 * random.standard_normal(100)))
    both = (SUNG > 0) & (made > 0)
    wanted = np.corrcoef(np.log(SUNG[both]), np.log(made[both]))[0, 1]
    assert f0_correlation(SUNG, made).value == pytest.approx(wanted, abs=1e-12)
    assert f0_correlation(made, SUNG).value == pytest.approx(wanted, abs=1e-12)


def test_errors_are_what_was_put_in() -> None:
    sharp = SUNG * 2 ** (50 / 1200)
    assert f0_rmse(SUNG, sharp).value == pytest.approx(50.0)
    assert f0_rmse(SUNG, SUNG / 2).value == pytest.approx(1200.0)
    higher = np.where(SUNG > 0, SUNG + 5, 0)
    assert f0_rmse(SUNG, higher, "hz").value == pytest.approx(5.0)
    assert f0_mse(SUNG, higher).value == pytest.approx(25.0)
    with pytest.raises(ConfigError, match="unit is 'mel': f0_rmse takes 'cents' or 'hz'"):
        f0_rmse(SUNG, SUNG, "mel")


def test_gross_errors_are_over_20_percent_of_the_recording() -> None:
    real = np.full(20, 100.0)
    made = np.array([100.0, 119.9, 120.0, 80.0, 80.1, 120.1, 79.9, 200.0, 50.0, 0.0] * 2)
    score = gross_pitch_error(real, made)
    assert score.value == 8 / 18
    assert score.weight == 18  # the unvoiced ones count for the voicing error
    assert voicing_error(real, made).value == 0.1


def test_voicing_counts_both_ways_and_weighs_frames() -> None:
    real = np.array([0.0, 0.0, 100.0, 100.0, 100.0])
    made = np.array([0.0, 90.0, 0.0, 90.0, 90.0])
    assert voicing_error(real, made).value == 0.4
    assert voicing_error(made, real).value == 0.4
    assert voicing_error(real, 0 * real).value == 0.6  # a codec that whispers
    long = voicing_error(np.full(95, 100.0), np.full(95, 100.0))
    assert summarize([voicing_error(real, made), long]).mean == pytest.approx(0.02)


@pytest.mark.parametrize("name", ALL)
def test_contours_are_cut_to_the_shorter(name: str) -> None:
    made = 1.05 * SUNG
    wanted = ALL[name](SUNG[:80], made[:80]).value
    assert ALL[name](SUNG, made[:80]).value == wanted
    assert ALL[name](SUNG[:80], made).value == wanted
    assert ALL[name](SUNG[:80].astype(np.float32), made).value == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("real", "made", "reason"),
    [
        (SUNG[:0], SUNG, "there are no frames"),
        (np.where(np.arange(100) == 5, np.nan, SUNG), SUNG, "the pitch of the recording holds NaN or infinity"),
        (SUNG, np.where(np.arange(100) == 5, np.inf, SUNG), "the pitch of the decoded speech holds NaN or infinity"),
    ],
)
def test_what_cannot_be_measured_is_undefined(name: str, real: np.ndarray, made: np.ndarray, reason: str) -> None:
    score = ALL[name](real, made)
    assert math.isnan(score.value)
    assert score.reason == reason


@pytest.mark.parametrize("name", VOICED_IN_BOTH)
def test_a_handful_of_frames_is_too_few(name: str) -> None:
    for made in (0 * SUNG, np.where(np.arange(100) < 13, SUNG, 0), np.where(SUNG > 0, 0.0, 100.0)):
        assert VOICED_IN_BOTH[name](SUNG, made).reason == "fewer than 10 frames are voiced in both"
    assert VOICED_IN_BOTH[name](TUNE[:10], 1.01 * TUNE[:10]).defined


def test_an_unvoiced_recording_has_no_voicing_error() -> None:
    assert voicing_error(0 * SUNG, SUNG).reason == "the recording has no voiced frame"


def test_a_constant_pitch_correlates_with_nothing() -> None:
    robot = np.full(100, 117.3)
    assert f0_correlation(robot, SUNG).reason == "the pitch of the recording is constant"
    assert f0_correlation(SUNG, robot).reason == "the pitch of the decoded speech is constant"
    assert f0_correlation(SUNG, robot * (1 + 1e-9 * np.arange(100))).reason.endswith("is constant")
    assert f0_rmse(robot, SUNG).value > 100


@pytest.mark.parametrize("name", ALL)
def test_a_path_pairs_the_frames(name: str) -> None:
    times = np.repeat(np.arange(100), np.random.default_rng(1).integers(1, 4, size=100))
    path = np.stack([times, np.arange(times.size)], axis=1)
    made = 1.3 * SUNG[times]
    here = ALL[name](SUNG, made, path=path)
    there = ALL[name](SUNG[times], made)
    assert here == there
    straight = np.stack([np.arange(100)] * 2, axis=1)
    assert ALL[name](SUNG, SUNG * 1.1, path=straight) == ALL[name](SUNG, SUNG * 1.1)


def test_the_path_of_the_spectra_aligns_the_melody() -> None:
    rate, hop = 16_000, 0.01
    clock = np.arange(2 * rate) / rate
    real, made = ((140 + 60 * np.sin(2 * np.pi * 0.8 * speed * clock)) for speed in (1.0, 0.8))
    real = real[: int(1.6 * rate)]  # the same tune, at another speed
    sounds = [sum(np.sin(2 * np.pi * k * np.cumsum(hz) / rate) / k for k in range(1, 20)) for hz in (real, made)]
    contours = [hz[80 :: int(hop * rate)] for hz in (real, made)]
    path = dtw_path(*(mel_cepstra(sound, rate, hop) for sound in sounds))
    assert f0_correlation(*contours).value < 0.9
    assert f0_correlation(*contours, path=path).value > 0.97
    assert f0_rmse(*contours, path=path).value < 0.5 * f0_rmse(*contours).value


def test_a_path_of_another_hop_is_named() -> None:
    with pytest.raises(ShapeError, match="the path ends at frames \\[100, 3\\], the contours have 100 and 100"):
        f0_rmse(SUNG, SUNG, path=np.array([[0, 0], [100, 3]]))
    with pytest.raises(ShapeError, match="make it from features of the contours' hop"):
        voicing_error(SUNG, SUNG, path=np.array([[-1, 0]]))


@pytest.mark.parametrize("score", [f0_correlation, f0_rmse, f0_mse, gross_pitch_error])
def test_a_melody_of_which_little_is_left_has_no_figure(score: Callable[..., Score]) -> None:
    """In noise a tracker finds pitch where it is surest: these few frames agree, and say nothing of the others."""
    melody = 120 + 40 * np.sin(np.arange(200) / 20)
    heard = np.where(np.arange(200) < 60, melody, 0.0)
    for pair in ((melody, heard), (heard, melody)):
        assert math.isnan(score(*pair).value)
        assert score(*pair).reason == "only 60 of 200 frames that are voiced in either are voiced in both"
    assert score(melody, np.where(np.arange(200) < 101, melody, 0.0)).reason == ""
