"""At other rates and speeds: durations, tones, and what the new rate cannot hold."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio.sounds import noise, tone
from vocable.audio import Audio
from vocable.errors import AudioError


@pytest.mark.slow
@given(
    size=st.integers(1, 4000),
    old=st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000]) | st.integers(4_000, 96_000),
    new=st.sampled_from([8_000, 16_000, 22_050, 24_000]) | st.integers(4_000, 96_000),
)
@settings(deadline=None, max_examples=150)
def test_resampling_gives_the_duration_rounded_up(size: int, old: int, new: int) -> None:
    assert Audio(noise(size), old).resample(new).samples.size == -(-size * new // old)


@pytest.mark.parametrize("new", [8_000, 11_025, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("frequency", [100.0, 1000.0, 3000.0])
def test_resampling_keeps_a_tone(frequency: float, new: int) -> None:
    made = Audio(tone(frequency, 16_000), 16_000).resample(new).samples
    middle = slice(new // 20, -new // 20)
    assert np.abs(made[: new // 2] - tone(frequency, new))[middle].max() < 2e-4


def test_resampling_removes_what_the_new_rate_cannot_hold() -> None:
    made = Audio(tone(6_000, 16_000), 16_000).resample(8_000).samples
    assert np.abs(made[400:-400]).max() < 1e-4


def test_resampling_there_and_back_is_nearly_the_identity() -> None:
    random = np.random.default_rng(0)
    spectrum = np.fft.rfft(random.standard_normal(16_000))
    spectrum[7_000:] = 0  # bins are Hz: the filter begins to fall at 7.3 kHz
    clip = Audio(np.fft.irfft(spectrum).astype(np.float32) / 8, 16_000)
    again = clip.resample(48_000).resample(16_000)
    assert again.samples.size == clip.samples.size
    assert np.abs(again.samples - clip.samples)[500:-500].max() < 1e-3
    assert clip.resample(16_000) is clip


@pytest.mark.parametrize("speed", [0.8, 0.9, 1.0, 1.1])
def test_a_clip_played_faster_is_shorter_and_higher(speed: float) -> None:
    clip = Audio(tone(1000.0, 16_000), 16_000)
    played = clip.played(speed)
    assert played.sample_rate == 16_000
    assert played.duration == pytest.approx(clip.duration / speed, abs=1 / 16_000)
    assert np.abs(played.samples - tone(1000.0 * speed, 16_000, 1.0)[: played.samples.size])[800:-800].max() < 2e-4


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_that_is_not_positive_is_refused(rate: int, tmp_path: Path) -> None:
    Audio(noise(10), 16_000).write(tmp_path / "a.wav")
    with pytest.raises(AudioError, match=f"sample rate is {rate} Hz"):
        Audio.read(tmp_path / "a.wav", rate)
    with pytest.raises(AudioError, match=f"sample rate is {rate} Hz"):
        Audio(noise(10), 16_000).resample(rate)
