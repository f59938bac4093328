"""VQ-CTAP in use: the laws, voices, speech that nobody said, phonemes read from tokens, and files."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import ready_ctap
from vocable import check_tokenizer
from vocable.audio import Audio
from vocable.errors import AudioError, CheckpointError, ShapeError, SpecError, TextError
from vocable.interfaces import Embedding, Tokenizer
from vocable.systems.ctap import recipe as ctap
from vocable.systems.ctap.config import CtapCodebookConfig
from vocable.systems.ctap.networks import CtapModel
from vocable.systems.ctap.tokenizer import CtapTokenizer, best_path
from vocable.systems.registry import load
from vocable.testing import speechlike
from vocable.tokens import Tokens
from vocable.vocoders.scaled import MIN_LEVEL

RATE, HOP = 8_000, 256
SAID = ["SIL", "HH", "AH", "L", "OW", "SIL"]


@pytest.fixture(scope="module")
def tokenizer() -> CtapTokenizer:
    return ready_ctap()


def clip(seconds: float = 1.5, seed: int = 0) -> Audio:
    return speechlike(round(seconds * RATE), RATE, seed)


@pytest.mark.slow
def test_every_law(tokenizer: CtapTokenizer) -> None:
    check_tokenizer(tokenizer)
    assert isinstance(tokenizer, Tokenizer)
    assert isinstance(tokenizer, Embedding)


def test_a_codebook_without_entries_keeps_the_laws(tmp_path: Path) -> None:
    sizes = replace(ctap.tiny().model.transcoder, codebook=CtapCodebookConfig(size=32, kind="fsq", fsq_levels=(8, 4)))
    torch.manual_seed(0)
    tokenizer = CtapTokenizer(CtapModel(replace(ctap.tiny().model, transcoder=sizes)), "griffin-lim")
    tokenizer.save(tmp_path)
    again = load(tmp_path)
    assert again.digest == tokenizer.digest
    assert torch.equal(again.encode(clip()).ids, tokenizer.encode(clip()).ids)


def test_tokens_use_the_codebook_and_the_voice_is_beside_them(tokenizer: CtapTokenizer) -> None:
    tokens = tokenizer.encode(clip(6.0), "hello")
    assert len(tokens.ids.unique()) > 4
    assert tokens.text == ("hello",)
    assert tokens.voice.shape == (1, tokenizer.config.voice_size) == (1, 8 + 2 * 32)
    assert torch.equal(tokens.voice[0], tokenizer.voice_of(clip(6.0)))


def test_windows_give_what_one_pass_over_a_window_gives(tokenizer: CtapTokenizer) -> None:
    """The grid: 28 tokens are kept of 40, those before the clip and behind it are no real ones."""
    audio = clip(28 * HOP / RATE)
    model = tokenizer.model.eval()
    samples = torch.zeros(1, 40 * HOP)
    samples[0, 6 * HOP : 34 * HOP] = torch.from_numpy(audio.samples)
    mask = (torch.arange(40) >= 6) & (torch.arange(40) < 34)
    with torch.inference_mode():
        wanted = model.transcoder.speech_encoder(model.frames(samples), mask[None])[:, 6:34]
    assert torch.equal(tokenizer.latents(audio), wanted)


def test_what_is_far_away_changes_no_token(tokenizer: CtapTokenizer) -> None:
    """A long clip costs the memory of a window: a token sees no further than its window."""
    one, other = clip(5.0), clip(5.0, seed=3)
    mixed = Audio(np.concatenate([one.samples[: 2 * RATE], other.samples[2 * RATE :]]), RATE)
    same = (tokenizer.latents(one) == tokenizer.latents(mixed)).all(2)[0]
    assert bool(same[:28].all()), "the first window ends before the change"
    assert not bool(same[-28:].any())


# ---- voices ---------------------------------------------------------------------------------------------------------


def test_what_is_decoded_has_the_long_term_average_spectrum_of_the_voice(tokenizer: CtapTokenizer) -> None:
    """Whatever the tokens say: a voice's level and colour are its own, over the whole clip and not in each window."""
    model, tokens = tokenizer.model, tokenizer.encode(clip(3.0))
    other = Audio(0.1 * clip(2.0, seed=4).samples, RATE)
    for audio in (clip(3.0), other):
        voice = tokenizer.voice_of(audio)[None]
        made = model.standardize(tokenizer.spectra(tokens, voice)[None]).transpose(1, 2)
        middle, _ = voice[:, 8:].chunk(2, dim=1)
        there, _ = model.average_spectrum(made).chunk(2, dim=1)
        audible = middle > MIN_LEVEL + 0.5  # what is cut off below has no mean to be brought to
        assert float((there - middle)[audible].abs().mean()) < 0.1


