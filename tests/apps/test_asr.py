"""Phonemes, their times and their words: of scores that are known, and of a tokenizer."""

from typing import Any

import numpy as np
import pytest
import torch

import vocable
from tests.models import ready, ready_ctap, ready_speaker
from vocable.apps import asr
from vocable.apps.asr import Transcript, transcribe
from vocable.audio import Audio
from vocable.errors import SpecError
from vocable.interfaces import PhonemeRecognizer
from vocable.systems.ctap.config import CtapConfig
from vocable.systems.ctap.tokenizer import best_path
from vocable.testing import speechlike
from vocable.text.lexicon import Lexicon
from vocable.text.phonemes import SILENCE, PhonemeSet
from vocable.text.words import WordFinder
from vocable.tokens import Tokens, TokenSpec

FINDER = WordFinder(Lexicon("few", {"hi": ["HH AY"], "high": ["HH AY Z"], "is": ["IH Z"], "eyes": ["AY Z"]}))


class Heard:
    """Hears what it is told, a character of phonemes each 10 ms, at 25 tokens a second and 8 kHz."""

    spec = TokenSpec(sample_rate=8_000, hop=320, codebook_size=2)

    def __init__(self, path: str, phonemes: PhonemeSet | None = None, change_cost: float = 0.0) -> None:
        self.path, self.phonemes = path.split(), phonemes or PhonemeSet.arpabet()
        self.change_cost = change_cost

    def encode(self, audio: Audio, text: str | None = None) -> Tokens:
        size = audio.resample(8_000).samples.size
        frames = -(-size // 320)
        return Tokens(
            ids=torch.zeros(1, 1, frames, dtype=torch.int64), lengths=torch.tensor([frames]),
            samples=torch.tensor([size]), spec=self.spec, tokenizer="heard",
        )  # fmt: skip

    def phoneme_path(self, tokens: Tokens) -> torch.Tensor:
        scores = torch.full((4 * tokens.ids.shape[2], len(self.phonemes)), -9.0)
        for row, one in zip(scores, self.phonemes.ids(self.path), strict=True):
            row[one] = -1.0
        return best_path(scores, self.change_cost)


def clip(rows: float) -> Audio:
    return Audio(np.zeros(round(80 * rows), dtype=np.float32), 8_000)


def times(heard: Transcript) -> list[tuple[str, float, float]]:
    return [(one.symbol, pytest.approx(one.start), pytest.approx(one.end)) for one in heard.segments]


def test_the_public_name_is_this_function() -> None:
    assert vocable.transcribe is transcribe
    assert isinstance(Heard(""), PhonemeRecognizer)
    assert CtapConfig().change_cost == 0


def test_each_phoneme_has_its_stretch_and_silence_none() -> None:
    heard = transcribe(Heard("SIL SIL HH AY AY AY SIL Z"), clip(8), finder=FINDER)
    assert heard.phonemes == ["HH", "AY", "Z"]
    assert times(heard) == [("HH", 0.02, 0.03), ("AY", 0.03, 0.06), ("Z", 0.07, 0.08)]


def test_the_same_phoneme_behind_a_silence_is_another() -> None:
    assert times(transcribe(Heard("AY SIL AY AY"), clip(4), finder=FINDER)) == [("AY", 0, 0.01), ("AY", 0.02, 0.04)]


def test_nothing_is_heard_behind_the_end() -> None:
    """The last token is filled with silence: what it says of that was not said."""
    heard = transcribe(Heard("HH HH HH HH AY Z Z Z"), clip(4.5), finder=FINDER)
    assert times(heard) == [("HH", 0, 0.04), ("AY", 0.04, 0.045)]


def test_a_change_costs_what_the_model_says() -> None:
    assert transcribe(Heard("HH HH AY HH"), clip(4), finder=FINDER).phonemes == ["HH", "AY", "HH"]
    assert transcribe(Heard("HH HH AY HH", change_cost=5.0), clip(4), finder=FINDER).phonemes == ["HH"]


def test_words_end_at_pauses_and_not_at_the_gaps_before_stops() -> None:
    gap, pause = " SIL" * 4, " SIL" * 14
    whole = transcribe(Heard("HH AY AY" + gap + " Z"), clip(8), finder=FINDER)
    assert (whole.phonemes, whole.words) == (["HH", "AY", "Z"], ("high",))
    apart = transcribe(Heard("HH AY" + pause + " IH IH Z Z"), clip(20), finder=FINDER)
    assert apart.words == ("hi", "is")


@pytest.mark.slow
def test_words_are_of_the_dictionary_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = Heard("G UH D M AO R N IH NG W ER L D SIL SIL SIL")
    assert transcribe(spoken, clip(16)).words == ("good", "morning", "world")
    asr._installed_finder.cache_clear()
    monkeypatch.setattr(Lexicon, "installed", lambda: Lexicon("none", {}))
    assert transcribe(spoken, clip(16)).words is None
    assert transcribe(spoken, clip(16), finder=FINDER).words is not None
    asr._installed_finder.cache_clear()


def test_phonemes_of_another_alphabet_have_no_words() -> None:
    heard = transcribe(Heard("ʃ a a a", PhonemeSet((SILENCE, "a", "ʃ"))), clip(4), finder=FINDER)
    assert (heard.phonemes, heard.words) == (["ʃ", "a"], None)


def test_silence_says_nothing() -> None:
    assert transcribe(Heard("SIL SIL SIL SIL"), clip(4), finder=FINDER) == Transcript(segments=(), words=())


@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_of_a_tokenizer_what_its_tokens_say(rate: int) -> None:
    tokenizer, source = ready_ctap(), speechlike(8_192 * rate // 8_000, rate)  # whole tokens
    heard = transcribe(tokenizer, source, finder=FINDER)
    assert heard.phonemes == tokenizer.transcribe(tokenizer.encode(source))
    edges = [edge for one in heard.segments for edge in (one.start, one.end)]
    assert edges == sorted(edges)
    assert all(one.duration > 0 for one in heard.segments)
    assert edges[0] >= 0
    assert edges[-1] <= source.duration


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 257])
def test_clips_of_any_length(samples: int) -> None:
    source = speechlike(samples, 8_000)
    heard = transcribe(ready_ctap(), source, finder=FINDER)
    assert all(0 <= one.start < one.end <= source.duration for one in heard.segments)


@pytest.mark.parametrize("tokenizer", [lambda: ready("spectral"), ready_speaker, object])
def test_a_tokenizer_that_tells_no_phonemes_is_refused(tokenizer: Any) -> None:
    with pytest.raises(SpecError, match="recognizes no phonemes; take ctap-small or supervised-small"):
        transcribe(tokenizer(), speechlike(8_000))
