"""Sounds in the page: each once, and within the budget."""

import base64
import dataclasses
import io
import math
import re

import numpy as np
import pytest
import soundfile

from tests.evaluate.card.cards import card
from tests.evaluate.tree import Tree
from vocable.audio import Audio
from vocable.evaluate.card import Sample
from vocable.evaluate.page import report
from vocable.evaluate.page.report import longest_clip, render_report
from vocable.testing import speechlike


def test_a_sound_is_in_the_page_once(plain: str) -> None:
    made = card()
    sounds = {sample.recording.samples.tobytes() for sample in made.samples}
    sounds |= {audio.samples.tobytes() for sample in made.samples for audio, _ in sample.versions.values()}
    assert plain.count("data:audio/flac") == len(sounds)
    players = [attributes for tag, attributes in Tree(plain).elements if tag == "audio"]
    assert len(players) == sum(1 + len(sample.versions) for sample in made.samples)
    assert all(attributes["preload"] == "none" for attributes in players)


def test_long_clips_are_cut_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch, plain: str) -> None:
    assert "Clips are cut" not in plain
    monkeypatch.setattr(report, "_MAX_SECONDS", 5.0)
    recording = speechlike(16_000 * 6)
    sample = Sample(utterance="long", reason="worst STOI of a", labels={}, recording=recording, versions={})
    page = render_report(dataclasses.replace(card(), samples=[sample]))
    assert "Clips are cut after 5 s" in page
    (sound,) = re.findall(r"data:audio/flac;base64,([^']+)", page)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound)), dtype="float32")
    assert samples.size == 5 * rate
    assert np.abs(samples - recording.samples[: samples.size].clip(-1, 1)).max() <= 1 / 32_768


def test_the_budget_is_shared_fairly() -> None:
    durations = list(np.random.default_rng(0).uniform(1, 35, 80))
    longest = longest_clip(durations, 600.0)
    assert 600 - 80 <= sum(min(longest, duration) for duration in durations) <= 600
    assert longest_clip([3.0, 4.0], 600.0) == math.inf


def test_every_player_has_its_length_and_every_tokenizer_its_spectrogram() -> None:
    recording, made = speechlike(24_000), card()
    names = [entry.name for entry in made.entries if entry.kind != "anchor"]
    versions = {name: (Audio(recording.samples[: 16_000 + at], 16_000), "") for at, name in enumerate(names)}
    sample = Sample(utterance="a", reason="STOI of a: average", labels={}, recording=recording, versions=versions)
    html = render_report(dataclasses.replace(made, samples=[sample, sample]))
    page = Tree(html)
    players = [attributes for tag, attributes in page.elements if tag == "audio"]
    lengths = [attributes for tag, attributes in page.elements if tag == "i" and attributes.get("class") == "length"]
    assert len(players) == len(lengths) == 2 * (1 + len(names))
    assert html.count("<i class=length>1.5 s</i>") == 2
    drawn = [
        attributes["alt"] for tag, attributes in page.elements if tag == "img" and "spectrogram" in attributes["alt"]
    ]
    tokenizers = [entry.name for entry in made.entries if entry.kind == "tokenizer"]
    expected = ["Recording", *tokenizers, "Speex 4k"]  # the codec whose bit rate is nearest
    assert drawn == 2 * [f"Log-mel spectrogram of {name}" for name in expected]


def test_a_cut_clip_keeps_the_length_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_MAX_SECONDS", 5.0)
    sample = Sample(utterance="a", reason="worst STOI of a", labels={}, recording=speechlike(16_000 * 6), versions={})
    assert "<i class=length>6.0 s</i>" in render_report(dataclasses.replace(card(), samples=[sample]))