def test_a_transcoder_that_is_not_instance_norm_keeps_the_paper_s_voice() -> None:
    sizes = ctap.tiny().model
    torch.manual_seed(0)
    plain = CtapTokenizer(CtapModel(replace(sizes, transcoder=replace(sizes.transcoder, instance_norm=False))))
    tokens = plain.encode(clip())
    assert tokens.voice.shape == (1, 8) == (1, plain.config.voice_size)
    assert plain.decode(tokens).samples.size == clip().samples.size


def test_another_voice_says_the_same_tokens(tokenizer: CtapTokenizer) -> None:
    tokens, other = tokenizer.encode(clip()), clip(2.0, seed=4)
    own, changed = tokenizer.decode(tokens), tokenizer.decode(tokens, voice=other)
    assert own.samples.size == changed.samples.size
    assert not np.allclose(own.samples, changed.samples)
    borrowed = replace(tokens, voice=tokenizer.voice_of(other)[None])
    assert np.array_equal(tokenizer.decode(borrowed).samples, changed.samples)


def test_half_a_second_of_a_voice_is_enough_and_less_is_not(tokenizer: CtapTokenizer) -> None:
    assert tokenizer.voice_of(clip(0.5)).shape == tokenizer.voice_of(speechlike(22_050, 44_100)).shape == (72,)
    for short in (clip(0.49), clip(1 / RATE)):
        with pytest.raises(AudioError, match=r"the voice is 0\.\d\d s long, at least 0.5 s are needed; give a longer"):
            tokenizer.voice_of(short)
        with pytest.raises(AudioError, match="the voice is"):
            tokenizer.decode(tokenizer.encode(clip()), voice=short)
        with pytest.raises(AudioError, match="the voice is"):
            tokenizer.speak(SAID, short)


def test_a_voice_is_heard_in_the_middle(tokenizer: CtapTokenizer) -> None:
    wanted = 60 * 64  # samples: 60 spectra
    long = clip(4.0)
    first = (long.samples.size - wanted) // 2
    middle = Audio(long.samples[first : first + wanted], RATE)
    assert torch.equal(tokenizer.voice_of(long), tokenizer.encode(middle).voice[0])


@pytest.mark.parametrize("voice", [None, torch.zeros(1, 5), torch.full((1, 8), float("nan"))], ids=str)
def test_tokens_without_a_usable_voice_need_one(tokenizer: CtapTokenizer, voice: torch.Tensor | None) -> None:
    tokens = replace(tokenizer.encode(clip()), voice=voice)
    with pytest.raises(SpecError, match="carry no usable voice; pass `voice`, a recording of the speaker to decode as"):
        tokenizer.decode(tokens)
    assert tokenizer.decode(tokens, voice=clip(1.0, seed=2)).samples.size == clip().samples.size


# ---- out of nothing, and into phonemes ------------------------------------------------------------------------------


