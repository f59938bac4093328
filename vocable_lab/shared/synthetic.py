"""Synthetic sounds that are no speech, outside the domain of a tokenizer of speech.

Singing and animals are imitations: a source of harmonics through the formants of a vowel, and sweeps and barks. They
have the pitch, vibrato and sweeps that speech has not, and no more. Recordings can be given as a manifest.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy import ndarray

from vocable.audio import Audio
from vocable.evaluate.measures import RATE

_SECONDS = 3.0
_VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
"""Formants in Hz of the vowels a, e, i, o and u (Peterson and Barney, 1952, men)."""
_FORMANT_WIDTH = 120.0  # Hz
_HARMONICS = 40


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


def _sung(random: np.random.Generator) -> Audio:
    """Return a melody on one vowel, half a second a note, with a vibrato of half a semitone at 5.5 Hz."""
    time = np.arange(round(_SECONDS * RATE)) / RATE
    notes = random.choice([0, 2, 4, 5, 7, 9, 11, 12], int(_SECONDS * 2)) + random.integers(-7, 8)
    semitones = np.repeat(notes, RATE // 2) + 0.5 * np.sin(2 * np.pi * 5.5 * time)
    pitch = 220.0 * 2 ** (semitones / 12)
    return _normalize(_voiced(pitch, _VOWELS[random.integers(len(_VOWELS))]))


def _calls(random: np.random.Generator) -> Audio:
    """Return calls as of a bird (sweeps between 2 and 6 kHz) or of a dog (falling barks), a quarter second apart."""
    samples = np.zeros(round(_SECONDS * RATE))
    is_bird = random.random() < 0.5
    for start in range(0, samples.size - RATE // 4, RATE // 4):
        count = RATE // 10
        time = np.linspace(0, 1, count)
        if is_bird:
            low, high = sorted(random.uniform(2_000, 6_000, 2))
            sweep = low + (high - low) * (time if random.random() < 0.5 else np.sin(np.pi * time))
            call = np.sin(2 * np.pi * np.cumsum(sweep) / RATE)
        else:
            call = _voiced(random.uniform(300, 500) * 2**-time, (700, 1_400, 2_600))
            call = call / np.abs(call).max() + 0.3 * random.standard_normal(count)
        samples[start : start + count] = call * np.hanning(count)
    return _normalize(samples)


def _voiced(pitch: ndarray, formants: Sequence[int]) -> ndarray:
    """Return a sum of harmonics of a pitch in Hz, weighted by resonances at the formants."""
    phase, total = 2 * np.pi * np.cumsum(pitch) / RATE, np.zeros(pitch.size)
    for harmonic in range(1, _HARMONICS + 1):
        frequency = harmonic * pitch
        gain = sum(1 / (1 + ((frequency - formant) / _FORMANT_WIDTH) ** 2) for formant in formants)
        total += np.where(frequency < RATE / 2, gain / harmonic, 0.0) * np.sin(harmonic * phase)
    return total


def _normalize(samples: ndarray) -> Audio:
    return Audio((0.3 * samples / np.abs(samples).max()).astype(np.float32), RATE)


SYNTHETIC: dict[str, Callable[[np.random.Generator], Audio]] = {
    "white noise": _noise, "chords of tones": _tones, "sung vowels": _sung, "animal-like calls": _calls,
}  # fmt: skip
