"""Utterances as pictures: what is cut out, what is stretched, and the way back."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vocable.errors import AudioError, ConfigError
from vocable.systems.vqalattent.config import ImageSpec
from vocable.systems.vqalattent.image import find_speech, from_unit, mel_image, stretch_columns, subtract_level, to_unit
from vocable.testing import speechlike

SPEC = ImageSpec(sample_rate=8_000, n_fft=256, bins=32, frames=20)
FLOOR = -100.0  # dB: the quietest that a picture shows


def tone(hertz: float, samples: int, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(samples) / SPEC.sample_rate)).astype(np.float32)


def rattle(samples: int, level: float, seed: int = 0) -> np.ndarray:
    """Sound whose level is the same at every sample."""
    return (level * np.random.default_rng(seed).choice([-1, 1], samples)).astype(np.float32)


@settings(deadline=None)
@given(
    before=st.integers(0, 6_000), length=st.integers(SPEC.hop, 6_000), behind=st.integers(0, 6_000),
    level=st.floats(1e-3, 1), hum=st.sampled_from([0.0, 0.01]),
)  # fmt: skip
def test_speech_is_found_between_silences(before: int, length: int, behind: int, level: float, hum: float) -> None:
    """Wherever it lies and whatever its level: nothing of it is lost, and little more than a window is left around."""
    clip = rattle(before + length + behind, hum * level)
    clip[before : before + length] = rattle(length, level, seed=1)
    first, end = find_speech(clip, SPEC)
    assert 0 <= before - first <= 1.25 * SPEC.n_fft
    assert 0 <= end - (before + length) <= 1.25 * SPEC.n_fft


@settings(deadline=None)
@given(samples=st.integers(2 * SPEC.n_fft, 9_000), exponent=st.integers(-6, 2), seed=st.integers(0, 1_000))
def test_a_gain_moves_no_bound(samples: int, exponent: int, seed: int) -> None:
    clip = speechlike(samples, SPEC.sample_rate, seed).samples
    assert find_speech(clip * np.float32(2.0**exponent), SPEC) == find_speech(clip, SPEC)


@settings(deadline=None)
@given(samples=st.integers(SPEC.hop, 9_000), at=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 1_000))
def test_bounds_lie_in_the_clip_a_quarter_window_apart(samples: int, at: float, seed: int) -> None:
    """Even around a single click."""
    clip = np.zeros(samples, dtype=np.float32)
    clip[int(at * samples)] = np.random.default_rng(seed).uniform(0.1, 1)
    first, end = find_speech(clip, SPEC)
    assert 0 <= first < end <= samples
    assert end - first >= SPEC.hop


def test_more_decibels_keep_quieter_ends() -> None:
    """A fifth of the level is 14 dB under it."""
    clip = np.concatenate([rattle(2_000, 0.1), rattle(2_000, 0.5), rattle(2_000, 0.1)])
    narrow = find_speech(clip, ImageSpec(sample_rate=8_000, n_fft=256, trim_db=12.0))
    assert narrow[0] > 1_600
    assert narrow[1] < 4_400
    wide = find_speech(clip, ImageSpec(sample_rate=8_000, n_fft=256, trim_db=16.0))
    assert wide[0] < 128
    assert wide[1] > 5_872


@pytest.mark.parametrize(
    "clip",
    [np.zeros(9_000, dtype=np.float32), rattle(9_000, 1e-6), rattle(SPEC.hop - 1, 0.5), rattle(1, 1.0)],
    ids=["silent", "all but silent", "short", "one sample"],
)
def test_a_clip_without_speech_is_refused(clip: np.ndarray) -> None:
    with pytest.raises(AudioError, match=r"silent or shorter than 64 samples at 8000 Hz: there is no speech"):
        find_speech(clip, SPEC)


@settings(deadline=None)
@given(st.integers(1, 5_000), st.integers(-3_000, 6_000), st.integers(1, 6_000), st.integers(2, 40), st.integers(2, 40))
def test_a_picture_has_one_shape_whatever_its_clip(
    samples: int, first: int, length: int, bins: int, width: int
) -> None:
    spec = ImageSpec(sample_rate=8_000, n_fft=256, bins=bins, frames=width)
    clip = rattle(samples, 0.5)
    for bounds in (None, (first, first + length)):
        made = mel_image(clip, spec, bounds=bounds)
        assert made.shape == (bins, width)
        assert made.dtype == torch.float32
        assert torch.isfinite(made).all()
        assert float(made.min()) >= FLOOR


def test_outside_a_clip_there_is_silence() -> None:
    clip = tone(1_000, 2_000)
    made = mel_image(clip, SPEC, bounds=(-2_000, 4_000))  # columns 300 samples apart
    assert torch.all(made[:, :6] == FLOOR)
    assert torch.all(made[:, 14:] == FLOOR)
    assert torch.all(made[:, 8:12].amax(0) > -10)
    longer = np.pad(clip, 5_000)
    assert torch.equal(mel_image(longer, SPEC, bounds=(3_000, 9_000)), made)


def test_what_is_far_from_the_bounds_is_not_seen() -> None:
    clip = speechlike(6_000, 8_000).samples
    other = clip.copy()
    other[: 2_000 - SPEC.n_fft // 2] = 0.9
    other[4_000 + SPEC.n_fft // 2 :] = -0.9
    made = mel_image(clip, SPEC, bounds=(2_000, 4_000))
    assert torch.equal(mel_image(other, SPEC, bounds=(2_000, 4_000)), made)
    assert not torch.equal(mel_image(other, SPEC), mel_image(clip, SPEC))


def test_a_picture_without_bounds_is_of_the_whole_clip() -> None:
    clip = speechlike(3_000, 8_000).samples
    assert torch.equal(mel_image(clip, SPEC), mel_image(clip, SPEC, bounds=(0, 3_000)))


def test_a_gain_is_added_in_decibels() -> None:
    clip = speechlike(4_000, 8_000).samples
    loud, quiet = mel_image(clip, SPEC), mel_image(clip * np.float32(0.5), SPEC)
    assert torch.allclose(loud - quiet, torch.full_like(loud, 20 * np.log10(2)), atol=1e-3)


@pytest.mark.parametrize("samples", [1_500, 4_000, 20_000])
def test_a_steady_tone_has_one_picture_however_long_it_lasts(samples: int) -> None:
    wanted = mel_image(tone(1_000, 9_000), SPEC, bounds=(500, 8_500))
    made = mel_image(tone(1_000, samples), SPEC, bounds=(200, samples - 200))
    loud = wanted > wanted.max() - 40  # below, only the window's sidelobes, whose level the phase decides
    assert torch.allclose(made[loud], wanted[loud], atol=0.5)


def test_a_glide_is_stretched_in_time_and_not_in_pitch() -> None:
    """Half the speed, the same picture; the loudest row rises from the first column to the last."""
    pictures = []
    for samples in (6_000, 12_000):
        hertz = 500 + 2_000 * np.arange(samples) / samples
        sound = 0.3 * np.sin(2 * np.pi * np.cumsum(hertz) / SPEC.sample_rate)
        pictures.append(mel_image(sound.astype(np.float32), SPEC))
    short, long = (made[:, 1:-1] for made in pictures)  # the windows at the ends are half full
    assert torch.equal(short.argmax(0), long.argmax(0))
    assert torch.all(short.argmax(0).diff() >= 0)
    assert float((short - long).abs()[short > short.max() - 20].mean()) < 1.0


@pytest.mark.parametrize("warp", [1.1, 1.25])
@pytest.mark.parametrize("hertz", [900.0, 1_500.0, 2_500.0])
def test_warp_moves_energy_along_the_rows_and_its_inverse_the_other_way(warp: float, hertz: float) -> None:
    rows = torch.arange(SPEC.bins, dtype=torch.float32)

    def centre(by: float) -> float:
        power = 10 ** (mel_image(tone(hertz, 4_000), SPEC, warp=by).mean(1) / 10)
        return float((rows * power).sum() / power.sum())

    moved, back = centre(warp) - centre(1.0), centre(1 / warp) - centre(1.0)
    assert min(abs(moved), abs(back)) > 0.1
    assert (moved > 0) != (back > 0)


def test_without_warp_nothing_moves() -> None:
    clip = speechlike(3_000, 8_000).samples
    assert torch.equal(mel_image(clip, SPEC, warp=1.0), mel_image(clip, SPEC))


scales = st.tuples(st.floats(-120, 0), st.floats(1, 120)).map(lambda low: torch.tensor([low[0], low[0] + low[1]]))


@settings(deadline=None)
@given(scales, st.integers(0, 1_000))
def test_unit_and_decibels_are_inverse_inside_the_bounds(bounds: Tensor, seed: int) -> None:
    values = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(to_unit(from_unit(values, bounds), bounds), values, atol=1e-4)
    decibels = from_unit(values, bounds)
    assert torch.allclose(from_unit(to_unit(decibels, bounds), bounds), decibels, atol=1e-3)
    assert float(decibels.min()) >= float(bounds[0]) - 1e-3
    assert float(decibels.max()) <= float(bounds[1]) + 1e-3


@settings(deadline=None)
@given(scales, st.floats(0.1, 300))
def test_what_lies_outside_the_bounds_is_cut_off(bounds: Tensor, beyond: float) -> None:
    outside = torch.stack([bounds[0] - beyond, bounds[1] + beyond])[None]
    assert to_unit(outside, bounds).tolist() == [[0.0, 1.0]]


def drawn(columns: int, seed: int) -> Tensor:
    return torch.randn(3, columns, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 90), st.floats(-100, 100, width=32))
def test_at_speed_keeps_a_constant(columns: int, frames: int, value: float) -> None:
    assert torch.allclose(stretch_columns(torch.full((3, columns), value), frames), torch.full((3, frames), value))


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 90), st.integers(0, 1_000))
def test_at_speed_invents_nothing(columns: int, frames: int, seed: int) -> None:
    """Each value lies between two neighbours; the columns' order in time stays."""
    values = drawn(columns, seed)
    made = stretch_columns(values, frames)
    assert made.shape == (3, frames)
    assert torch.all(made.amax(1) <= values.amax(1) + 1e-5)
    assert torch.all(made.amin(1) >= values.amin(1) - 1e-5)
    assert torch.all(stretch_columns(values.sort(1).values, frames).diff(dim=1) >= -1e-5)


