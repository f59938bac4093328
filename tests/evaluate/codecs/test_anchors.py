"""The ceiling and the floor."""

import numpy as np
import pytest

from vocable.audio import Audio
from vocable.errors import AudioError
from vocable.evaluate.codecs.base import Identity, Noise
from vocable.testing import speechlike


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_noise_is_five_decibels_louder_than_the_clip_where_it_is_scored(rate: int) -> None:
    clip = Audio(0.2 * speechlike(2 * rate, rate).samples, rate)
    made = Noise(0).code(clip, "a.wav").audio
    assert (made.samples.size, made.sample_rate) == (clip.samples.size, rate)
    scored = min(rate, 16_000)
    heard = clip.resample(scored).samples
    noise = made.resample(scored).samples - heard
    assert 10 * np.log10(np.mean(heard**2) / np.mean(noise**2)) == pytest.approx(-5, abs=0.1)
    power = np.abs(np.fft.rfft(noise)) ** 2
    low, high = power[: power.size * 9 // 20], power[power.size * 9 // 20 : power.size * 9 // 10]
    assert low.mean() == pytest.approx(high.mean(), rel=0.1)  # white up to where resampling ends


def test_noise_depends_on_key_and_seed_and_on_nothing_else() -> None:
    clip = speechlike(1_000)
    first = Noise(0).code(clip, "a.wav").audio.samples
    Noise(0).code(clip, "b.wav")
    assert np.array_equal(Noise(0).code(clip, "a.wav").audio.samples, first)
    assert not np.array_equal(Noise(0).code(clip, "b.wav").audio.samples, first)
    assert not np.array_equal(Noise(1).code(clip, "a.wav").audio.samples, first)
    Noise(0).code(clip, "\udcff\n.wav")  # a POSIX name need not be text


def test_silence_has_no_noise_floor_and_full_scale_has_one() -> None:
    with pytest.raises(AudioError, match="silent"):
        Noise().code(Audio(np.zeros(100, dtype=np.float32), 16_000), "a.wav")
    loud = Audio(np.sign(np.sin(np.arange(200_000))).astype(np.float32), 16_000)
    made = Noise().code(loud, "a.wav").audio.samples
    assert np.abs(made).max() == 1
    assert 0.1 < np.corrcoef(made, loud.samples)[0, 1] < 0.6


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_identity_is_the_clip_as_a_file_holds_it(rate: int) -> None:
    clip = speechlike(rate, rate)
    once = Identity().code(clip, "a.wav").audio
    assert np.abs(once.samples - clip.samples.clip(-1, 1)).max() <= 0.51 / 32_767
    assert np.array_equal(Identity().code(once, "a.wav").audio.samples, once.samples)


def test_nothing_is_coded() -> None:
    for codec in (Identity(), Noise()):
        coded = codec.code(speechlike(100), "a.wav")
        assert (coded.payload_bits, coded.container_bits, coded.tokens) == (None, None, None)
        assert codec.kind == "anchor"
