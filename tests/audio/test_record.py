"""Samples and their rate: what they are, and which are refused."""

import numpy as np
import pytest

from tests.audio.sounds import noise
from vocable.audio import Audio
from vocable.errors import AudioError


def unchecked(samples: np.ndarray, rate: int) -> Audio:
    """An Audio as outside the tests, where no annotation is checked before the record looks for itself."""
    clip = object.__new__(Audio)
    object.__setattr__(clip, "samples", samples)
    object.__setattr__(clip, "sample_rate", rate)
    clip.__post_init__()
    return clip


def test_samples_are_float32_and_last_as_long_as_their_rate_says() -> None:
    clip = Audio(noise(4000).astype(np.float64), 8_000)
    assert clip.samples.dtype == np.float32
    assert clip.duration == 0.5
    with pytest.raises(AttributeError):
        clip.sample_rate = 16_000  # type: ignore[misc]


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(0), 16_000, "the audio is empty"),
        (np.array([0.0, 0.1, np.nan]), 16_000, "sample 2 is nan; repair"),
        (np.array([0.0, -np.inf]), 16_000, "sample 1 is -inf"),
        (noise(10) * 32768, 16_000, "full scale is 1.0; divide 16-bit integers"),
        (np.arange(100, dtype=np.int16), 16_000, "the peak is 99"),
        (np.zeros((2, 10)), 16_000, r"shape \(2, 10\).*average the channels"),
        (np.zeros(()), 16_000, r"shape \(\)"),
        (np.zeros(10), 0, "sample rate is 0 Hz"),
        (np.zeros(10), -8000, "sample rate is -8000 Hz"),
    ],
)
def test_samples_that_cannot_be_used_are_refused(samples: np.ndarray, rate: int, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        unchecked(samples, rate)


@pytest.mark.parametrize("samples", [np.zeros(1), np.ones(100), -np.ones(100), np.zeros(100), noise(50) * 4])
def test_one_sample_silence_clipping_and_some_overshoot_are_sound(samples: np.ndarray) -> None:
    assert np.array_equal(Audio(samples, 16_000).samples, samples.astype(np.float32))
