"""Figures of quality: equal to the packages they come from, defined where there is something to measure."""

import json
import math
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.clips import NOISE, SPEECH, UNUSABLE, check_lengths
from vocable.audio import Audio
from vocable.errors import MissingDependencyError
from vocable.metrics import quality
from vocable.metrics.quality import comparable, delay, pesq, si_sdr, stoi
from vocable.metrics.score import Score
from vocable.testing import speechlike

METRICS: dict[str, Callable[[np.ndarray, np.ndarray], Score]] = {
    "stoi": lambda real, made: stoi(real, made, 16_000),
    "estoi": lambda real, made: stoi(real, made, 16_000, extended=True),
    "pesq_wb": lambda real, made: pesq(real, made, 16_000, "wb"),
    "pesq_nb": lambda real, made: pesq(real, made, 16_000, "nb"),
    "si_sdr": si_sdr,
    "delay": lambda real, made: delay(real, made, 16_000),
}


@pytest.fixture(scope="module")
def recording(speech_data: Path) -> Audio:
    """Four seconds of a speaker who is in no training split."""
    folder = speech_data / "read_librispeech"
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    first = next(line for line in lines if line["split"] == "test" and line["duration"] > 5)
    return Audio(Audio.read(folder / first["audio_path"], 16_000).samples[8_000:72_000], 16_000)


def test_stoi_and_pesq_of_real_speech_equal_upstream(recording: Audio) -> None:
    import pesq as pesq_package
    import pystoi

    real = recording.samples
    made = real + 0.01 * np.random.default_rng(1).standard_normal(real.size).astype(np.float32)
    for extended in (False, True):
        wanted = pystoi.stoi(real.astype(np.float64), made.astype(np.float64), 16_000, extended)
        assert stoi(real, made, 16_000, extended).value == pytest.approx(wanted, abs=1e-9)
    assert pesq(real, made, 16_000, "wb").value == pytest.approx(pesq_package.pesq(16_000, real, made, "wb"), abs=1e-4)
    narrow = [Audio(samples, 16_000).resample(8_000).samples for samples in (real, made)]
    assert pesq(real, made, 16_000, "nb").value == pytest.approx(pesq_package.pesq(8_000, *narrow, "nb"), abs=1e-4)


def test_real_speech_lies_between_identity_and_noise(recording: Audio) -> None:
    real = recording.samples
    noise = np.random.default_rng(2).standard_normal(real.size).astype(np.float32) * real.std()
    assert stoi(real, real, 16_000).value == pytest.approx(1.0, abs=1e-6)
    assert stoi(real, noise, 16_000).value < 0.5
    assert pesq(real, real, 16_000, "wb").value > 4.6
    assert pesq(real, noise, 16_000, "wb").value < 1.2
    assert stoi(real, real, 16_000, extended=True).value == pytest.approx(1.0, abs=1e-6)
    assert stoi(real, noise, 16_000, extended=True).value < 0.3


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("rate", [8_000, 10_000, 22_050])
def test_stoi_takes_any_rate(rate: int, extended: bool) -> None:
    import pystoi

    real, made = SPEECH, SPEECH + NOISE
    wanted = pystoi.stoi(real.astype(np.float64), made.astype(np.float64), rate, extended)
    assert stoi(real, made, rate, extended).value == pytest.approx(wanted, abs=1e-9)


@given(
    seed=st.integers(0, 99),
    samples=st.integers(8_000, 24_000),
    noise=st.sampled_from([0.0, 0.01, 1.0]),
    gap=st.integers(0, 5_000),
)
@settings(max_examples=15, deadline=None)
def test_stoi_equals_upstream_on_anything_long_enough(seed: int, samples: int, noise: float, gap: int) -> None:
    import pystoi

    random = np.random.default_rng(seed)
    real = speechlike(samples, seed=seed).samples.astype(np.float64)
    made = real + noise * random.standard_normal(samples)
    real[:gap] = 0.0  # digital silence in the recording is cut out of both
    for extended in (False, True):
        ours = stoi(real, made, 16_000, extended)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a clip that ours calls too short
            wanted = pystoi.stoi(real, made, 16_000, extended)
        if ours.defined:
            assert ours.value == pytest.approx(wanted, abs=1e-9)
        else:
            assert wanted == 1e-5


def test_silence_in_the_speech_made_again_correlates_with_nothing() -> None:
    made = SPEECH.copy()
    made[8_000:24_000] = 0.0
    for extended in (False, True):
        assert 0.2 < stoi(SPEECH, made, 16_000, extended).value < 0.8
    assert stoi(SPEECH, made, 16_000, True).value == stoi(SPEECH, made, 16_000, True).value


def test_what_is_kept_from_the_pair_before_changes_no_figure() -> None:
    pairs = [(SPEECH, SPEECH + NOISE), (SPEECH, SPEECH - NOISE), (SPEECH + NOISE, SPEECH), (SPEECH, SPEECH + NOISE)]
    fresh = []
    for real, made in pairs:
        quality._third_octaves.cache_clear()
        quality._at_stoi_rate.cache_clear()
        fresh.append(stoi(real, made, 16_000).value)
    assert [stoi(real, made, 16_000).value for real, made in pairs] == fresh
    assert stoi(SPEECH, SPEECH + NOISE, 8_000).value != fresh[0]  # nor does it forget the rate


@pytest.mark.parametrize("name", METRICS)
def test_lengths_are_cut_to_the_shorter(name: str) -> None:
    check_lengths(METRICS[name])


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(("real", "made", "reason"), UNUSABLE)
def test_what_cannot_be_measured_is_undefined(name: str, real: np.ndarray, made: np.ndarray, reason: str) -> None:
    score = METRICS[name](real, made)
    assert math.isnan(score.value)
    assert not score.defined
    assert score.reason == reason


