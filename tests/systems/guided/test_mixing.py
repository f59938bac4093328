"""Voice conversion by mixing levels, with frames of the reference repeated or aligned."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vocable.audio import Audio
from vocable.data.manifest import read_manifest
from vocable.errors import AudioError, SpecError
from vocable.metrics.spectral import mel_cepstral_distance
from vocable.shapes import frames_for
from vocable.systems import registry as hub
from vocable.systems.guided.tokenizer import align_frames, mix_levels
from vocable.testing import speechlike
from vocable.tokens import Tokens, TokenSpec

SPEC = TokenSpec(sample_rate=16_000, hop=320, codebook_size=16, num_codebooks=4)


def clip(frames: int, seed: int, levels: int = 4) -> Tokens:
    ids = torch.randint(16, (1, levels, frames), generator=torch.Generator().manual_seed(seed))
    return Tokens(
        ids=ids, lengths=torch.tensor([frames]), samples=torch.tensor([320 * frames]), tokenizer="one",
        spec=TokenSpec(sample_rate=16_000, hop=320, codebook_size=16, num_codebooks=levels),
    )  # fmt: skip


@pytest.mark.parametrize(("frames", "available"), [(9, 4), (4, 9), (5, 5), (1, 3)])
@pytest.mark.parametrize("kept", [1, 2, 3])
def test_levels_come_from_source_and_reference_at_all_lengths(frames: int, available: int, kept: int) -> None:
    source, reference = clip(frames, 0), clip(available, 1)
    mixed = mix_levels(source, reference, kept)
    assert torch.equal(mixed.ids[:, :kept], source.ids[:, :kept])
    for frame in range(frames):
        assert torch.equal(mixed.ids[0, kept:, frame], reference.ids[0, kept:, frame % available])
    assert int(mixed.samples[0]) == int(source.samples[0])


def test_mixing_a_clip_with_itself_changes_nothing() -> None:
    source = clip(7, 0)
    assert torch.equal(mix_levels(source, source).ids, source.ids)


def test_clips_of_other_tokenizers_or_levels_are_refused() -> None:
    source = clip(4, 0)
    with pytest.raises(SpecError, match="different tokenizers or levels"):
        mix_levels(source, replace(clip(4, 1), tokenizer="two"))
    with pytest.raises(SpecError, match="different tokenizers or levels"):
        mix_levels(source, clip(4, 1, levels=3))
    with pytest.raises(SpecError, match="4 levels are kept: it must be 1 to 3"):
        mix_levels(source, clip(4, 1), 4)
    with pytest.raises(SpecError, match="the reference has no frames"):
        mix_levels(source, clip(0, 1))


@pytest.mark.parametrize("kept", [1, 3])
def test_named_frames_are_paired_with_the_sources(kept: int) -> None:
    source, reference, frames = clip(5, 0), clip(3, 1), torch.tensor([2, 0, 1, 1, 2])
    mixed = mix_levels(source, reference, kept, frames)
    assert torch.equal(mixed.ids[:, :kept], source.ids[:, :kept])
    assert torch.equal(mixed.ids[:, kept:], reference.ids[:, kept:, frames])


@pytest.mark.parametrize("frames", [[0, 1, 2], [0, 0, 0, 3], [0, -1, 0, 0]])
def test_frames_out_of_range_are_refused(frames: list[int]) -> None:
    with pytest.raises(SpecError, match="frames of the reference are named for 4 of the source: name one of its 3"):
        mix_levels(clip(4, 0), clip(3, 1), frames=torch.tensor(frames))


@pytest.mark.parametrize("samples", [529, 16_000, 16_001, 16_319, 20_000])
def test_a_clip_aligned_with_itself_is_paired_frame_by_frame(samples: int) -> None:
    sound = speechlike(samples)
    assert align_frames(sound, sound, SPEC).tolist() == list(range(frames_for(samples, 320)))


@pytest.mark.parametrize(("speed", "rate"), [(0.7, 16_000), (1.4, 16_000), (1.25, 24_000)])
def test_alignment_follows_a_recording_played_faster(speed: float, rate: int) -> None:
    sound = speechlike(32_000)
    changed = np.interp(np.arange(0, 31_999, speed), np.arange(32_000), sound.samples).astype(np.float32)
    frames = align_frames(sound, Audio(changed, 16_000).resample(rate), SPEC).numpy()
    available = frames_for(changed.size, 320)
    assert (frames.size, bool((np.diff(frames) >= 0).all()), bool((frames < available).all())) == (100, True, True)
    assert np.abs(frames - np.arange(100) / speed).mean() < 3


def test_recordings_that_cannot_be_aligned_are_refused() -> None:
    with pytest.raises(AudioError, match="the reference is shorter than 33 ms and cannot be aligned"):
        align_frames(speechlike(16_000), speechlike(500), SPEC)
    with pytest.raises(AudioError, match="the source is shorter than 33 ms"):
        align_frames(speechlike(1), speechlike(16_000), SPEC)
    with pytest.raises(SpecError, match="tokens that follow a text have no frames in time"):
        align_frames(speechlike(16_000), speechlike(16_000), replace(SPEC, hop=None))


def test_alignment_brings_real_sentences_nearer_to_the_voice(speech_data: Path) -> None:
    """With two speakers and one sentence, aligned levels have a smaller mel-cepstral distance than repeated ones."""
    codec = hub.load("guided-small")
    clips = read_manifest(speech_data / "emo_emodb_de" / "manifest.jsonl")
    gains = []
    for sentence in ("a02", "a04", "b01", "b02"):
        recordings = [one for one in clips if (one.value("sentence_id"), one.value("emotion")) == (sentence, "neutral")]
        assert recordings[0].speaker != recordings[-1].speaker
        source, voice = (Audio.read(one.audio_path, 16_000) for one in (recordings[0], recordings[-1]))
        tokens, reference = codec.encode(source), codec.encode(voice)
        frames = align_frames(source, voice, codec.spec)
        repeated, along = (
            mel_cepstral_distance(voice.samples, codec.decode(mixed).samples, 16_000, align="dtw").value
            for mixed in (mix_levels(tokens, reference), mix_levels(tokens, reference, 1, frames))
        )
        gains.append(repeated - along)
    assert min(gains) > 0
    assert sum(gains) / len(gains) > 0.5, "decibels"
