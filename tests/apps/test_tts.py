"""Text to speech: equal seeds, equal samples; what is said, and in whose voice, is heard; or a clear refusal."""

from typing import Any

import numpy as np
import pytest
import torch

import vocable
from tests.models import ready, ready_ctap, ready_speaker
from vocable.apps.tts import synthesize
from vocable.audio import Audio
from vocable.errors import ArgumentError, AudioError, CheckpointError, SpecError, TextError
from vocable.testing import speechlike
from vocable.text.lexicon import Lexicon
from vocable.text.normalize import PAUSES, to_words
from vocable.text.phonemes import SILENCE, PhonemeSet
from vocable.text.pronounce import Pronouncer, Pronunciation

ANN, BOB = speechlike(8_000, 8_000, seed=1), speechlike(24_000, 16_000, seed=2)
HELLO = ["HH", "AH", "L", "OW"]
GERMAN = PhonemeSet(("SIL", *sorted({"ʃ", "øː", "n", "a"})))


class Few:
    """Says what a few lines of a dictionary say."""

    name = "few"

    def __init__(self, **words: str) -> None:
        self.lexicon = Lexicon(self.name, {word: [phones] for word, phones in words.items()})

    def phones(self, text: str) -> list[Pronunciation]:
        return [
            Pronunciation(text=word, phones=(SILENCE,), source="mark")
            if word in PAUSES
            else Pronunciation(text=word, phones=self.lexicon.lookup(word) or (), source="dictionary")
            for word in to_words(text, self.lexicon.words)
        ]


ENGLISH = Few(hello="HH AH L OW", world="W ER L D")


def said(text: str | None = "hello", voice: Audio = ANN, **choice: Any) -> np.ndarray:
    return synthesize(ready_ctap(), text, voice, **({"pronouncer": ENGLISH} | choice)).samples


def test_the_public_name_is_this_function() -> None:
    assert vocable.synthesize is synthesize
    assert isinstance(ENGLISH, Pronouncer)


def test_equal_seeds_equal_samples_and_another_others() -> None:
    one = said(seed=3)
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    assert np.abs(one).max() > 1e-3
    assert np.array_equal(one, said(seed=3))
    assert not np.array_equal(one, said(seed=4))
    assert np.array_equal(said(), said(seed=0))


def test_text_and_voice_are_heard() -> None:
    assert not np.array_equal(said("hello"), said("world"))
    assert not np.array_equal(said(voice=ANN), said(voice=BOB))


def test_the_voice_is_heard_in_the_decoder_too() -> None:
    """The same tokens in two voices are two sounds."""
    tokenizer = ready_ctap()
    tokens = tokenizer.speak(["SIL", *HELLO, "SIL"], ANN)
    assert np.array_equal(tokenizer.decode(tokens).samples, said())
    assert np.abs(tokenizer.decode(tokens, BOB).samples - said()).max() > 1e-3


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Hello", "SIL HH AH L OW SIL"),
        ("hello world", "SIL HH AH L OW W ER L D SIL"),
        ("Hello, world!", "SIL HH AH L OW SIL W ER L D SIL"),
        ("Hello -- (world)...", "SIL HH AH L OW SIL W ER L D SIL"),
    ],
)
def test_silence_at_both_ends_and_once_at_pauses(text: str, wanted: str) -> None:
    tokenizer = ready_ctap()
    spoken = tokenizer.decode(tokenizer.speak(wanted.split(), ANN, seed=5))
    assert np.array_equal(said(text, seed=5), spoken.samples)


def test_given_phonemes_win() -> None:
    for given in (HELLO, ["SIL", *HELLO, "SIL"], ["hh", "AH0", "L", "OW1", "SIL", "SIL"]):
        assert np.array_equal(said("world", phonemes=given), said("hello"))
        assert np.array_equal(said(None, phonemes=given, pronouncer=None), said("hello"))
    pause = said(None, phonemes=[*HELLO, "SIL", "W", "ER", "L", "D"])
    assert np.array_equal(pause, said("hello, world"))
    assert not np.array_equal(pause, said("hello world"))