@pytest.mark.parametrize("name", ["stoi", "estoi", "pesq_wb", "pesq_nb", "si_sdr", "delay"])
def test_silence_made_from_speech_is_undefined(name: str) -> None:
    assert math.isnan(METRICS[name](SPEECH, 0 * SPEECH).value)
    assert METRICS[name](SPEECH, 0 * SPEECH).reason == "the decoded speech is silent"


@pytest.mark.parametrize("samples", [2, 300, 6_000])
def test_stoi_of_too_short_a_clip_is_undefined(samples: int) -> None:
    assert stoi(SPEECH[:samples], SPEECH[:samples], 16_000).reason == "less than 0.4 s of speech"


def test_stoi_of_a_word_in_a_long_pause_is_undefined() -> None:
    real = np.zeros(32_000, dtype=np.float32)
    real[9_000:11_000] = SPEECH[9_000:11_000] + NOISE[9_000:11_000]
    assert stoi(real, real, 16_000).reason == "less than 0.4 s of speech"


def test_pesq_of_too_short_a_clip_is_undefined() -> None:
    score = pesq(SPEECH[:3_000], SPEECH[:3_000], 16_000, "wb")
    assert math.isnan(score.value)
    assert "1/4 of a second" in score.reason


def test_pesq_of_a_long_clip_is_that_of_upstream() -> None:
    import pesq as package

    real = speechlike(8_000 * 21, 8_000).samples
    made = real + 0.02 * np.random.default_rng(3).standard_normal(real.size).astype(np.float32)
    assert pesq(real, made, 8_000, "nb").value == pytest.approx(package.pesq(8_000, real, made, "nb"), abs=1e-4)


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "PESQ crashed"),
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("raise SystemExit(3)", "code 3"),
    ],
)
def test_a_crash_of_pesq_costs_one_figure(monkeypatch: pytest.MonkeyPatch, child: str, reason: str) -> None:
    monkeypatch.setattr(quality, "_PESQ_CHILD", child)
    clip = speechlike(8_000 * 21, 8_000).samples
    score = pesq(clip, clip, 8_000, "nb")
    assert math.isnan(score.value)
    assert reason in score.reason


@pytest.mark.parametrize(
    ("package", "name", "remedy"),
    [("pystoi", "stoi", r"pip install 'vocable\[metrics\]'"), ("pesq", "pesq_wb", r"pip install 'vocable\[pesq\]'")],
)
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, package: str, name: str, remedy: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=remedy):
        METRICS[name](SPEECH, SPEECH)


def test_si_sdr_is_what_was_mixed() -> None:
    time = np.arange(1_600) / 1_600
    tone, other = np.sin(2 * np.pi * 40 * time), np.sin(2 * np.pi * 50 * time)
    for wanted in (-10.0, 0.0, 17.0):
        made = tone + 10 ** (-wanted / 20) * other
        assert si_sdr(tone, made).value == pytest.approx(wanted, abs=1e-6)
        assert si_sdr(tone + 0.3, 5 * made - 2).value == pytest.approx(wanted, abs=1e-6)  # any scale, any mean


def test_si_sdr_ends_at_a_hundred_decibels() -> None:
    time = np.arange(1_600) / 1_600
    tone, other = np.sin(2 * np.pi * 40 * time), np.sin(2 * np.pi * 50 * time)
    assert si_sdr(tone, tone).value == 100.0
    assert si_sdr(tone, -3 * tone).value == 100.0
    assert si_sdr(tone, tone + 1e-7 * other).value == 100.0  # 140 dB
    assert si_sdr(tone, other).value == -100.0
    assert si_sdr(np.array([1.0, -1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, -1.0])).value == -100.0


def test_si_sdr_of_a_tone_in_a_16_bit_file_is_no_more_than_the_98_decibels_it_holds() -> None:
    tone = np.sin(2 * np.pi * 997 * np.arange(16_000) / 16_000)
    assert si_sdr(tone, np.round(tone * 32_767)).value == pytest.approx(98.1, abs=0.3)


@given(lag=st.integers(-1_600, 1_600), noise=st.sampled_from([0.0, 0.02]), gain=st.floats(0.1, 10))
@settings(max_examples=25, deadline=None)
def test_delay_is_the_shift(lag: int, noise: float, gain: float) -> None:
    whole = np.random.default_rng(4).standard_normal(20_000)
    real, made = whole[2_000:18_000], gain * whole[2_000 - lag : 18_000 - lag]
    made = made + noise * np.random.default_rng(5).standard_normal(made.size)
    assert delay(real, made, 16_000).value == lag
    assert delay(made, real, 16_000).value == -lag


def test_delay_of_real_speech_is_the_shift(recording: Audio) -> None:
    real = recording.samples
    for lag in (0, 1, 320, -800):
        assert delay(real, np.roll(real, lag), 16_000).value == lag


def test_delay_looks_no_further_than_told() -> None:
    whole = np.random.default_rng(6).standard_normal(10_000)
    assert abs(delay(whole[500:9_000], whole[:8_500], 16_000, most=0.01).value) <= 160
    assert delay(whole[500:9_000], whole[:8_500], 16_000, most=0.05).value == 500
    assert delay(whole[:2], whole[:2], 16_000).value == 0  # nor past the clip


def test_comparable_cuts_or_keeps() -> None:
    for cut, sizes in ((True, (20, 20)), (False, (20, 30))):
        pair = comparable(SPEECH[:20], SPEECH[:30], cut=cut)
        assert isinstance(pair, tuple)
        assert tuple(part.size for part in pair) == sizes
        assert all(part.dtype == np.float64 for part in pair)
