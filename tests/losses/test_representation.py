"""The distance of decoded audio from its recording in the frames of a frozen encoder."""

import pytest
import torch
from torch import Tensor

from vocable.errors import ConfigError
from vocable.features.whisper import WhisperEncoder
from vocable.losses.representation import RepresentationLoss
from vocable.testing import speechlike


def samples(count: int, frames: int = 25) -> Tensor:
    return torch.stack([torch.from_numpy(speechlike(frames * 320, seed=seed).samples) for seed in range(count)])


def everywhere(sounds: Tensor) -> Tensor:
    return torch.ones(len(sounds), sounds.shape[1] // 320, dtype=torch.bool)


@pytest.fixture(scope="module")
def loss() -> RepresentationLoss:
    torch.manual_seed(0)
    return RepresentationLoss(WhisperEncoder(width=64, depth=2), layers=(1, -1))


def test_it_is_zero_for_the_recording_and_grows_with_noise(loss: RepresentationLoss) -> None:
    real = samples(2)
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
    values = [float(loss(real + scale * noise, real, everywhere(real))) for scale in (0.0, 0.001, 0.1)]
    assert values[0] == 0
    assert 0 < values[1] < values[2]


def test_it_is_the_mean_difference_of_layers_over_the_deviation_of_each_channel(loss: RepresentationLoss) -> None:
    real, decoded = samples(2), samples(2).flip(0)
    states = [loss.encoder.hidden_states(one) for one in (real, decoded)]
    terms = []
    for layer in (1, 2):
        target, output = (one[layer].reshape(-1, 64) for one in states)
        terms.append(((output - target).abs() / target.std(0, correction=0)).mean())
    assert float(loss(decoded, real, everywhere(real))) == pytest.approx(float(sum(terms)) / 2, rel=1e-5)


def test_gradients_reach_the_samples_and_no_weight(loss: RepresentationLoss) -> None:
    real, decoded = samples(2), samples(2).flip(0).requires_grad_()
    real[:, 4_000:] = 0.0  # digital silence has no gradient of a magnitude, and gets none that is not finite
    loss(decoded, real, everywhere(real)).backward()
    assert decoded.grad is not None
    assert decoded.grad.isfinite().all()
    assert (decoded.grad.abs().sum(1) > 0).all()
    assert all(not weight.requires_grad and weight.grad is None for weight in loss.encoder.parameters())
    silent = torch.zeros(1, 3_200, requires_grad=True)
    loss(silent, samples(1, 10), everywhere(samples(1, 10))).backward()
    assert silent.grad is not None
    assert silent.grad.isfinite().all()


def test_padding_changes_nothing(loss: RepresentationLoss) -> None:
    real, decoded = samples(2), samples(2).flip(0)
    mask = everywhere(real)
    mask[1, 10:] = False
    for one in (real, decoded):
        one[1, 3_200:] = 0.0
    expected = loss(decoded, real, mask)
    longer = [torch.nn.functional.pad(one, (0, 1_600), value=0.5) for one in (decoded, real)]
    assert float(loss(*longer, torch.nn.functional.pad(mask, (0, 5)))) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("layers", [(), (3,), (-4,)])
def test_layers_that_the_encoder_lacks_are_refused(layers: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"whisper has no layers \[.*\]; it has 0 to 2"):
        RepresentationLoss(WhisperEncoder(width=64, depth=2), layers)