@pytest.mark.slow
def test_english_is_the_default() -> None:
    wanted = ["G", "UH", "D", "M", "AO", "R", "N", "IH", "NG", "SIL", "W", "ER", "L", "D"]
    assert np.array_equal(said("Good morning, world.", pronouncer=None), said(phonemes=wanted))


def test_nothing_is_learnt_on_the_way() -> None:
    tokenizer = ready_ctap()
    before = {name: value.clone() for name, value in tokenizer.model.state_dict().items()}
    said()
    assert all(torch.equal(value, before[name]) for name, value in tokenizer.model.state_dict().items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text '': there is nothing in it to say; give words"),
        (" \n", "there is nothing in it to say"),
        ("...", "there is nothing in it to say"),
        (
            "hello 😀",
            r"text 'hello 😀': '😀' \(U\+1F600, grinning face\) cannot be said in English; write it out in letters",
        ),
        ("привет", r"'п' \(U\+043F, cyrillic small letter pe\) cannot be said in English"),
        (None, "there is nothing to synthesize: pass a text, or phonemes"),
    ],
)
def test_a_text_that_cannot_be_said_is_refused(text: str | None, message: str) -> None:
    with pytest.raises(TextError, match=message):
        said(text)


@pytest.mark.parametrize(
    ("phonemes", "message"),
    [
        ([], "phonemes: there is nothing in .* to say; give phonemes"),
        (["SIL", "SIL"], "phonemes: there is nothing in .* to say"),
        (["HH", "ʃ"], "phonemes: phoneme 2 of 2, 'ʃ', is not among the 40 of this set"),
    ],
)
def test_phonemes_that_cannot_be_said_are_refused(phonemes: Any, message: str) -> None:
    with pytest.raises(TextError, match=message):
        said("hello", phonemes=phonemes)


def test_phonemes_are_a_list() -> None:
    with pytest.raises(ArgumentError, match=r"phonemes is 'HH AH' \(str\); pass a list of str"):
        said("hello", phonemes="HH AH")


def test_the_models_inventory_decides() -> None:
    foreign = ready_ctap(GERMAN.symbols)
    with pytest.raises(TextError, match=r"phonemes are not ARPAbet \(a, n, øː, ʃ, …\), .* pass phonemes of the"):
        synthesize(foreign, "hello", ANN)
    with pytest.raises(TextError, match="text 'hello': phoneme 2 of 6, 'HH', is not among the 5 of this set"):
        synthesize(foreign, "hello", ANN, pronouncer=ENGLISH)
    one = synthesize(foreign, "schon", ANN, pronouncer=Few(schon="ʃ øː n"))
    assert np.array_equal(one.samples, synthesize(foreign, None, ANN, phonemes=["ʃ", "øː", "n"]).samples)


def test_a_part_of_arpabet_says_what_it_can() -> None:
    few = ready_ctap(("SIL", *sorted(set(HELLO) - {"SIL"})))
    assert synthesize(few, "hello", ANN, pronouncer=ENGLISH).duration > 0
    with pytest.raises(TextError, match="text 'world': phoneme 2 of 6, 'W', is not among the 5 of this set"):
        synthesize(few, "world", ANN, pronouncer=ENGLISH)


def test_a_voice_that_is_too_short_is_refused() -> None:
    with pytest.raises(AudioError, match=r"the voice is 0.30 s long, at least 0.5 s are needed; give a longer"):
        said(voice=Audio(ANN.samples[:2_400], 8_000))


def test_a_model_that_is_not_trained_to_speak_is_refused() -> None:
    with pytest.raises(CheckpointError, match="connector is not trained: it encodes and decodes, but reads no text"):
        synthesize(ready_ctap(trained=False), "hello", ANN, pronouncer=ENGLISH)


@pytest.mark.parametrize("tokenizer", [lambda: ready("spectral"), ready_speaker, object])
def test_a_tokenizer_that_does_not_speak_is_refused(tokenizer: Any) -> None:
    with pytest.raises(SpecError, match="synthesizes no speech from text; take ctap-small"):
        synthesize(tokenizer(), "hello", ANN)