@given(st.integers(1, 40), st.integers(0, 1_000))
@settings(deadline=None)
def test_at_its_own_speed_a_picture_is_itself(columns: int, seed: int) -> None:
    assert torch.allclose(stretch_columns(drawn(columns, seed), columns), drawn(columns, seed), atol=1e-4)


def test_half_the_frames_are_means_of_pairs() -> None:
    values = drawn(20, 0)
    assert torch.allclose(stretch_columns(values, 10), values.unflatten(1, (10, 2)).mean(2), atol=1e-6)


@settings(deadline=None)
@given(st.integers(20, 50), st.integers(60, 150), st.floats(0, 6))
def test_at_speed_goes_there_and_back(columns: int, frames: int, phase: float) -> None:
    """A smooth picture stretched and squeezed again is itself, but for its corners."""
    values = torch.sin(2 * torch.pi * torch.linspace(0, 1, columns) + phase)[None]
    assert torch.allclose(stretch_columns(stretch_columns(values, frames), columns), values, atol=0.04)


def test_hop_and_duration_follow_from_the_window() -> None:
    assert (SPEC.hop, SPEC.duration) == (64, 20 * 64 / 8_000)
    paper = ImageSpec()
    assert (paper.hop, paper.bins, paper.frames) == (256, 64, 88)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sample_rate": 0}, "sample_rate is 0: Input should be greater than or equal to 1"),
        ({"n_fft": 4}, "n_fft is 4: Input should be greater than or equal to 8"),
        ({"bins": 1}, "bins is 1: Input should be greater than or equal to 2"),
        ({"frames": 1}, "frames is 1: Input should be greater than or equal to 2"),
        ({"level": "own"}, "level is 'own': Input should be 'corpus' or 'clip'"),
        ({"trim_db": 0.0}, r"trim_db is 0.0: Input should be greater than 0"),
        ({"range_db": -1.0}, r"range_db is -1.0: Input should be greater than 0"),
        ({"n_fft": 258}, "n_fft is 258: Input should be a multiple of 4"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageSpec(**values)


def test_a_picture_on_its_own_level_does_not_say_how_loud_it_was() -> None:
    spec = ImageSpec(level="clip")
    samples = speechlike(9_000, 22_050).samples
    pictures, taken = zip(*(subtract_level(mel_image(samples * gain, spec), spec) for gain in (0.1, 1.0)), strict=True)
    assert float(pictures[0].max()) == float(pictures[1].max()) == 0.0
    assert taken[1] - taken[0] == pytest.approx(20.0, abs=1e-3)
    loud = pictures[1] > -40
    assert torch.allclose(pictures[0][loud], pictures[1][loud], atol=1e-2)
    assert subtract_level(pictures[0] - 5.0, ImageSpec())[1] == 0.0


def test_warp_over_one_raises_what_is_low() -> None:
    spec = ImageSpec(sample_rate=8_000, n_fft=384)
    tone = (0.1 * np.sin(2 * np.pi * 900 * np.arange(4_000) / 8_000)).astype(np.float32)
    rows = [int(mel_image(tone, spec, warp=warp).mean(1).argmax()) for warp in (0.8, 1.0, 1.25)]
    assert rows[0] < rows[1] < rows[2]
