"""A batch is a function of the seed and the step; every second of speech is as likely as any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vocable.audio import Audio
from vocable.data.crops import CropBatch, CropConfig, Crops
from vocable.data.manifest import Utterance, read_manifest
from vocable.errors import ConfigError, ManifestError

RATE, HOP = 8_000, 80
PLAIN = CropConfig(batch_size=4, frames=5, gain_db=(0.0, 0.0))


def record(path: Path, samples: np.ndarray, rate: int = RATE) -> Utterance:
    Audio(samples, rate).write(path)
    return Utterance(audio_path=path)


def noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, size).astype(np.float32)


@pytest.fixture
def two(tmp_path: Path) -> list[Utterance]:
    """A second and nine seconds."""
    return [record(tmp_path / "short.wav", noise(RATE)), record(tmp_path / "long.wav", noise(9 * RATE, 1))]


def equal(one: CropBatch, other: CropBatch) -> bool:
    same: tuple[Tensor, ...] = (one.samples == other.samples, one.mask == other.mask)
    return all(bool(part.all()) for part in same) and one.names == other.names


@pytest.mark.parametrize("gain", [(0.0, 0.0), (-9.0, 3.0)])
def test_a_batch_is_a_function_of_the_seed_and_the_step(two: list[Utterance], gain: tuple[float, float]) -> None:
    config = replace(PLAIN, gain_db=gain)
    crops, again = (Crops(two, config, sample_rate=RATE, hop=HOP) for _ in range(2))
    first = [crops.batch(step) for step in range(10)]
    for step in (7, 2, 9, 2):  # in any order, by any reader
        assert equal(again.batch(step), first[step])
    assert len({batch.names for batch in first}) == 10
    other = Crops(two, replace(config, seed=1), sample_rate=RATE, hop=HOP)
    assert not any(equal(other.batch(step), first[step]) for step in range(10))


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_the_ranks_share_one_global_batch(world: int, two: list[Utterance]) -> None:
    crops = Crops(two, replace(PLAIN, batch_size=6), sample_rate=RATE, hop=HOP)
    for step in range(3):
        parts = [crops.batch(step, rank, world) for rank in range(world)]
        whole = crops.batch(step)
        assert torch.equal(torch.cat([part.samples for part in parts]), whole.samples)
        assert torch.equal(torch.cat([part.mask for part in parts]), whole.mask)
        assert sum((part.names for part in parts), ()) == whole.names


def test_a_batch_that_cannot_be_shared_is_refused(two: list[Utterance]) -> None:
    crops = Crops(two, PLAIN, sample_rate=RATE, hop=HOP)
    for world in (3, 8):
        with pytest.raises(ConfigError, match=f"a batch of 4 cannot be shared by {world} ranks"):
            crops.batch(0, 0, world)


def test_a_crop_is_a_piece_of_the_recording_it_names(two: list[Utterance]) -> None:
    crops = Crops(two, replace(PLAIN, batch_size=32), sample_rate=RATE, hop=HOP)
    recordings = {str(utterance.audio_path): Audio.read(utterance.audio_path).samples for utterance in two}
    batch = crops.batch(0)
    assert batch.samples.dtype == torch.float32
    assert batch.samples.shape == (32, 5 * HOP)
    assert batch.mask.shape == (32, 5)
    assert bool(batch.mask.all())
    for crop, name in zip(batch.samples.numpy(), batch.names, strict=True):
        path, _, second = name.rpartition("@")
        near = int(float(second.removesuffix("s")) * RATE)  # two digits: half a hundredth of a second either way
        starts = range(max(0, near - RATE // 200 - 1), near + RATE // 200 + 2)
        assert any(np.array_equal(recordings[path][start : start + crop.size], crop) for start in starts)


def test_clips_shorter_than_a_crop_are_padded_and_masked(tmp_path: Path) -> None:
    samples = noise(2 * HOP + 1)
    crops = Crops([record(tmp_path / "a.wav", samples)], PLAIN, sample_rate=RATE, hop=HOP)
    batch = crops.batch(0)
    assert batch.mask.tolist() == [[True, True, True, False, False]] * 4
    assert torch.from_numpy(samples) == pytest.approx(batch.samples[0, : 2 * HOP + 1], abs=1e-4)
    assert not batch.samples[:, 2 * HOP + 1 :].any()
    assert {name.rpartition("@")[2] for name in batch.names} == {"0.00s"}


@pytest.mark.parametrize("size", [1, HOP - 1, HOP, HOP + 1, 5 * HOP - 1, 5 * HOP, 5 * HOP + 1])
def test_the_mask_covers_any_of_the_clip(size: int, tmp_path: Path) -> None:
    crops = Crops([record(tmp_path / "a.wav", np.full(size, 0.5))], PLAIN, sample_rate=RATE, hop=HOP)
    batch = crops.batch(0)
    assert torch.equal(batch.mask, batch.samples.reshape(4, 5, HOP).abs().amax(dim=2) > 0)
    assert int((batch.samples != 0).sum()) == 4 * min(size, 5 * HOP)


def test_every_second_of_speech_is_equally_likely(two: list[Utterance]) -> None:
    crops = Crops(two, CropConfig(batch_size=4000, frames=1), sample_rate=RATE, hop=HOP)
    assert crops.hours * 3600 == pytest.approx(10)
    drawn = [name.rpartition("@") for name in crops.batch(0).names]
    inside = np.array([float(second[:-1]) for path, _, second in drawn if path.endswith("long.wav")])
    assert len(inside) / 4000 == pytest.approx(0.9, abs=4 * np.sqrt(0.9 * 0.1 / 4000))
    counts, _ = np.histogram(inside, bins=9, range=(0, 9))
    expected = len(inside) / 9
    assert ((counts - expected) ** 2 / expected).sum() < 26.1  # chi-square of 8 degrees exceeds this once in 1000


def test_what_is_listed_twice_is_drawn_twice_as_often_and_kept_once(two: list[Utterance]) -> None:
    short, long = two
    crops = Crops([short] * 9 + [long], CropConfig(batch_size=2000, frames=1), sample_rate=RATE, hop=HOP)
    assert crops.hours * 3600 == pytest.approx(18)
    share = sum("short.wav" in name for name in crops.batch(0).names) / 2000
    assert share == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 2000))


def test_the_gain_lies_in_its_range_and_never_exceeds_full_scale(tmp_path: Path) -> None:
    quiet = record(tmp_path / "quiet.wav", np.full(RATE, 0.1))
    crops = Crops([quiet], CropConfig(batch_size=200, frames=1, gain_db=(-9.0, 3.0)), sample_rate=RATE, hop=HOP)
    decibels = 20 * np.log10(crops.batch(0).samples.amax(dim=1).numpy() / 0.1)
    assert -9.01 < decibels.min() < -8.5
    assert 2.5 < decibels.max() < 3.01
    loud = record(tmp_path / "loud.wav", np.concatenate([noise(RATE), np.sign(noise(RATE))]))
    crops = Crops([loud], CropConfig(batch_size=200, frames=2, gain_db=(0.0, 60.0)), sample_rate=RATE, hop=HOP)
    peaks = crops.batch(0).samples.abs().amax(dim=1)
    assert float(peaks.max()) == 1.0  # up to full scale, and not a rounding error beyond


def test_crops_are_played_at_speeds_in_the_range(tmp_path: Path) -> None:
    """The pitch of a tone moves with the speed, and crops stay whole."""
    tone = np.sin(2 * np.pi * 500 / RATE * np.arange(4 * RATE)).astype(np.float32) * 0.5
    clips = [record(tmp_path / "tone.wav", tone)]
    config = replace(PLAIN, batch_size=8, frames=100, speed_range=(0.8, 1.25))
    crops = Crops(clips, config, sample_rate=RATE, hop=HOP)
    samples = torch.cat([crops.batch(step).samples for step in range(8)]).numpy()
    peaks = np.abs(np.fft.rfft(samples * np.hanning(8_000))).argmax(1)  # in Hz, as a crop lasts a second
    assert 390 <= peaks.min() < 440 < 560 < peaks.max() <= 635
    assert crops.batch(0).mask.all()
    alike = Crops(clips, config, sample_rate=RATE, hop=HOP)
    assert equal(alike.batch(3), crops.batch(3))
    plain = replace(config, speed_range=(1.0, 1.0))
    still = Crops(clips, plain, sample_rate=RATE, hop=HOP).batch(0)
    assert equal(still, Crops(clips, replace(PLAIN, batch_size=8, frames=100), sample_rate=RATE, hop=HOP).batch(0))


def test_silence_stays_silent(tmp_path: Path) -> None:
    silent = record(tmp_path / "silent.wav", np.zeros(RATE))
    batch = Crops([silent], CropConfig(batch_size=4, frames=5), sample_rate=RATE, hop=HOP).batch(0)
    assert not batch.samples.any()
    assert bool(batch.mask.all())


def test_recordings_of_another_rate_are_resampled(tmp_path: Path) -> None:
    seconds = np.arange(48_000) / 48_000
    clip = record(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 200 * seconds), 48_000)
    crops = Crops([clip], replace(PLAIN, frames=100), sample_rate=RATE, hop=HOP)
    assert crops.hours * 3600 == pytest.approx(1)
    wanted = 0.5 * torch.sin(2 * torch.pi * 200 * torch.arange(RATE) / RATE)
    assert crops.batch(0).samples[0, 400:-400] == pytest.approx(wanted[400:-400], abs=1e-3)


def test_recordings_that_cannot_be_read_are_problems_and_the_rest_goes_on(two: list[Utterance], tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("this is no recording")
    (tmp_path / "cut.flac").write_bytes(b"fLaC")
    names = ("text.wav", "missing.wav", "cut.flac")
    bad = [Utterance(audio_path=tmp_path / name) for name in names]
    crops = Crops([bad[0], *two, *bad], PLAIN, sample_rate=RATE, hop=HOP)
    assert [str(problem).split(":")[0] for problem in crops.problems] == [str(tmp_path / name) for name in names]
    assert equal(crops.batch(0), Crops(two, PLAIN, sample_rate=RATE, hop=HOP).batch(0))
    with pytest.raises(
        ManifestError, match=r"none of 3 recordings can be used; the first: .*text\.wav: cannot be read"
    ):
        Crops(bad, PLAIN, sample_rate=RATE, hop=HOP)
    with pytest.raises(ManifestError, match=r"none of 0 recordings can be used$"):
        Crops([], PLAIN, sample_rate=RATE, hop=HOP)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0: it must be at least 1"),
        ({"frames": 0}, "frames is 0"),
        ({"seed": -1}, "seed is -1: it must be at least 0"),
        ({"gain_db": (3.0, -9.0)}, "the lower bound comes first"),
        ({"speed_range": (1.1, 0.9)}, "speed_range is .*: it must lie between 0.5 and 2, the lower bound first"),
        ({"speed_range": (0.2, 1.0)}, "speed_range is .*: it must lie between 0.5 and 2"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(PLAIN, **changes)  # type: ignore[arg-type]


def test_a_batch_moves_to_a_device_whole(two: list[Utterance]) -> None:
    batch = Crops(two, PLAIN, sample_rate=RATE, hop=HOP).batch(0)
    moved = batch.to(torch.device("meta"))
    assert (moved.samples.device.type, moved.mask.device.type, moved.names) == ("meta", "meta", batch.names)
    assert equal(batch.to(torch.device("cpu")), batch)


def test_real_speech_gives_crops_at_any_rate(speech_data: Path) -> None:
    utterances = read_manifest(speech_data / "digits_fsdd" / "manifest.jsonl", "train")[:20]
    crops = Crops(utterances, CropConfig(batch_size=8, frames=25), sample_rate=16_000, hop=320)
    assert crops.problems == []
    assert crops.hours * 3600 == pytest.approx(sum(utterance.duration or 0 for utterance in utterances), abs=0.02)
    batch = crops.batch(0)
    assert bool(batch.samples.isfinite().all())
    assert float(batch.samples.abs().amax(dim=1).min()) > 1e-3
