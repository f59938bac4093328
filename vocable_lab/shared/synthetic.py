"""Synthetic sounds that are no speech, outside the domain of a tokenizer of speech."""

from collections.abc import Callable

import numpy as np
from numpy import ndarray

from vocable.audio import Audio
from vocable.evaluate.measures import RATE

_SECONDS = 3.0


def _noise(random: np.random.Generator) -> Audio:
    """Return white noise with a slow amplitude modulation."""
    time = np.arange(round(_SECONDS * RATE)) / RATE
    envelope = 0.5 + 0.4 * np.sin(2 * np.pi * random.uniform(0.2, 3.0) * time + random.uniform(0, 6))
    return _normalize(random.standard_normal(time.size) * envelope)


def _tones(random: np.random.Generator) -> Audio:
    """Return chords of pure tones, half a second each."""
    time = np.arange(round(_SECONDS * RATE)) / RATE
    pitches = 110.0 * 2 ** (random.integers(0, 48, size=(3, int(_SECONDS * 2))) / 12)
    return _normalize(np.sin(2 * np.pi * np.repeat(pitches, RATE // 2, axis=1) * time).sum(0))


def _normalize(samples: ndarray) -> Audio:
    return Audio((0.3 * samples / np.abs(samples).max()).astype(np.float32), RATE)


SYNTHETIC: dict[str, Callable[[np.random.Generator], Audio]] = {"white noise": _noise, "chords of tones": _tones}
