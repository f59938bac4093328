"""Figures of quality: equal to the packages they come from, defined where there is something to measure."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vocable.audio import Audio
from vocable.errors import MissingDependencyError
from vocable.features.spectrogram import mel_filters
from vocable.metrics import quality
from vocable.metrics.quality import log_mel_distance, pesq, si_sdr, stoi
from vocable.metrics.score import Score
from vocable.testing import speechlike

METRICS: dict[str, Callable[[np.ndarray, np.ndarray], Score]] = {
    "stoi": lambda real, made: stoi(real, made, 16_000),
    "pesq_wb": lambda real, made: pesq(real, made, 16_000, "wb"),
    "pesq_nb": lambda real, made: pesq(real, made, 16_000, "nb"),
    "si_sdr": si_sdr,
    "log_mel_distance": lambda real, made: log_mel_distance(real, made, 16_000),
}
SPEECH = speechlike(32_000).samples
NOISE = (0.02 * np.random.default_rng(0).standard_normal(32_000)).astype(np.float32)


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
    assert stoi(real, made, 16_000).value == pytest.approx(pystoi.stoi(real, made, 16_000), abs=1e-4)
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
    assert log_mel_distance(real, real, 16_000).value == 0.0
    assert log_mel_distance(real, noise, 16_000).value > 15.0


@pytest.mark.parametrize("rate", [8_000, 22_050])
def test_stoi_takes_any_rate(rate: int) -> None:
    import pystoi

    real, made = SPEECH, SPEECH + NOISE
    assert stoi(real, made, rate).value == pytest.approx(pystoi.stoi(real, made, rate), abs=1e-4)


@pytest.mark.parametrize("name", METRICS)
def test_lengths_are_cut_to_the_shorter(name: str) -> None:
    made = SPEECH + NOISE
    wanted = METRICS[name](SPEECH[:20_000], made[:20_000]).value
    assert METRICS[name](SPEECH, made[:20_000]).value == wanted
    assert METRICS[name](SPEECH[:20_000], made).value == wanted


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("real", "made", "reason"),
    [
        (0 * SPEECH, SPEECH, "the recording is silent"),
        (0 * SPEECH, 0 * SPEECH, "the recording is silent"),
        (0 * SPEECH + 0.5, SPEECH, "the recording is silent"),
        (SPEECH[:1], SPEECH[:1], "the recording is silent"),
        (SPEECH[:0], SPEECH, "there are no samples"),
        (np.where(np.arange(32_000) == 7, np.nan, SPEECH), SPEECH, "the recording holds NaN or infinity"),
        (SPEECH, np.where(np.arange(32_000) == 7, np.inf, SPEECH), "the speech made again holds NaN or infinity"),
    ],
)
def test_what_cannot_be_measured_is_undefined(name: str, real: np.ndarray, made: np.ndarray, reason: str) -> None:
    score = METRICS[name](real, made)
    assert math.isnan(score.value)
    assert not score.defined
    assert score.reason == reason


@pytest.mark.parametrize("name", ["stoi", "pesq_wb", "pesq_nb", "si_sdr"])
def test_silence_made_from_speech_is_undefined(name: str) -> None:
    assert math.isnan(METRICS[name](SPEECH, 0 * SPEECH).value)
    assert METRICS[name](SPEECH, 0 * SPEECH).reason == "the speech made again is silent"


def test_silence_made_from_speech_is_far_from_it() -> None:
    assert log_mel_distance(SPEECH, 0 * SPEECH, 16_000).value > 20.0


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
    assert si_sdr(tone, tone).value == math.inf
    assert si_sdr(tone, other).value < -200.0


def test_log_mel_distance_equals_a_plain_computation() -> None:
    real, made = SPEECH[:16_000].astype(np.float64), (SPEECH + NOISE)[:16_000].astype(np.float64)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    filters = mel_filters(16_000, 1024, 80).double().numpy()
    mels = []
    for samples in (real, made):
        padded = np.pad(samples, (384, 384 + -samples.size % 256))
        frames = [padded[at : at + 1024] * window for at in range(0, padded.size - 1023, 256)]
        mels.append(np.abs(np.fft.rfft(frames)) ** 2 @ filters)
    decibels = [10 * np.log10(np.maximum(mel, mels[0].max() * 1e-8)) for mel in mels]
    wanted = np.abs(decibels[0] - decibels[1]).mean()
    assert log_mel_distance(real, made, 16_000).value == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_log_mel_distance_of_a_change_in_gain_is_that_gain(rate: int) -> None:
    assert log_mel_distance(NOISE, NOISE * 10 ** (-7 / 20), rate).value == pytest.approx(7.0, abs=0.01)
