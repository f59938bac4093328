"""Pieces of pages: text stays text, a script runs only if the policy names it, pictures measure what they say."""

import base64
import hashlib
import os
import re

import numpy as np
import pytest

from vocable.audio import Audio
from vocable.evaluate import page
from vocable.testing import speechlike


def test_the_powers_of_a_full_sine_are_one() -> None:
    tone = Audio(np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000).astype(np.float32), 16_000)
    powers = page.powers(tone)
    assert powers.shape == (125, 257)  # 8 ms by 31.25 Hz
    assert powers[5:-5].max() == pytest.approx(1.0, abs=1e-3)
    assert set(powers[5:-5].argmax(axis=1).tolist()) == {32}
    assert page.powers(Audio(np.tile(tone.samples, 30), 16_000)).shape[0] <= 1_500


def test_a_name_that_is_no_text_can_be_written() -> None:
    assert page.escaped(os.fsdecode(b"caf\xe9 & co.wav")) == "caf? &amp; co.wav"


def test_a_page_without_a_script_allows_none() -> None:
    html = page.shell("title", "<p>body</p>")
    assert "script" not in html
    assert "default-src 'none'" in html


def test_the_policy_names_the_script_there_is() -> None:
    html = page.shell("title", "<p>body</p>", script="let é = 1;")
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    (digest,) = re.findall(r"script-src 'sha256-([^']+)'", html)
    assert base64.b64decode(digest) == hashlib.sha256(script.encode()).digest()


def test_fewer_columns_cover_the_same_time() -> None:
    sound = speechlike(48_000)
    assert page.powers(sound, 100).shape[0] <= 100
    assert page.powers(sound, 100).mean() == pytest.approx(page.powers(sound).mean(), rel=0.3)


@pytest.mark.parametrize("limit", [0.004, 0.7, 3.0, 8.0, 30.0, 4_000.0])
def test_steps_are_few_and_even(limit: float) -> None:
    steps = page.steps(limit, 5)
    assert 2 <= len(steps) <= 6
    assert steps[0] == 0.0
    assert steps[-1] <= limit * (1 + 1e-6)
    assert np.allclose(np.diff(steps), steps[1])
