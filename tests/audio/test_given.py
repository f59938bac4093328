"""Recordings as users give them: audio, a path, samples with a rate; and voices that are too quiet to be one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vocable
from tests.models import ready, ready_ctap
from vocable.audio import Audio, as_audio, check_audible, find_audio
from vocable.corpus.speech import convert_files
from vocable.errors import ArgumentError, AudioError
from vocable.testing import speechlike

CLIP = speechlike(12_000)


def test_a_recording_may_be_a_path_or_samples_with_their_rate(tmp_path: Path) -> None:
    CLIP.write(tmp_path / "a.wav")
    codec = ready("spectral")
    expected = codec.encode(Audio.read(tmp_path / "a.wav"))
    assert codec.encode(tmp_path / "a.wav") == codec.encode(str(tmp_path / "a.wav")) == expected
    for pair in ((CLIP.samples, 16_000), [CLIP.samples, np.int64(16_000)], (torch.from_numpy(CLIP.samples), 16_000)):
        assert as_audio(pair) == CLIP
    assert codec.encode((CLIP.samples, 16_000)) == codec.encode(CLIP)
    assert codec.encode_batch([(CLIP.samples, 16_000), CLIP])[0] == codec.encode(CLIP)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (CLIP.samples, r"audio is .* \(ndarray\); pass Audio, the path of an audio file, or \(samples, sample_rate\)"),
        (torch.zeros(3), r"audio is .* \(Tensor\)"),
        (16_000, r"audio is 16000 \(int\)"),
        (None, r"audio is None"),
        (b"a.wav", r"audio is b'a.wav' \(bytes\)"),
        ((16_000, CLIP.samples), r"the sample rate is .*; pass \(samples, sample_rate\), in this order"),
        ((CLIP.samples, 16_000.0), "the sample rate is 16000.0"),
        ((CLIP.samples, True), "the sample rate is True"),
        ((CLIP.samples,), "pass Audio"),
    ],
)
def test_anything_else_is_told_what_to_pass(value: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        as_audio(value)


def test_audio_is_equal_by_contents_and_plays() -> None:
    same = Audio(CLIP.samples.copy(), 16_000)
    assert same == CLIP
    assert hash(same) == hash(CLIP)
    assert Audio(CLIP.samples, 8_000) != CLIP
    assert CLIP != "audio"
    assert repr(CLIP).startswith("Audio(0.75 s, 16000 Hz, peak ")
    assert CLIP._repr_html_().startswith('<audio controls src="data:audio/wav;base64,')
    long = Audio(np.zeros(40_000_000, dtype=np.float32), 16_000)
    assert len(long._repr_html_()) < 3_000_000
    assert "the first 66 s of 2500 s" in long._repr_html_()


@pytest.mark.parametrize("given", ["folder", b"folder", Path("folder")])
def test_a_str_is_not_a_list_of_files(given: Any) -> None:
    with pytest.raises(ArgumentError, match="pass a list"):
        find_audio(given)


QUIET = {
    "zeros": np.zeros(16_000, dtype=np.float32),
    "rounding noise": np.random.default_rng(0).uniform(-3e-5, 3e-5, 16_000).astype(np.float32),
    "a millivolt": 1e-3 * np.sin(np.arange(16_000, dtype=np.float32)),
    "an offset of nothing": np.full(16_000, 1e-4, dtype=np.float32),
}


@pytest.mark.parametrize("name", QUIET)
def test_a_voice_that_cannot_be_heard_is_refused(name: str, tmp_path: Path) -> None:
    voice = Audio(QUIET[name], 16_000)
    ctap, codec = ready_ctap(), ready("spectral")
    tokens = ctap.encode(CLIP)
    for use in (
        lambda: ctap.voice_of(voice), lambda: ctap.decode(tokens, voice), lambda: vocable.convert(ctap, CLIP, voice),
        lambda: vocable.convert(codec, CLIP, voice),
        lambda: vocable.synthesize(ctap, None, voice, phonemes=["HH", "AY"]),
    ):  # fmt: skip
        with pytest.raises(AudioError, match=r"the voice.* is silent"):
            use()
    for folder, clip in (("in", CLIP), ("voice", voice)):
        (tmp_path / folder).mkdir()
        clip.write(tmp_path / folder / "a.wav")
    with pytest.raises(AudioError, match=f"{tmp_path / 'voice' / 'a.wav'}: the voice is silent"):
        convert_files(codec, [tmp_path / "in" / "a.wav"], tmp_path / "voice" / "a.wav", tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


def test_a_quiet_voice_is_heard() -> None:
    quiet = Audio(CLIP.samples * (0.01 / np.abs(CLIP.samples).max()), 16_000)
    check_audible(quiet, "the voice")
    assert ready_ctap().voice_of(quiet).shape == (72,)


def test_a_recording_whose_middle_is_silent_is_no_voice() -> None:
    """The middle is what the voice vector is made from."""
    gap = Audio(np.concatenate([CLIP.samples, np.zeros(160_000, np.float32), CLIP.samples]), 16_000)
    with pytest.raises(AudioError, match="the voice, in the middle of the recording, is silent"):
        ready_ctap().voice_of(gap)
