"""Weights and learning rates are functions of the step and of nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.errors import ConfigError
from vocable.train.schedule import LearningRate, Weight


@settings(deadline=None)
@given(st.floats(-5, 5), st.integers(0, 50), st.integers(0, 50))
def test_weight_waits_rises_evenly_and_stays(value: float, start: int, ramp: int) -> None:
    weight = Weight(value=value, start=start, ramp=ramp)
    assert all(weight.at(step) == 0.0 for step in range(start))
    for step in range(ramp):
        assert weight.at(start + step) == pytest.approx(value * step / ramp)
    assert {weight.at(start + ramp + later) for later in (0, 1, 1_000_000)} == {value}


@pytest.mark.parametrize("settings", [{"start": -1}, {"ramp": -2}])
def test_weight_refuses_negative_steps(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"Weight: (start|ramp) is -"):
        Weight(value=1.0, **settings)


@settings(deadline=None)
@given(st.floats(1e-5, 1), st.integers(0, 40), st.floats(0, 1), st.integers(1, 200))
def test_rate_is_positive_and_never_over_its_peak(peak: float, warmup: int, decay: float, steps: int) -> None:
    rate = LearningRate(peak=peak, warmup=warmup, decay=decay)
    assert all(0 < rate.at(step, steps) <= peak for step in range(steps))


def test_rate_warms_up_evenly() -> None:
    rate = LearningRate(peak=2.0, warmup=4, decay=0.1)
    assert [rate.at(step, 1_000) for step in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert LearningRate(peak=2.0, warmup=0, decay=0.1).at(0, 1_000) == 2.0


def test_rate_falls_evenly_to_its_last_step() -> None:
    rate = LearningRate(peak=1.0, warmup=0, decay=0.25)
    assert [rate.at(step, 16) for step in (11, 12, 13, 14, 15)] == [1.0, 1.0, 0.75, 0.5, 0.25]
    assert LearningRate(peak=1.0, warmup=0, decay=0.0).at(15, 16) == 1.0


def test_the_plateau_does_not_know_how_long_the_run_is() -> None:
    """So a run can be made longer at any checkpoint before its decay, as if it had been planned so."""
    rate = LearningRate(peak=1e-3, warmup=10, decay=0.4)
    assert [rate.at(step, 100) for step in range(61)] == [rate.at(step, 5_000) for step in range(61)]
    assert rate.at(61, 100) < rate.at(61, 5_000)


@pytest.mark.parametrize("settings", [{"peak": 0.0}, {"peak": 1.0, "warmup": -1}, {"peak": 1.0, "decay": 1.1}])
def test_rate_refuses_what_makes_no_sense(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"LearningRate: (peak|warmup|decay) is"):
        LearningRate(**settings)
