"""Speech and noise to compare, and pairs that cannot be."""

from collections.abc import Callable

import numpy as np

from vocable.metrics.score import Score
from vocable.testing import speechlike

SPEECH = speechlike(32_000).samples
NOISE = (0.02 * np.random.default_rng(0).standard_normal(32_000)).astype(np.float32)
UNUSABLE = [
    (0 * SPEECH, SPEECH, "the recording is silent"),
    (0 * SPEECH, 0 * SPEECH, "the recording is silent"),
    (0 * SPEECH + 0.5, SPEECH, "the recording is silent"),
    (SPEECH[:1], SPEECH[:1], "the recording is silent"),
    (SPEECH[:0], SPEECH, "there are no samples"),
    (SPEECH, SPEECH[:0], "there are no samples"),
    (np.where(np.arange(32_000) == 7, np.nan, SPEECH), SPEECH, "the recording holds NaN or infinity"),
    (SPEECH, np.where(np.arange(32_000) == 7, np.inf, SPEECH), "the decoded speech holds NaN or infinity"),
]


def check_lengths(metric: Callable[[np.ndarray, np.ndarray], Score]) -> None:
    """The longer of two clips is cut to the shorter."""
    made = SPEECH + NOISE
    wanted = metric(SPEECH[:20_000], made[:20_000]).value
    assert metric(SPEECH, made[:20_000]).value == wanted
    assert metric(SPEECH[:20_000], made).value == wanted
