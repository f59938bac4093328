"""Samples and their rate: what they are, and which are refused."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch

from tests.audio.sounds import noise
from vocable.audio import Audio
from vocable.errors import AudioError


def unchecked(samples: Any, rate: Any) -> Audio:
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
        (np.array([1, 0, -1]), 16_000, "samples are int64, the peak is 1 but full scale is 1.0"),
        (np.arange(3, dtype=np.uint8), 16_000, "samples are uint8, the peak is 2"),
        (np.ones(10, dtype=bool), 16_000, "samples are bool: they must be floats"),
        (np.ones(10, dtype=complex), 16_000, "samples are complex128: they must be floats"),
        (np.array(["0.1", "0.2"]), 16_000, "samples are <U3: they must be floats"),
        (np.array([None, 0.1]), 16_000, "samples are object: they must be floats"),
        ("speech.wav", 16_000, "samples are 'speech.wav': pass an array, or read a file with Audio.read"),
        ([[0.1], [0.1, 0.2]], 16_000, "samples cannot be made an array .*pass floats"),
        (torch.ones(3, requires_grad=True), 16_000, "samples cannot be made an array .*grad"),
        (np.zeros((2, 3, 4)), 16_000, r"shape \(2, 3, 4\)"),
        (np.full(3, 1e300), 16_000, "sample 0 is inf"),
        (np.full(3, np.nan), 16_000, "sample 0 is nan"),
        (np.zeros(10), 44_100.0, "sample rate is 44100.0: it must be an integer number of Hz, such as 16000"),
        (np.zeros(10), "16000", "sample rate is '16000': it must be an integer"),
        (np.zeros(10), None, "sample rate is None"),
        (np.zeros(10), True, "sample rate is True"),
        (np.zeros(10), float("nan"), "sample rate is nan"),
        (np.zeros(10), 2_000_000_000, "the sample rate is 2000000000 Hz, the limit is 768000"),
        (np.zeros(10), 1 << 80, "the sample rate is 1208925819614629174706176 Hz"),
        (np.zeros(10), 0, "sample rate is 0 Hz"),
        (np.zeros(10), -8000, "sample rate is -8000 Hz"),
    ],
)
def test_samples_that_cannot_be_used_are_refused(samples: Any, rate: Any, message: str) -> None:
    with pytest.raises(AudioError, match=message):  # and no warning, which the tests' settings make an error
        unchecked(samples, rate)


@pytest.mark.parametrize("samples", [np.zeros(1), np.ones(100), -np.ones(100), np.zeros(100), noise(50) * 4])
def test_one_sample_silence_clipping_and_some_overshoot_are_sound(samples: np.ndarray) -> None:
    assert np.array_equal(Audio(samples, 16_000).samples, samples.astype(np.float32))


@pytest.mark.parametrize(
    "samples",
    [
        noise(50).astype(np.float16), noise(50).astype(np.float64), noise(50).astype(np.longdouble), noise(50)[::-1],
        noise(50)[::3], list(map(float, noise(50))), torch.from_numpy(noise(50)), noise(50).astype(">f4"),
    ],
)  # fmt: skip
def test_floats_of_any_kind_are_float32_side_by_side(samples: Any) -> None:
    clip = unchecked(samples, np.int64(16_000))
    assert clip.samples.dtype == np.float32
    assert clip.samples.flags.c_contiguous
    assert type(clip.sample_rate) is int
    assert np.array_equal(clip.samples, np.asarray(samples, dtype=np.float32))
    torch.from_numpy(clip.samples)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_a_speed_that_no_tape_has_is_refused(speed: float) -> None:
    with pytest.raises(AudioError, match=r"speed is|the sample rate is"):
        Audio(noise(10), 16_000).played(speed)


@pytest.mark.parametrize("rate", [0, -1, 2_000_000_000, 16_000.0, "8000", None, True])
def test_resampling_to_what_is_no_rate_is_refused(rate: Any) -> None:
    clip = Audio(noise(10), 16_000)
    with pytest.raises(AudioError, match="sample rate is"):
        inspect.unwrap(Audio.resample)(clip, rate)  # without the tests' checker of types