def test_speech_that_nobody_said_is_drawn_by_its_seed(tokenizer: CtapTokenizer) -> None:
    one, again, other = (tokenizer.speak(SAID, clip(), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.ids, again.ids)
    assert one.ids.shape != other.ids.shape or not torch.equal(one.ids, other.ids)
    assert torch.equal(one.voice[0], tokenizer.voice_of(clip()))
    assert tokenizer.decode(one).samples.size == int(one.samples[0]) == one.ids.shape[2] * HOP
    torch.manual_seed(5)
    assert torch.equal(tokenizer.speak(SAID, tokenizer.voice_of(clip())).ids, one.ids)


def test_durations_can_be_said(tokenizer: CtapTokenizer) -> None:
    voice = tokenizer.voice_of(clip())
    tokens = tokenizer.speak(SAID, voice, durations=[3, 4, 0, 6, 7, 2])
    assert tokens.ids.shape == (1, 1, 6)  # 22 spectra, four to a token
    assert not torch.equal(tokenizer.speak(SAID, voice, seed=1, durations=[3, 4, 0, 6, 7, 2]).ids, tokens.ids)
    for spectra in ([1, 2], [], [0] * 6, [-1, 2, 2, 2, 2, 2]):
        with pytest.raises(TextError, match=f"6 phonemes with {len(spectra)} durations: give one for each"):
            tokenizer.speak(SAID, voice, durations=spectra)
    with pytest.raises(TextError, match="there are no phonemes to say"):
        tokenizer.speak([], voice, durations=[])


def test_before_it_is_trained_it_does_not_speak() -> None:
    tokenizer = ready_ctap(trained=False)
    with pytest.raises(
        CheckpointError, match="connector is not trained: it encodes and decodes, but reads no text yet"
    ):
        tokenizer.speak(SAID, clip())
    assert dict(tokenizer.describe()[0].rows)["text to speech"] == "not trained yet"
    assert tokenizer.encode(clip()).ids.shape == (1, 1, 47)


def test_what_cannot_be_said(tokenizer: CtapTokenizer) -> None:
    with pytest.raises(TextError, match="there are no phonemes to say"):
        tokenizer.speak([], clip())
    with pytest.raises(TextError, match="phoneme 2 of 2, 'QQ', is not among the 40"):
        tokenizer.speak(["AH", "QQ"], clip())


def test_phonemes_are_the_best_at_each_spectrum_without_repeats_and_silence(tokenizer: CtapTokenizer) -> None:
    tokens = tokenizer.encode(clip(3.0))
    scores = tokenizer.phoneme_scores(tokens)
    assert scores.shape == (4 * tokens.ids.shape[2], 40)
    assert torch.allclose(scores.exp().sum(1), torch.ones(len(scores)), atol=1e-5)
    found, last = [], -1
    for one in scores.argmax(1).tolist():
        if one != last and one:
            found.append(tokenizer.phonemes.symbols[one])
        last = one
    assert tokenizer.transcribe(tokens) == found
    assert len(found) > 1


def test_changes_that_cost_something_are_fewer(tokenizer: CtapTokenizer) -> None:
    tokens = tokenizer.encode(clip(3.0))
    dear = CtapTokenizer(tokenizer.model, "griffin-lim")
    dear.config = replace(dear.config, change_cost=50.0)
    assert len(dear.transcribe(tokens)) < len(tokenizer.transcribe(tokens))


@pytest.mark.parametrize("cost", [0.0, 0.3, 1.0, 5.0])
def test_the_best_path_is_the_best_of_all(cost: float) -> None:
    scores = torch.randn(6, 3, generator=torch.Generator().manual_seed(2)).log_softmax(1)

    def worth(path: list[int]) -> float:
        changes = sum(one != two for one, two in pairwise(path))
        return float(scores[torch.arange(6), torch.tensor(path)].sum()) - cost * changes

    every = torch.cartesian_prod(*[torch.arange(3)] * 6).tolist()
    assert worth(best_path(scores, cost).tolist()) == pytest.approx(max(map(worth, every)), abs=1e-5)


# ---- the space, foreigners and files --------------------------------------------------------------------------------


def test_vectors_are_the_codebooks_and_zero_behind_a_clips_end(tokenizer: CtapTokenizer) -> None:
    tokens = tokenizer.encode_batch([clip(1.0), clip(2.0, seed=1)])
    vectors = tokenizer.embed(tokens)
    [book] = tokenizer.model.transcoder.quantizer.codebooks
    length = int(tokens.lengths[0])
    assert torch.equal(vectors[0, :length], book.lookup(tokens.ids[0, 0, :length]).detach())
    assert not vectors[0, length:].any()
    assert torch.equal(tokenizer.embed(tokens, [1]), vectors)
    with pytest.raises(SpecError, match=r"levels \[2\] were asked of tokens that have level 1 alone"):
        tokenizer.embed(tokens, [2])


def test_foreign_tokens_are_refused_everywhere(tokenizer: CtapTokenizer) -> None:
    tokens = tokenizer.encode(clip())
    foreign = replace(tokens, tokenizer="sha256:other")
    for use in (tokenizer.decode, tokenizer.embed, tokenizer.phoneme_scores, tokenizer.transcribe):
        with pytest.raises(SpecError, match="load the one that made them"):
            use(foreign)
    with pytest.raises(SpecError, match="this tokenizer makes"):
        tokenizer.decode(replace(tokens, spec=replace(tokens.spec, hop=128)))
    with pytest.raises(SpecError, match="one clip, these tokens hold 2; use decode_batch"):
        tokenizer.decode(tokenizer.encode_batch([clip(), clip(0.7)]))
    with pytest.raises(ShapeError, match="needs at least one clip"):
        tokenizer.encode_batch([])


def test_tokens_and_model_come_back_from_files(tokenizer: CtapTokenizer, tmp_path: Path) -> None:
    tokens = tokenizer.speak(SAID, clip())
    tokens.write(tmp_path / "a.tokens")
    tokenizer.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert isinstance(again, CtapTokenizer)
    assert again.config == tokenizer.config
    assert np.array_equal(again.decode(Tokens.read(tmp_path / "a.tokens")).samples, tokenizer.decode(tokens).samples)
    assert torch.equal(again.speak(SAID, clip()).ids, tokens.ids)
    tokenizer.save(tmp_path / "half", half=True)
    half = load(tmp_path / "half")
    assert half.digest != tokenizer.digest
    assert half.encode(clip()).ids.shape == tokenizer.encode(clip()).ids.shape


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("transcoder", "width", 64), ("transcoder", "width", 32.0), ("transcoder", "speech_blocks", 10**9),
     ("connector", "steps", 20), ("mel", "bins", "many"),
     ("transcoder", "codebook", "none"), ("transcoder", "surprise", 1)],
)  # fmt: skip
def test_a_hostile_model_is_refused(
    tokenizer: CtapTokenizer, tmp_path: Path, part: str, name: str, value: object
) -> None:
    tokenizer.save(tmp_path)
    card = json.loads((tmp_path / "model.json").read_text())
    card["config"][part][name] = value
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="copy the model again"):
        load(tmp_path)


