"""Means are weighted, intervals are seeded, and what has no figure is counted with its reason."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.metrics.score import Figure, Score, summarize, undefined
from vocable.metrics.text import wer


def test_a_rate_is_errors_over_words_of_all_clips_together() -> None:
    scores = [Score(1 / 2, weight=2.0), Score(3 / 30, weight=30.0)]
    assert summarize(scores).mean == pytest.approx(4 / 32)


def test_counts_add_up_over_the_clips_that_have_a_figure() -> None:
    scores = [wer("a b c", "a x c d").score(), undefined("silent"), wer("a b", "a").score()]
    figure = summarize(scores)
    assert figure.counts == {"hits": 3, "substitutions": 1, "deletions": 1, "insertions": 1}
    errors, words = sum(figure.counts.values()) - figure.counts["hits"], 5
    assert figure.mean == pytest.approx(errors / words)


def test_what_is_undefined_is_counted_by_reason_and_leaves_the_mean_alone() -> None:
    scores = [Score(1.0), undefined("silent"), Score(3.0), undefined("silent"), undefined("short")]
    figure = summarize(scores)
    assert (figure.mean, figure.n, figure.excluded) == (2.0, 2, 3)
    assert figure.reasons == {"short": 1, "silent": 2}


def test_nothing_but_undefined_is_undefined() -> None:
    figure = summarize([undefined("silent")])
    assert math.isnan(figure.mean)
    assert figure.text() == "undefined"
    assert summarize([]).n == 0


def test_one_clip_has_no_interval() -> None:
    assert math.isnan(summarize([Score(1.0)]).low)


def test_the_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        figure = summarize([Score(value) for value in random.normal(5.0, 1.0, 40)], seed=trial, rounds=300)
        covered += figure.low <= 5.0 <= figure.high
    assert 180 <= covered <= 198  # 95 % of 200, less what a percentile interval of 40 clips lacks


def test_drawing_speakers_gives_a_wider_interval_where_speakers_differ() -> None:
    speakers = [speaker for speaker in "abcdefgh" for _ in range(10)]
    scores = [Score(float(ord(speaker))) for speaker in speakers]
    by_clip, by_speaker = summarize(scores), summarize(scores, groups=speakers)
    assert by_speaker.mean == by_clip.mean
    assert by_speaker.high - by_speaker.low > 2 * (by_clip.high - by_clip.low)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), st.integers(0, 5))
def test_the_same_seed_gives_the_same_interval_around_the_mean(values: list[float], seed: int) -> None:
    scores = [Score(value) for value in values]
    figure = summarize(scores, seed=seed, rounds=200)
    assert figure == summarize(scores, seed=seed, rounds=200)
    assert min(values) - 1e-9 <= figure.low <= figure.high <= max(values) + 1e-9


def test_a_figure_of_all_samples_at_once_has_no_interval_to_show() -> None:
    whole = Figure(mean=0.5, low=float("nan"), high=float("nan"), n=10)
    assert whole.text() == "0.500"
    assert Figure(mean=0.5, low=0.4, high=0.6, n=10).text(".1f") == "0.5 (0.4 to 0.6)"
