"""The network between mel spectra and samples: what it sees, how loud it is, and its sizes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.vocoders.istft import CONFIG, SPEC, mel, network
from vocable.errors import ConfigError
from vocable.vocoders import IstftVocoder, MelSpec, Vocoder
from vocable.vocoders.istft import IstftConfig, IstftNetwork


def test_what_is_behind_a_clip_does_not_change_it() -> None:
    short, made = mel(20), network()
    mask = torch.zeros(2, 33, dtype=torch.bool)
    mask[0, :20], mask[1, :33] = True, True
    padded = torch.stack([torch.cat([short, torch.randn(SPEC.bins, 13) * 20], dim=1), mel(33, seed=1)])
    with torch.inference_mode():
        alone = made(short[None], torch.ones(1, 20, dtype=torch.bool))[0]
        batch = made(padded, mask)
    end = 20 * SPEC.hop
    assert batch.shape == (2, 33 * SPEC.hop)
    assert float((batch[0, :end] - alone).abs().max()) < 1e-5
    assert not batch[0, end:].any()
    assert batch[1, end:].any()


def test_it_looks_no_further_than_its_blocks() -> None:
    one, made = mel(60), network()
    other = one.clone()
    other[:, 40:] += 30.0
    reach = CONFIG.blocks * (CONFIG.kernel // 2)
    before = (40 - reach) * SPEC.hop - SPEC.n_fft
    mask = torch.ones(1, 60, dtype=torch.bool)
    with torch.inference_mode():
        difference = (made(one[None], mask) - made(other[None], mask))[0].abs()
    assert float(difference[:before].max()) < 1e-6
    assert float(difference[before + SPEC.n_fft : 40 * SPEC.hop].max()) > 1e-4


def test_louder_spectra_give_louder_samples_before_any_training() -> None:
    made, spectra = network(), mel()
    energies = [float(np.square(IstftVocoder(made).render(spectra + gain)).mean()) for gain in (-30.0, 0.0)]
    assert 300 < energies[1] / energies[0] < 3_000
    silence = IstftVocoder(made).render(torch.full((SPEC.bins, 10), -100.0))
    assert np.abs(silence).max() < 1e-3


@pytest.mark.parametrize("spectra", [1, 2, 40])
def test_render_is_the_network_alone(spectra: int) -> None:
    vocoder, given = IstftVocoder(network()), mel(spectra)
    made = vocoder.render(given)
    with torch.inference_mode():
        wanted = vocoder.network(given[None], torch.ones(1, spectra, dtype=torch.bool))[0].numpy()
    assert made.shape == (spectra * SPEC.hop,)
    assert float(np.abs(made - wanted).max()) < 1e-6
    assert np.array_equal(made, vocoder.render(given.clone()))


def test_rounds_bring_the_phases_to_agree() -> None:
    def apart(rounds: int) -> float:
        """How far the spectra of the samples are from the magnitudes that the network wanted."""
        made = network(rounds=rounds)
        with torch.inference_mode():
            wanted = made.predict(mel()[None], torch.ones(1, 30, dtype=torch.bool)).abs()
        samples = torch.from_numpy(IstftVocoder(made).render(mel()))[None]
        got = torch.stft(
            torch.nn.functional.pad(samples, (96, 96)), SPEC.n_fft, SPEC.hop,
            window=torch.hann_window(SPEC.n_fft), center=False, return_complex=True,
        ).abs().transpose(1, 2)  # fmt: skip
        return float((got - wanted).square().sum() / wanted.square().sum())

    assert apart(0) > 1.3 * apart(4) > 1.3 * apart(32)


def test_it_keeps_the_protocol() -> None:
    vocoder = IstftVocoder(network())
    assert isinstance(vocoder, Vocoder)
    assert (vocoder.name, vocoder.spec) == ("istft-8k", SPEC)
    wide = IstftConfig(mel=MelSpec(sample_rate=22_050, n_fft=256, hop=64, bins=32), width=8, blocks=1)
    assert IstftVocoder(IstftNetwork(wide)).name == "istft-22.05k"


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"width": 0}, "width is 0: Input should be greater"), ({"kernel": 4}, "kernel is 4: it must be"),
     ({"rounds": -1}, "rounds is -1"), ({"expansion": True}, "expansion is True")],
)  # fmt: skip
def test_sizes_out_of_range_are_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        replace(CONFIG, **changes)
