"""Voice conversion: the source's words and length, the other's voice, or a clear refusal."""

import numpy as np
import pytest
import torch

import vocable
from tests.models import ready, ready_ctap, ready_speaker
from vocable.apps.vc import Mix, convert
from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError, SpecError
from vocable.systems.guided.tokenizer import align_frames, mix_levels
from vocable.testing import speechlike

SOURCE = speechlike(11_000, 8_000)
ANN, BOB = speechlike(8_000, 8_000, seed=1), speechlike(24_000, 16_000, seed=2)


def test_the_public_name_is_this_function() -> None:
    assert vocable.convert is convert


def test_as_long_as_the_source_at_the_models_rate() -> None:
    for source in (SOURCE, speechlike(22_001, 16_000), speechlike(1, 8_000)):
        made = convert(ready_ctap(), source, ANN)
        assert (made.sample_rate, made.samples.size) == (8_000, source.resample(8_000).samples.size)
    assert np.abs(convert(ready_ctap(), SOURCE, ANN).samples).max() > 1e-3


def test_the_words_are_the_sources_and_the_voice_is_the_others() -> None:
    """The spectra are those of the source's tokens beside the other's voice."""
    tokenizer = ready_ctap()
    tokens = tokenizer.encode(SOURCE)
    wanted = tokenizer.vocoder.render(tokenizer.spectra(tokens, tokenizer.voice_of(BOB)[None]))
    assert np.array_equal(convert(tokenizer, SOURCE, BOB).samples, wanted[: SOURCE.samples.size])


def test_another_voice_other_samples_and_another_source_others_again() -> None:
    tokenizer = ready_ctap()
    ann, bob = (convert(tokenizer, SOURCE, voice).samples for voice in (ANN, BOB))
    assert np.abs(ann - bob).max() > 1e-3
    assert np.abs(ann - convert(tokenizer, speechlike(11_000, 8_000, seed=5), ANN).samples).max() > 1e-3
    assert np.array_equal(ann, convert(tokenizer, SOURCE, ANN).samples)


def test_into_ones_own_voice_is_coding() -> None:
    tokenizer = ready_ctap()
    assert np.array_equal(
        convert(tokenizer, SOURCE, SOURCE).samples, tokenizer.decode(tokenizer.encode(SOURCE)).samples
    )


def test_there_and_back_nothing_is_learnt() -> None:
    tokenizer = ready_ctap()
    before = {name: value.clone() for name, value in tokenizer.model.state_dict().items()}
    convert(tokenizer, SOURCE, ANN)
    assert all(torch.equal(value, before[name]) for name, value in tokenizer.model.state_dict().items())


def test_the_guided_codec_mixes_levels() -> None:
    codec = ready("spectral")
    source, voice = speechlike(16_000), speechlike(9_000, seed=1)
    made = convert(codec, source, voice)
    mixed = mix_levels(codec.encode(source), codec.encode(voice))
    assert np.array_equal(made.samples, codec.decode(mixed).samples)
    assert torch.equal(mixed.ids[:, :1], codec.encode(source).ids[:, :1])
    coded = codec.decode(codec.encode(source)).samples
    assert np.array_equal(convert(codec, source, source).samples, coded)
    assert np.abs(made.samples - coded).max() > 1e-3


def test_the_guided_codec_keeps_as_many_levels_as_asked_and_aligns() -> None:
    codec = ready("spectral")
    source, voice = speechlike(16_000), speechlike(9_000, seed=1)
    tokens, reference = codec.encode(source), codec.encode(voice)
    frames = align_frames(source, voice, codec.spec)
    for levels in (1, 2, 3):
        made = convert(codec, source, voice, Mix(levels=levels, align="dtw"))
        assert np.array_equal(made.samples, codec.decode(mix_levels(tokens, reference, levels, frames)).samples)
        plain = convert(codec, source, voice, Mix(levels=levels))
        assert np.array_equal(plain.samples, codec.decode(mix_levels(tokens, reference, levels)).samples)
        assert np.abs(made.samples - plain.samples).max() > 1e-3


def test_the_voice_gives_levels_up_to_the_one_asked_for_and_what_lies_above_is_left_out() -> None:
    """SpeechTokenizer's 2 … k: more of the voice's levels, more of its voice, and less of the words."""
    codec = ready("spectral")
    source, voice = speechlike(16_000), speechlike(9_000, seed=1)
    tokens, reference = codec.encode(source), codec.encode(voice)
    made = {}
    for last in (2, 3, 4):
        mixed = mix_levels(tokens.keep_levels(last), reference.keep_levels(last))
        assert mixed.ids.shape[1] == last
        made[last] = convert(codec, source, voice, Mix(upto=last)).samples
        assert np.array_equal(made[last], codec.decode(mixed).samples)
    assert np.array_equal(made[4], convert(codec, source, voice).samples)
    assert np.abs(made[2] - made[3]).max() > 1e-3
    assert convert(codec, source, voice, Mix(levels=2, upto=3)).samples.shape == source.samples.shape


def test_a_mix_that_cannot_be_is_refused() -> None:
    with pytest.raises(SpecError, match="upto is 5: this codec has 4 levels"):
        convert(ready("spectral"), SOURCE, ANN, Mix(upto=5))
    with pytest.raises(ConfigError, match="upto is 2: it must be greater than levels, 2"):
        Mix(levels=2, upto=2)
    with pytest.raises(SpecError, match="levels is 4: of 4 levels at least one must be the voice's"):
        convert(ready("spectral"), SOURCE, ANN, Mix(levels=4))
    with pytest.raises(
        SpecError, match="a CtapTokenizer keeps the voice beside its tokens and mixes no levels: leave 'levels'"
    ):
        convert(ready_ctap(), SOURCE, ANN, Mix())
    with pytest.raises(ConfigError, match="levels is 0: Input should be greater than or equal to 1"):
        Mix(levels=0)
    with pytest.raises(ConfigError, match="align is 'hmm': Input should be 'repeat' or 'dtw'"):
        Mix(align="hmm")  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0.01, 0.3, 0.499])
def test_a_voice_that_is_too_short_is_refused(seconds: float) -> None:
    short = Audio(ANN.samples[: int(seconds * 8_000)], 8_000)
    with pytest.raises(AudioError, match=rf"the voice is {seconds:.2f} s long, at least 0.5 s are needed; give"):
        convert(ready_ctap(), SOURCE, short)
    assert convert(ready_ctap(), SOURCE, Audio(ANN.samples[:4_000], 8_000)).samples.size == SOURCE.samples.size


@pytest.mark.parametrize("tokenizer", [ready_speaker, object])
def test_a_tokenizer_that_cannot_is_refused(tokenizer: type) -> None:
    with pytest.raises(SpecError, match=r"cannot convert voices; take guided-small or ctap-small or supervised-small"):
        convert(tokenizer(), SOURCE, ANN)
