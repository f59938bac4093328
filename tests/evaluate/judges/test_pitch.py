import numpy as np
import pytest
from scipy.signal import lfilter

from vocable.audio import Audio
from vocable.evaluate.judges.voice import SwiftF0Tracker


@pytest.fixture(scope="module")
def tracker() -> SwiftF0Tracker:
    return SwiftF0Tracker()


def _voice(hz: np.ndarray, rate: int) -> np.ndarray:
    """A buzz of this pitch with a vowel's resonances."""
    phase = np.cumsum(hz) / rate
    pulses = np.diff(np.floor(phase), prepend=0.0)
    for centre in (700.0, 1200.0):
        pole = np.exp(-np.pi * 100 / rate + 2j * np.pi * centre / rate)
        pulses = lfilter([1.0], [1.0, -2 * pole.real, abs(pole) ** 2], pulses)
    return 0.5 * pulses / np.abs(pulses).max()


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_gliding_voice_is_followed_at_any_rate(tracker, rate) -> None:
    hz = np.linspace(100.0, 250.0, 2 * rate)
    heard = tracker.track(Audio(_voice(hz, rate), rate))
    at = np.arange(heard.hz.size) * heard.hop
    expected = np.interp(at, np.arange(hz.size) / rate, hz)
    inside = slice(5, -5)
    assert heard.voiced[inside].mean() > 0.95
    cents = 1200 * np.abs(np.log2(heard.hz[inside][heard.voiced[inside]] / expected[inside][heard.voiced[inside]]))
    assert np.median(cents) < 20


def test_where_no_voice_is_the_pitch_is_zero(tracker) -> None:
    half = np.concatenate([_voice(np.full(16_000, 150.0), 16_000), np.zeros(16_000)])
    heard = tracker.track(Audio(half, 16_000))
    assert heard.voiced[5:50].all()
    assert not heard.voiced[70:].any()
    assert np.array_equal(heard.hz == 0.0, ~heard.voiced)


def test_one_sample_and_silence_have_a_pitch_track_without_voice(tracker) -> None:
    for samples in (np.zeros(1), np.zeros(100), np.zeros(16_000)):
        heard = tracker.track(Audio(samples, 16_000))
        assert heard.hz.size == heard.voiced.size == max(1, samples.size // 256)
        assert not heard.voiced.any()
