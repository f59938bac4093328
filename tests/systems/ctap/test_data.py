"""Windows of aligned speech: the phoneme at every spectrum is the one that is heard there, at any speed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.phones import RATE
from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import ConfigError, ManifestError
from vocable.features.spectrogram import spectra
from vocable.systems.ctap.data import AlignedBatch, AlignedConfig, AlignedWindows, _Segments
from vocable.systems.ctap.recipe import _log_statistics, tiny
from vocable.text.phonemes import PhonemeSet

HOP, REDUCTION, WINDOW, VOICE = 64, 4, 25, 60
PHONEMES = PhonemeSet(("SIL", "low", "high"))
LOW, HIGH = 500.0, 2_000.0  # Hz
PLAIN = AlignedConfig(batch_size=8, unlabeled_share=0.0, gain_db=(0.0, 0.0), speed_range=(1.0, 1.0))


def tones(path: Path, seconds: float = 3.0, seed: int = 0, *, aligned: bool = True) -> Utterance:
    """Two tones and pauses in turn, each 60 to 150 ms long."""
    random = np.random.default_rng(seed)
    parts, segments, at = [], [], 0
    while at < seconds * RATE:
        size = min(int(RATE * random.uniform(0.06, 0.15)), int(seconds * RATE) - at)
        which = int(random.integers(3))
        parts.append((0.0, 0.3, 0.3)[which] * np.sin(2 * np.pi * (0.0, LOW, HIGH)[which] * np.arange(size) / RATE))
        segments.append([PHONEMES.symbols[which], at / RATE, (at + size) / RATE])
        at += size
    Audio(np.concatenate(parts).astype(np.float32), RATE).write(path)
    return Utterance(audio_path=path, extra={"alignment": segments} if aligned else {})


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    """Three with an alignment, one without."""
    folder = tmp_path_factory.mktemp("tones")
    return [tones(folder / f"{seed}.wav", seed=seed, aligned=seed < 3) for seed in range(4)]


def windows(clips: list[Utterance], config: AlignedConfig = PLAIN, **changes: Any) -> AlignedWindows:
    sizes = {"window": WINDOW, "voice": VOICE, "phonemes": PHONEMES} | changes
    model = tiny().model
    voice = replace(model.voice, frames=sizes["voice"])
    transcoder = replace(model.transcoder, window=sizes["window"], margin=0, voice=voice)
    assert (model.mel.sample_rate, model.mel.hop, model.transcoder.reduction) == (RATE, HOP, REDUCTION)
    return AlignedWindows(clips, config, replace(model, transcoder=transcoder, phonemes=sizes["phonemes"].symbols))


def same(one: AlignedBatch, two: AlignedBatch) -> bool:
    parts = ("samples", "mask", "phonemes", "has_phonemes", "voices")
    return one.names == two.names and all(torch.equal(getattr(one, part), getattr(two, part)) for part in parts)


def heard(samples: torch.Tensor, speed: float) -> torch.Tensor:
    """What each spectrum of (B, T) samples sounds like: nothing, the low tone, the high one."""
    power = spectra(samples, 256, HOP).abs().square()
    bins = [round(tone * speed * 256 / RATE) for tone in (LOW, HIGH)]
    low, high = (power[..., place - 2 : place + 3].sum(-1) for place in bins)
    return torch.where((low + high) < 100.0, 0, torch.where(low > high, 1, 2))


@pytest.mark.parametrize("speed", [0.7, 0.9, 1.0, 1.15, 1.5])
def test_phonemes_lie_where_they_are_heard(clips: list[Utterance], speed: float) -> None:
    batch = windows(clips[:3], replace(PLAIN, batch_size=64, speed_range=(speed, speed))).batch(0)
    agree = (heard(batch.samples, speed) == batch.phonemes).float()
    assert float(agree.mean()) >= 0.95
    assert set(batch.phonemes.unique().tolist()) == {0, 1, 2}
    for shift in (2, -2):  # spectra: the labels are not merely somewhere near
        moved = (heard(batch.samples, speed).roll(shift, 1) == batch.phonemes).float()
        assert float(moved.mean()) < float(agree.mean()) - 0.05


def test_speeds_play_voice_and_window_alike(clips: list[Utterance]) -> None:
    """A clip is a tone and nothing else: how high it sounds says how fast it is played."""
    path = clips[0].audio_path.parent / "tone.wav"
    Audio(0.3 * np.sin(2 * np.pi * 1_000 * np.arange(4 * RATE) / RATE).astype(np.float32), RATE).write(path)
    tone = Utterance(audio_path=path, extra={"alignment": [["low", 0.0, 4.0]]})
    batch = windows([tone], replace(PLAIN, batch_size=32, speed_range=(0.8, 1.25))).batch(0)
    pitch = [
        torch.fft.rfft(part, n=1 << 16, dim=1).abs().argmax(1) * RATE / (1 << 16)
        for part in (batch.samples, batch.voices)
    ]
    assert torch.allclose(pitch[0], pitch[1], atol=2.0)
    assert 790 < float(pitch[0].min()) < 850
    assert 1_180 < float(pitch[0].max()) < 1_260


def test_a_batch_is_a_function_of_seed_and_step(clips: list[Utterance]) -> None:
    config = replace(PLAIN, unlabeled_share=0.5, gain_db=(-6.0, 3.0), speed_range=(0.9, 1.1))
    one, two = windows(clips, config), windows(clips, config)
    two.batch(7)
    assert same(one.batch(3), two.batch(3))
    assert not same(one.batch(3), one.batch(4))
    assert not same(one.batch(3), windows(clips, replace(config, seed=1)).batch(3))


def test_ranks_share_the_batch(clips: list[Utterance]) -> None:
    source = windows(clips, replace(PLAIN, unlabeled_share=0.5, speed_range=(0.9, 1.1)))
    whole = source.batch(5)
    for size in (2, 4):
        shares = [source.batch(5, rank, size) for rank in range(size)]
        assert sum((share.names for share in shares), ()) == whole.names
        for part in ("samples", "mask", "phonemes", "has_phonemes", "voices"):
            assert torch.equal(torch.cat([getattr(share, part) for share in shares]), getattr(whole, part))
    with pytest.raises(ConfigError, match="a batch of 8 cannot be shared by 3 ranks"):
        source.batch(0, 0, 3)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_unlabelled_windows_is_as_said(clips: list[Utterance], share: float) -> None:
    batch = windows(clips, replace(PLAIN, batch_size=400, unlabeled_share=share)).batch(0)
    assert float((~batch.has_phonemes).float().mean()) == pytest.approx(share, abs=0.07 * (0 < share < 1))
    assert not batch.phonemes[~batch.has_phonemes].any()
    unlabelled = {
        name.rpartition("@")[0] for name, known in zip(batch.names, batch.has_phonemes, strict=True) if not known
    }
    assert unlabelled <= {str(clips[3].audio_path)}


def test_without_unlabelled_recordings_every_window_is_labelled(clips: list[Utterance]) -> None:
    assert bool(windows(clips[:3], replace(PLAIN, unlabeled_share=0.9)).batch(0).has_phonemes.all())


def test_every_second_of_speech_is_equally_likely(tmp_path: Path) -> None:
    short, long = tones(tmp_path / "short.wav", 2.0), tones(tmp_path / "long.wav", 8.0)
    batch = windows([short, long], replace(PLAIN, batch_size=600)).batch(0)
    assert np.mean(["short" in name for name in batch.names]) == pytest.approx(0.2, abs=0.05)
    starts = [float(name.rpartition("@")[2][:-1]) for name in batch.names if "long" in name]
    last = 8.0 - WINDOW * REDUCTION * HOP / RATE
    assert max(starts) == pytest.approx(last, abs=0.1)
    assert np.mean(starts) == pytest.approx(last / 2, abs=0.3)


def test_behind_the_end_of_a_short_clip_nothing_is_real(tmp_path: Path) -> None:
    size = 10 * REDUCTION * HOP + 1  # one sample more than ten tokens
    clip = tones(tmp_path / "a.wav", size / RATE)
    batch = windows([clip], PLAIN).batch(0)
    assert batch.mask.sum(1).tolist() == [11] * 8
    assert batch.mask.shape == (8, WINDOW)
    assert not batch.samples[:, size:].any()
    assert not batch.phonemes[:, 10 * REDUCTION + 1 :].any()
    recorded = torch.from_numpy(Audio.read(clip.audio_path).samples)
    assert torch.equal(batch.samples[:, :size], recorded.expand(8, -1))
    assert batch.names == (f"{clip.audio_path}@0.00s",) * 8


@pytest.mark.slow
def test_a_voice_is_of_the_same_clip_and_repeated_where_that_is_short(tmp_path: Path) -> None:
    short = tones(tmp_path / "short.wav", 0.2)
    [row, *_] = windows([short]).batch(0).voices
    size = int(0.2 * RATE)
    recorded = torch.from_numpy(Audio.read(short.audio_path).samples)
    assert row.shape == (VOICE * HOP,)
    assert torch.equal(row, recorded[torch.arange(VOICE * HOP) % size])
    batch = windows([tones(tmp_path / f"{seed}.wav", 2.0, seed) for seed in range(3)]).batch(0)
    for name, samples, voice in zip(batch.names, batch.samples, batch.voices, strict=True):
        path, _, at = name.rpartition("@")
        recorded = torch.from_numpy(Audio.read(path).samples)
        assert bool((recorded.unfold(0, VOICE * HOP, 1) == voice).all(1).any()), "the voice is not in its clip"
        assert bool((recorded.unfold(0, len(samples), 1) == samples).all(1).any())
        assert float(at[:-1]) <= 2.0
    assert len({voice.numpy().tobytes() for voice in batch.voices}) > 4, "a voice is always from one place"


def test_gain_stays_under_full_scale(clips: list[Utterance]) -> None:
    loud = windows(clips, replace(PLAIN, batch_size=32, gain_db=(30.0, 30.0))).batch(0)
    assert float(loud.samples.abs().max()) <= 1.0
    assert float(loud.voices.abs().max()) <= 1.0
    assert float(torch.stack([loud.samples.abs().amax(1), loud.voices.abs().amax(1)]).amax(0).min()) > 0.99
    plain, quiet = (windows(clips, replace(PLAIN, gain_db=(gain, gain))).batch(0) for gain in (0.0, -20.0))
    assert torch.allclose(quiet.samples, 0.1 * plain.samples, atol=1e-6)
    assert torch.allclose(quiet.voices, 0.1 * plain.voices, atol=1e-6)


def test_bad_alignments_are_left_out_by_name(clips: list[Utterance]) -> None:
    bad = {
        "late": [["low", 0.0, 9.0]],
        "short": [["low", 0.0, 1.0]],
        "foreign": [["low", 0.0, 1.0], ["nobody", 1.0, 3.0]],
        "no list": "low",
        "backwards": [["low", 2.0, 1.0]],
    }
    listed = [clips[0], *(clips[1].model_copy(update={"extra": {"alignment": one}}) for one in bad.values())]
    found = windows(listed)
    assert len(found) == 1
    said = [str(problem) for problem in found.problems]
    assert len(said) == len(bad)
    assert all(one.startswith(f"{clips[1].audio_path}: ") for one in said)
    assert all(one.count(str(clips[1].audio_path)) == 1 for one in said), "a file is named twice"
    assert "phoneme 2 of 2, 'nobody', is not among the 3 of this set" in said[2]


@pytest.mark.parametrize("alignment", [None, [["SIL", 0.0, 3.0]]])
def test_without_a_phoneme_anywhere_there_is_nothing_to_learn(clips: list[Utterance], alignment: Any) -> None:
    extra = {} if alignment is None else {"alignment": alignment}
    silent = [clip.model_copy(update={"extra": extra}) for clip in clips]
    with pytest.raises(ManifestError, match="none of 4 recordings has an 'alignment' with a phoneme in it; make them"):
        windows(silent)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"unlabeled_share": 1.1}, "windows: unlabeled_share is 1.1: it must be at most 1"),
     ({"unlabeled_share": -0.1}, "unlabeled_share is -0.1: it must be at least 0"),
     ({"speed_range": (1.1, 0.9)}, r"speed_range is \(1.1, 0.9\): it must lie between 0.5 and 2"),
     ({"speed_range": (0.4, 1.0)}, "speed_range is"), ({"speed_range": (1.0, 2.1)}, "speed_range is"),
     ({"batch_size": 0}, "windows: batch_size is 0")],
)  # fmt: skip
def test_settings_out_of_range(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(PLAIN, **change)


def test_what_a_corpus_tells_of_itself(clips: list[Utterance]) -> None:
    found = windows(clips)
    assert found.hours == pytest.approx(12 / 3_600)
    assert len(found) == 4
    counts = found.durations()
    lasting = np.repeat(np.arange(len(counts)), counts)
    logs = np.log(lasting)
    assert torch.equal(_log_statistics(counts).float(), torch.tensor([logs.mean(), logs.std()]).float())
    said = [
        end - start
        for clip in clips[:3]
        for symbol, start, end in clip.extra["alignment"]
        if symbol != "SIL"
    ]  # fmt: skip
    assert lasting.sum() * HOP / RATE == pytest.approx(sum(said), abs=0.5 * HOP / RATE * len(said))
    assert lasting.min() >= 1
    assert found.scale_samples(0).size == 3 * RATE + -3 * RATE % (HOP * REDUCTION)


def test_a_batch_moves_to_a_device_whole(clips: list[Utterance]) -> None:
    moved = windows(clips).batch(0).to(torch.device("meta"))
    assert {getattr(moved, part).device.type for part in ("samples", "mask", "phonemes", "has_phonemes", "voices")} == {
        "meta"
    }


@pytest.mark.parametrize("odd", [None, 0.12345678, 3_000.5])
def test_segments_are_kept_bit_for_bit(odd: float | None) -> None:
    """In microseconds, and as they are from the first end on that is no whole number of them, or too late."""
    rows = [[0.31, 0.38, 1 / 3], [], [0.0001, 7.123456], [odd or 0.5, 3_001.0 if odd == 3_000.5 else 0.9], [2.5]]
    segments = _Segments(9)
    for row in rows:
        segments.append(row, [*range(len(row))])
    assert [segments.row(clip)[0].tolist() for clip in range(5)] == rows
    assert [segments.row(clip)[1].tolist() for clip in range(5)] == [[*range(len(row))] for row in rows]
    assert segments._ends.typecode == ("i" if odd is None else "d")
