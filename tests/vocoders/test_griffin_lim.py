"""Griffin-Lim: samples whose spectra have the magnitudes asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vocable.audio import Audio
from vocable.testing import speechlike
from vocable.vocoders import GriffinLim, MelSpec, Vocoder

SPEC = MelSpec(sample_rate=8_000, n_fft=384, hop=96, bins=64)
SILENCE = -100.0


def speech(spectra: int = 80) -> torch.Tensor:
    """Samples like speech, (1, T)."""
    return torch.from_numpy(speechlike(spectra * SPEC.hop, seed=3).samples)[None]


def distance(made: np.ndarray, mel: torch.Tensor) -> float:
    """Mean difference from the spectra asked for, in dB, of what can be heard."""
    return float((SPEC.mel(torch.from_numpy(made)[None])[0] - mel).abs()[mel > -40].mean())


def test_equal_spectra_give_equal_samples_whatever_was_drawn_before() -> None:
    mel = SPEC.mel(speech())[0]
    first = GriffinLim(SPEC).render(mel)
    torch.rand(7)
    assert np.array_equal(first, GriffinLim(SPEC).render(mel.clone()))


@pytest.mark.parametrize("spectra", [1, 2, 5, 40])
def test_there_is_a_hop_of_samples_for_each_spectrum(spectra: int) -> None:
    made = GriffinLim(SPEC).render(SPEC.mel(speech(spectra))[0])
    assert made.shape == (spectra * SPEC.hop,)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()


def test_more_rounds_agree_better() -> None:
    mel = SPEC.mel(speech())[0]
    distances = [distance(GriffinLim(SPEC, rounds).render(mel), mel) for rounds in (0, 4, 32)]
    assert distances[0] > 1.5 * distances[1] > 2.0 * distances[2]
    assert distances[2] < 1.5


def test_more_rounds_agree_better_on_a_recording(speech_data: Path) -> None:
    samples = Audio.read(speech_data / "digits_fsdd/audio/jackson/0_jackson_0.flac", SPEC.sample_rate).samples
    mel = SPEC.mel(torch.from_numpy(samples[: samples.size // SPEC.hop * SPEC.hop])[None])[0]
    distances = [distance(GriffinLim(SPEC, rounds).render(mel), mel) for rounds in (0, 4, 32)]
    assert distances[0] > 1.5 * distances[1] > 1.8 * distances[2]


def test_it_is_as_loud_as_it_was() -> None:
    samples = speech()
    made = GriffinLim(SPEC).render(SPEC.mel(samples)[0])
    assert float(np.square(made).mean()) == pytest.approx(float(samples.square().mean()), rel=0.1)


def test_silence_stays_silent() -> None:
    made = GriffinLim(SPEC).render(torch.full((SPEC.bins, 10), SILENCE))
    assert np.abs(made).max() < 1e-4


def test_it_keeps_the_protocol() -> None:
    vocoder = GriffinLim(SPEC)
    assert isinstance(vocoder, Vocoder)
    assert (vocoder.name, vocoder.spec) == ("griffin-lim", SPEC)