def test_facts(tokenizer: CtapTokenizer) -> None:
    model, book = tokenizer.describe()
    rows = dict(model.rows)
    assert rows["digest"] == tokenizer.digest
    assert rows["text to speech"] == "trained for 1 steps"
    assert rows["recognition"] == "best at each spectrum"
    assert rows["samples to a token"] == "256"
    assert book.rows


def test_a_model_stored_as_float16_still_reads(tmp_path: Path) -> None:
    """Its noise schedule is near 1, where float16 has steps of 0.0005: it must not be stored."""
    whole = ready_ctap(trained=True)
    whole.save(tmp_path / "half", half=True)
    half = load(tmp_path / "half")
    assert not [name for name in whole.model.state_dict() if name.endswith("alphas_cumprod")]
    assert torch.equal(half.model.connector.alphas_cumprod, whole.model.connector.alphas_cumprod)
    voice = torch.zeros(whole.config.voice_size)
    given = half.phoneme_latents(torch.arange(8) % len(half.phonemes))
    mask = torch.ones(given.shape[:2], dtype=torch.bool)
    assert bool(half.model.connector.sample(given, voice[None, :8], mask, seeds=[0]).isfinite().all())
    assert len(half.speak(half.phonemes.names([1, 2, 3]), voice, seed=0)) == 1
