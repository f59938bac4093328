"""Spectral distances: equal to plain computations and to upstream, and the warping path exactly the best one."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.clips import NOISE, SPEECH, UNUSABLE, check_lengths
from vocable.errors import ConfigError, ShapeError
from vocable.features.spectrogram import mel_filters
from vocable.metrics.score import Score
from vocable.metrics.spectral import (
    dtw_path,
    log_mel_distance,
    log_spectral_distance,
    mel_cepstra,
    mel_cepstral_distance,
)
from vocable.testing import speechlike

METRICS: dict[str, Callable[[np.ndarray, np.ndarray], Score]] = {
    "log_mel_distance": lambda real, made: log_mel_distance(real, made, 16_000),
    "log_spectral_distance": lambda real, made: log_spectral_distance(real, made, 16_000),
    "mel_cepstral_distance": lambda real, made: mel_cepstral_distance(real, made, 16_000),
    "mel_cepstral_distance, dtw": lambda real, made: mel_cepstral_distance(real, made, 16_000, "dtw"),
}
LOG_METRICS = [log_mel_distance, log_spectral_distance]


def warped(samples: np.ndarray, step: float) -> np.ndarray:
    """Played so many times as fast."""
    return np.interp(np.arange(0, samples.size - 1, step), np.arange(samples.size), samples)


# ---- laws of all ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METRICS)
def test_identity_is_zero_and_all_else_is_more(name: str) -> None:
    assert METRICS[name](SPEECH, SPEECH).value == 0.0
    near, far = (METRICS[name](SPEECH, SPEECH + gain * NOISE).value for gain in (0.1, 1))
    assert 0.0 < near < far


@pytest.mark.parametrize("name", [name for name in METRICS if "dtw" not in name])
def test_lengths_are_cut_to_the_shorter(name: str) -> None:
    check_lengths(METRICS[name])


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(("real", "made", "reason"), UNUSABLE)
def test_what_cannot_be_measured_is_undefined(name: str, real: np.ndarray, made: np.ndarray, reason: str) -> None:
    score = METRICS[name](real, made)
    assert math.isnan(score.value)
    assert score.reason == reason


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("samples", [2, 5, 600])
def test_the_shortest_clips_have_a_figure_or_a_reason(name: str, samples: int) -> None:
    score = METRICS[name](SPEECH[:samples], (SPEECH + NOISE)[:samples])
    assert score.value > 0.0 if score.defined else score.reason == "less than 33 ms of speech"


# ---- over a floor ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", LOG_METRICS)
def test_silence_made_from_speech_is_far_from_it(metric: Callable[..., Score]) -> None:
    assert 20.0 < metric(SPEECH, 0 * SPEECH, 16_000).value <= 80.0


@pytest.mark.parametrize("metric", LOG_METRICS)
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_change_in_gain_is_that_gain(metric: Callable[..., Score], rate: int) -> None:
    assert metric(NOISE, NOISE * 10 ** (-7 / 20), rate).value == pytest.approx(7.0, abs=0.01)


def _plain_powers(samples: np.ndarray, n_fft: int) -> np.ndarray:
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    hop = n_fft // 4
    margin = (n_fft - hop) // 2
    padded = np.pad(samples, (margin, margin + -samples.size % hop))
    frames = [padded[at : at + n_fft] * window for at in range(0, padded.size - n_fft + 1, hop)]
    return np.abs(np.fft.rfft(frames)) ** 2


@pytest.mark.parametrize(("metric", "n_fft"), [(log_mel_distance, 1024), (log_spectral_distance, 512)])
def test_distances_equal_a_plain_computation(metric: Callable[..., Score], n_fft: int) -> None:
    clips = [part[:16_000].astype(np.float64) for part in (SPEECH, SPEECH + NOISE)]
    powers = [_plain_powers(samples, n_fft) for samples in clips]
    if metric is log_mel_distance:
        powers = [power @ mel_filters(16_000, 1024, 80).double().numpy() for power in powers]
    here, there = (10 * np.log10(np.maximum(power, powers[0].max() * 1e-8)) for power in powers)
    if metric is log_mel_distance:
        wanted = np.abs(here - there).mean()
    else:
        wanted = np.sqrt(((here - there) ** 2).mean(axis=1)).mean()
    assert metric(*clips, 16_000).value == pytest.approx(wanted, abs=1e-4)


# ---- mel-cepstral distance ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "frame_by_frame", "along_the_path"),
    # pip install mel-cepstral-distance==0.0.4; with the clips below written as 64-bit WAV files, 10 * 2**0.5 / 20 times
    # compare_audio_files(real, steady, s=0, D=13, align_target="mfcc", aligning="pad")[0]
    # compare_audio_files(real, slow, s=0, D=13, align_target="mfcc", aligning="dtw", dtw_radius=None)[0]
    [(8_000, 2.259290, 3.628941), (16_000, 1.405431, 2.733134), (22_050, 1.160088, 2.782517)],
)
def test_mel_cepstral_distance_is_that_of_upstream(rate: int, frame_by_frame: float, along_the_path: float) -> None:
    real = speechlike(rate, rate, 1).samples.astype(np.float64)
    steady = real + 0.01 * np.random.default_rng(0).standard_normal(rate)
    slow = warped(steady, 0.8)
    assert mel_cepstral_distance(real, steady, rate).value == pytest.approx(frame_by_frame, abs=1e-4)
    assert mel_cepstral_distance(real, slow, rate, "dtw").value == pytest.approx(along_the_path, abs=1e-4)


def test_mel_cepstral_distance_is_the_definition() -> None:
    real, made = SPEECH.astype(np.float64), (SPEECH + NOISE).astype(np.float64)
    cepstra = [mel_cepstra(samples, 16_000) for samples in (real, made)]
    frames = [10 / math.log(10) * math.sqrt(2 * ((a - b) ** 2).sum()) for a, b in zip(*cepstra, strict=True)]
    assert mel_cepstral_distance(real, made, 16_000).value == pytest.approx(np.mean(frames), abs=1e-12)


@pytest.mark.parametrize("align", ["none", "dtw"])
def test_mel_cepstral_distance_takes_neither_side_nor_gain(align: str) -> None:
    real, made = SPEECH[:16_000], (SPEECH + NOISE)[:16_000]
    value = mel_cepstral_distance(real, made, 16_000, align).value
    assert mel_cepstral_distance(made, real, 16_000, align).value == pytest.approx(value, abs=1e-9)
    assert mel_cepstral_distance(real, -0.1 * made, 16_000, align).value == pytest.approx(value, abs=1e-5)


def _melody(lengths: list[int], seed: int) -> np.ndarray:
    """Steady sounds of other spectra one after another, each so many hundredths of a second long."""
    random = np.random.default_rng(seed)
    clock = np.arange(16_000) / 16_000
    sounds = [sum(random.random() ** 3 * np.sin(2 * np.pi * 200 * k * clock) for k in range(1, 40)) for _ in lengths]
    return np.concatenate([sound[: 160 * length] for sound, length in zip(sounds, lengths, strict=True)])


def test_warping_forgives_other_timing() -> None:
    real, made = _melody([10, 20, 8, 30, 12], 0), _melody([25, 9, 20, 12, 30], 0)
    other = _melody([10, 20, 8, 30, 12], 1)
    stiff = mel_cepstral_distance(real, made, 16_000).value
    loose = mel_cepstral_distance(real, made, 16_000, "dtw").value
    assert loose < 0.3 * stiff
    assert loose < 0.3 * mel_cepstral_distance(other, made, 16_000, "dtw").value
    assert mel_cepstral_distance(SPEECH, warped(SPEECH, 0.9), 16_000, "dtw").value < 0.7 * (
        mel_cepstral_distance(SPEECH, warped(SPEECH, 0.9), 16_000).value
    )


def test_warping_is_never_worse_in_total() -> None:
    real, made = (mel_cepstra(samples, 16_000) for samples in (SPEECH, SPEECH + NOISE))
    path = dtw_path(real, made)
    along = np.linalg.norm(real[path[:, 0]] - made[path[:, 1]], axis=1).sum()
    assert along <= np.linalg.norm(real - made, axis=1).sum() + 1e-9


def test_misuse_is_named() -> None:
    with pytest.raises(ConfigError, match="align is 'pad': mel_cepstral_distance takes 'none' or 'dtw'"):
        mel_cepstral_distance(SPEECH, SPEECH, 16_000, "pad")
    with pytest.raises(ConfigError, match=r"a hop of 1e-05 s is less than one sample at 16000 Hz"):
        mel_cepstra(SPEECH.astype(np.float64), 16_000, hop=1e-5)


def test_cepstra_come_at_any_hop() -> None:
    whole = mel_cepstra(SPEECH.astype(np.float64), 16_000, hop=0.004)
    assert whole.shape == ((32_000 - 512 - 1) // 64 + 1, 13)
    # not bit for bit: a matrix product over several threads sums in another order
    assert np.abs(whole[::2] - mel_cepstra(SPEECH.astype(np.float64), 16_000)).max() < 1e-12
    assert mel_cepstra(SPEECH[:512].astype(np.float64), 16_000).shape == (0, 13)
    assert np.abs(mel_cepstra(np.zeros(16_000), 16_000)).max() < 1e-9


# ---- the path -------------------------------------------------------------------------------------------------------


def _plain_path(real: np.ndarray, made: np.ndarray) -> list[tuple[int, int]]:
    """As fastdtw's ``dtw`` has it: the first of along, across, both that is least."""
    total = {(-1, -1): (0.0, (-1, -1))}
    for row in range(len(real)):
        for column in range(len(made)):
            step = float(np.sqrt(np.square(real[row] - made[column]).sum()))
            ways = [(row - 1, column), (row, column - 1), (row - 1, column - 1)]
            sums = [(total[way][0] if way in total else math.inf) + step for way in ways]
            best = sums.index(min(sums))
            total[row, column] = (sums[best], ways[best])
    path, at = [], (len(real) - 1, len(made) - 1)
    while at != (-1, -1):
        path.append(at)
        at = total[at][1]
    return path[::-1]


