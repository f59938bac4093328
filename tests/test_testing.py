"""A tokenizer may refuse what is no speech, if it says so the same way alone and in a batch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.models import ready
from vocable import check_tokenizer
from vocable.audio import Audio
from vocable.errors import AudioError, TextError
from vocable.systems.guided.networks import GuidedModel
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.testing import _accepted, _clips, speechlike
from vocable.tokens import Tokens

SILENT = Audio(np.zeros(900, dtype=np.float32), 16_000)
CLIPS = [speechlike(700), SILENT, speechlike(2_000, seed=1), speechlike(3_333, seed=2)]


class Choosy(GuidedTokenizer):
    """Refuses clips quieter than ``least``, alone and in a batch."""

    least, error = 1e-6, AudioError

    def __init__(self, model: GuidedModel | None = None, **values: Any) -> None:
        super().__init__(model or ready("spectral").model, **values)

    def check(self, clip: Audio) -> None:
        if np.abs(clip.samples).max() < self.least:
            raise self.error("the clip is silent")

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        self.check(audio)
        return super().encode(audio, text)


class Rude(Choosy):
    """Refuses with an error of another kind."""

    error = ValueError


class Inconsistent(Choosy):
    """Takes in a batch what it refuses alone."""

    def encode_batch(self, clips: Sequence[Audio], texts: Sequence[str | None] | None = None) -> Tokens:
        return ready("spectral").encode_batch(clips, texts)


class Literate(GuidedTokenizer):
    """Needs a text, which must be one that it knows; its tokens are those of the sound."""

    def __init__(self, model: GuidedModel | None = None, **values: Any) -> None:
        super().__init__(model or ready("spectral").model, **values)

    encode_blocks = None  # type: ignore[assignment]  # a piece of a clip has no text

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        if not text:
            raise TextError("there is no text")
        if text != "six":
            raise TextError(f"{text!r} is not known")
        return ready("spectral").encode(audio, text)

    def decode(self, tokens: Tokens, voice: Audio | None = None) -> Audio:
        return ready("spectral").decode(tokens, voice)


class Forgetful(Literate):
    """Loses the texts of a batch."""

    def encode_batch(self, clips: Sequence[Audio], texts: Sequence[str | None] | None = None) -> Tokens:
        return replace(super().encode_batch(clips, texts), text=None)


class Deaf(Choosy):
    """Refuses nearly everything."""

    least = 10.0


class Broken(Choosy):
    """Refuses silence, and forgets the last frame of everything else."""

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        return super().encode(Audio(audio.samples[:-320], audio.sample_rate), text)


@pytest.mark.slow
def test_a_tokenizer_that_refuses_silence_keeps_the_laws() -> None:
    check_tokenizer(Choosy(), CLIPS)


def test_its_own_clips_are_taken_but_for_the_silent_one() -> None:
    tokenizer = Choosy()
    clips = _clips(tokenizer)
    taken = _accepted(tokenizer, clips)
    assert len(taken) == len(clips) - 1
    assert all(clip.samples.any() for clip in taken)


def test_a_tokenizer_that_takes_everything_is_checked_on_everything() -> None:
    assert _accepted(ready("spectral"), CLIPS) == CLIPS


def test_the_laws_hold_on_the_clips_that_are_taken() -> None:
    with pytest.raises(AssertionError, match="a clip of 700 samples"):
        check_tokenizer(Broken(), CLIPS)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            Rude,
            r"a clip of 900 samples at 16000 Hz: ValueError: the clip is silent; only an AudioError may reject a clip",
        ),
        (Inconsistent, "a clip of 900 samples at 16000 Hz raises an AudioError alone and not in a batch"),
        (Deaf, "only 0 of 4 clips are accepted"),
    ],
)
def test_a_refusal_that_is_none_of_speech_is_a_fault(kind: type[Choosy], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_tokenizer(kind(), CLIPS)


def test_half_the_clips_are_not_enough() -> None:
    with pytest.raises(AssertionError, match="only 2 of 4 clips are accepted"):
        check_tokenizer(Choosy(), [SILENT, *CLIPS[:3]])


@pytest.mark.slow
def test_a_tokenizer_that_needs_a_text_gets_it_in_every_law() -> None:
    check_tokenizer(Literate(), CLIPS, text="six")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"a clip of 700 samples at 16000 Hz: there is no text; pass text="),
        ("seven", r"'seven' is not known; pass another text= than 'seven'"),
    ],
)
def test_a_text_that_is_wanted_is_asked_for(text: str | None, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_tokenizer(Literate(), CLIPS, text=text)


def test_texts_are_part_of_what_a_clip_has_alone_as_in_a_batch() -> None:
    with pytest.raises(AssertionError, match="clip 0 in a batch of 4: texts differ"):
        check_tokenizer(Forgetful(), CLIPS, text="six")
