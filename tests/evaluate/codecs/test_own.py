"""Tokenizers as codecs: levels, bits, and one encoding for all levels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import ready
from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError
from vocable.evaluate.codecs.base import Codec
from vocable.evaluate.codecs.tokenizer import TokenizerCodec
from vocable.interfaces import Tokenizer
from vocable.testing import speechlike
from vocable.tokens import Tokens, TokenSpec, pack


class Loudness:
    """A tokenizer whose ids are sample values in steps that get finer, with a voice vector; 8 kHz."""

    spec = TokenSpec(sample_rate=8_000, hop=1, codebook_size=20, num_codebooks=3)
    digest = "sha256:loudness"

    def __init__(self) -> None:
        self.heard = 0

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        self.heard += 1
        samples = audio.resample(8_000).samples
        if not samples.any():
            raise AudioError("this is silent")
        left, ids = (torch.from_numpy(samples).double().clip(-0.99, 0.99) + 1) / 2, []
        for _ in range(3):
            ids.append((left * 20).long())
            left = left * 20 - ids[-1]
        count = torch.tensor([samples.size])
        voice = torch.zeros(1, 2)
        return Tokens(
            ids=torch.stack(ids)[None], lengths=count, samples=count, spec=self.spec, tokenizer=self.digest, voice=voice
        )

    def decode(self, tokens: Tokens, voice: Audio | None = None) -> Audio:
        place = torch.tensor([20.0**-level for level in range(1, tokens.ids.shape[1] + 1)], dtype=torch.float64)
        return Audio(((tokens.ids[0].double() * place[:, None]).sum(0) * 2 - 1).float().numpy(), 8_000)

    def encode_batch(self, clips: Sequence[Audio], texts: Sequence[str | None] | None = None) -> Tokens:
        raise AssertionError("a codec takes clips one by one and saves nothing")

    def decode_batch(self, tokens: Tokens) -> list[Audio]:
        raise AssertionError("a codec takes clips one by one and saves nothing")

    def save(self, folder: Path) -> None:
        raise AssertionError("a codec takes clips one by one and saves nothing")


def test_the_fake_is_a_tokenizer_and_its_codec_a_codec() -> None:
    assert isinstance(Loudness(), Tokenizer)
    assert isinstance(TokenizerCodec("loudness", Loudness()), Codec)


def test_levels_share_one_encoding_of_a_clip() -> None:
    tokenizer = Loudness()
    codecs = [TokenizerCodec("loudness", tokenizer, levels) for levels in (None, 2, 1)]
    clips = [Audio(np.append(0.5, speechlike(99, 8_000, seed).samples).astype(np.float32), 8_000) for seed in (1, 2)]
    for count, clip in enumerate(clips, start=1):
        errors = [float(np.abs(codec.code(clip, "").audio.samples - clip.samples).max()) for codec in codecs]
        assert errors[0] < 0.001 < errors[1] < 0.01 < errors[2] < 0.11
        assert tokenizer.heard == count
    other = Loudness()  # another tokenizer, another encoding, even of the same clip
    TokenizerCodec("other", other).code(clips[-1], "")
    assert other.heard == 1


def test_bits_are_those_of_the_token_file() -> None:
    clip = Audio(np.full(101, 0.5, dtype=np.float32), 8_000)
    for levels in (None, 2, 1):
        coded = TokenizerCodec("loudness", Loudness(), levels).code(clip, "")
        assert coded.tokens is not None
        assert coded.payload_bits == 8 * -(-101 * (levels or 3) * 5 // 8) + 2 * 32  # 20 entries take 5 bits; voice
        assert coded.payload_bits + (coded.container_bits or 0) == 8 * len(pack(coded.tokens))
        assert coded.tokens.spec.num_codebooks == (levels or 3)


def test_names_tell_levels_only_where_they_are_not_all() -> None:
    names = [TokenizerCodec("loudness", Loudness(), levels).name for levels in (None, 3, 2)]
    assert names == ["loudness", "loudness", "loudness@2"]
    assert TokenizerCodec("loudness", Loudness(), 3).levels is None
    assert TokenizerCodec("loudness", Loudness(), 2).family == "loudness"
    assert TokenizerCodec("loudness", Loudness(), 2).note == "2 of 3 levels, sha256:loudness"


@pytest.mark.parametrize("levels", [0, 4, -1])
def test_levels_that_are_not_there_are_refused(levels: int) -> None:
    with pytest.raises(ConfigError, match=f"loudness: {levels} levels were asked of a tokenizer that has 3"):
        TokenizerCodec("loudness", Loudness(), levels)


def test_a_refused_clip_is_an_audio_error_and_is_not_remembered() -> None:
    codec = TokenizerCodec("loudness", Loudness())
    silence = Audio(np.zeros(10, dtype=np.float32), 8_000)
    for _ in range(2):
        with pytest.raises(AudioError, match="silent"):
            codec.code(silence, "")


@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_a_real_tokenizer_keeps_rate_and_length(rate: int) -> None:
    tokenizer = ready("spectral")
    clip = speechlike(rate + 7, rate)
    coded = TokenizerCodec("tiny", tokenizer, 2).code(clip, "a.wav")
    assert (coded.audio.samples.size, coded.audio.sample_rate) == (rate + 7, rate)
    wanted = tokenizer.decode(tokenizer.encode(clip).keep_levels(2)).resample(rate).samples[: rate + 7]
    assert np.array_equal(coded.audio.samples, wanted)