@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    width=st.integers(1, 3),
    kinds=st.sampled_from([1, 2, 4, 1000]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_the_path_is_the_best_one_ties_included(rows: int, columns: int, width: int, kinds: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    real, made = (random.integers(kinds, size=(count, width)).astype(np.float64) for count in (rows, columns))
    assert [tuple(pair) for pair in dtw_path(real, made).tolist()] == _plain_path(real, made)


def test_a_path_walks_from_both_starts_to_both_ends() -> None:
    random = np.random.default_rng(1)
    path = dtw_path(random.standard_normal((70, 5)), random.standard_normal((41, 5)))
    assert path[0].tolist() == [0, 0]
    assert path[-1].tolist() == [69, 40]
    assert {tuple(step) for step in np.diff(path, axis=0).tolist()} <= {(0, 1), (1, 0), (1, 1)}


def test_a_path_finds_what_was_repeated() -> None:
    real = np.random.default_rng(2).standard_normal((30, 4))
    times = np.repeat(np.arange(30), np.random.default_rng(3).integers(1, 4, size=30))
    assert np.array_equal(dtw_path(real, real[times]), np.stack([times, np.arange(times.size)], axis=1))


def test_sequences_that_do_not_fit_are_named() -> None:
    for other in (np.empty((0, 3)), np.zeros((4, 2))):
        with pytest.raises(ShapeError, match=r"sequences of shape \(5, 3\) and .* frames of as many features"):
            dtw_path(np.zeros((5, 3)), other)


def test_ten_seconds_are_warped_in_no_time() -> None:
    random = np.random.default_rng(4)
    real, made = random.standard_normal((2, 1_250, 13))
    began = time.process_time()
    dtw_path(real, made)
    assert time.process_time() - began < 1.0  # about 0.1 s where the machine does nothing else
