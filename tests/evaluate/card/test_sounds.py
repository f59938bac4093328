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
