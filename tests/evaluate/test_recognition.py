"""Error rates of recognizers: what is counted, and what is undefined with its reason."""

from collections.abc import Iterable

import numpy as np
import pytest

from vocable.audio import Audio
from vocable.evaluate.card import Column, Entry
from vocable.evaluate.judges.find import find_scorer
from vocable.evaluate.pairs import Pair, ScoredClip
from vocable.evaluate.recognition import (
    count_against_recording,
    count_against_text,
    count_phones_against_recording,
    count_phones_against_text,
    describe_failures,
)
from vocable.interfaces import Recognition
from vocable.metrics import text
from vocable.metrics.score import Figure, summarize
from vocable.testing import speechlike


class Scripted:
    """A recognizer of English words and phones that returns what stands in its script, by the sign of the clip."""

    name, language = "scripted-1", "en"

    def __init__(self, recording: str, decoded: str, is_loop: bool = False) -> None:
        self.texts, self.is_loop = (recording, decoded), is_loop

    def transcribe(self, clip: Audio) -> str:
        return self.texts[int(clip.samples[0] > 0)]

    def recognize(self, clip: Audio) -> Recognition:
        return Recognition(text=self.transcribe(clip), is_loop=self.is_loop)

    def phones(self, clip: Audio) -> list[str]:
        return self.transcribe(clip).split()

    def pronounce(self, words: Iterable[str]) -> list[str]:
        return [letter for word in words for letter in word.upper() if letter.isalpha()]


def pair(**more: object) -> Pair:
    clips = (ScoredClip(Audio(np.full(8, level), 16_000)) for level in (-0.5, 0.5))
    return Pair(reference=next(clips), decoded=next(clips), **more)  # type: ignore[arg-type]


def test_english_words_are_compared_as_whisper_writes_them() -> None:
    recognizer = Scripted("Mister Brown won't pay 21 dollars.", "Mr. Brown will not pay twenty-one dollars")
    for score in (
        count_against_text(text.wer)(pair(text="mr brown won’t pay $21"), recognizer),
        count_against_recording(text.wer)(pair(), recognizer),
    ):
        assert (score.value, score.weight) == (0.0, 6.0)


def test_empty_transcripts_and_loops_are_counted_and_not_hidden() -> None:
    empty = count_against_text(text.wer)(pair(text="good old rain"), Scripted("", ""))
    loop = count_against_text(text.wer)(pair(text="good old rain"), Scripted("", "rain rain", is_loop=True))
    assert (empty.value, empty.counts["empty"], empty.counts["loops"]) == (1.0, 1, 0)
    assert (loop.counts["empty"], loop.counts["loops"]) == (0, 1)
    total = summarize([empty, loop])
    assert (total.counts["empty"], total.counts["loops"]) == (1, 1)
    nothing = count_against_recording(text.wer)(pair(), Scripted("", "some words"))
    assert nothing.reason == "the reference has no words; 2 were inserted"


@pytest.mark.parametrize("count", [count_against_text(text.wer), count_against_recording(text.cer)])
def test_another_language_is_undefined_and_a_recognizer_of_many_compares_it(count) -> None:
    recognizer = Scripted("schöne straße", "schöne straße")
    german = pair(text="Schöne Straße!", language="de-AT")
    assert count(german, recognizer).reason == "it is in 'de-AT', and scripted-1 knows 'en' alone"
    recognizer.language = None
    assert count(german, recognizer).value == 0.0
    assert count(pair(text="Schöne Straße!", language="en-GB"), recognizer).defined


def test_phones_are_counted_against_the_spelled_text_and_against_the_recording() -> None:
    recognizer = Scripted("B A D", "B A T")
    assert count_phones_against_text(pair(text="Bad!"), recognizer).value == pytest.approx(1 / 3)
    assert count_phones_against_recording(pair(), recognizer).value == pytest.approx(1 / 3)
    assert count_phones_against_recording(pair(language="de"), recognizer).defined
    assert "only English is pronounced" in count_phones_against_text(pair(text="Bad", language="de"), recognizer).reason
    assert count_phones_against_text(pair(), recognizer).reason == "the manifest has no text"
    assert "there is nothing in it to say" in count_phones_against_text(pair(text="!"), recognizer).reason
    assert count_phones_against_recording(pair(), Scripted("B", "")).counts["empty"] == 1
    for score in (count_phones_against_text, count_phones_against_recording):
        assert "--recognise" in score(pair(text="bad", is_recognized=False), recognizer).reason


def test_failed_transcripts_and_meaningless_rates_are_said_in_a_sentence() -> None:
    column = Column(key="wer@scripted-1", title="WER", better="lower", caption="")
    plain = Column(key="pesq_wb", title="PESQ-WB", better="higher", caption="")

    def entry(name: str, kind: str, mean: float, **counts: int) -> Entry:
        figure = Figure(mean=mean, low=mean, high=mean, n=9, counts=counts)
        return Entry(name=name, kind=kind, family=name, note="", figures={column.key: figure})  # type: ignore[arg-type]

    good = [entry("a", "tokenizer", 0.2, empty=0, loops=0), entry("identity", "anchor", 0.1, empty=1)]
    assert describe_failures([plain, column], good) == []
    bad = [entry("a", "tokenizer", 0.9, empty=2, loops=1), entry("b", "codec", 0.9, loops=3)]
    assert describe_failures([column, plain], [*bad, entry("identity", "anchor", 0.61)]) == [
        "a: scripted-1 returned no word for 2 and a loop for 1 of 9 clips.",
        "b: scripted-1 returned a loop for 3 of 9 clips.",
        "WER: scripted-1 gets 61 % of the recordings themselves wrong, so these figures say little about the others.",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 800, 16_000])
def test_real_scorers_take_the_shortest_clips_and_silence(samples: int) -> None:
    words, phones = find_scorer("recognizer"), find_scorer("phones")
    for clip in (speechlike(samples), Audio(np.zeros(samples), 16_000), Audio(np.full(samples, 0.3), 16_000)):
        one = ScoredClip(clip)
        both = Pair(reference=one, decoded=one, text="good morning")
        for score in (
            count_against_text(text.wer)(both, words),
            count_against_recording(text.wer)(both, words),
            count_phones_against_text(both, phones),
            count_phones_against_recording(both, phones),
        ):
            assert score.defined or score.reason
