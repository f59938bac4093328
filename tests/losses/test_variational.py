"""The divergence of a coded normal distribution, and the part of it that is free."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vocable.losses.variational import free_bits, gaussian_kl


def test_it_is_torchs_divergence_summed_over_each_row() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = (2 * torch.randn(5, 7, generator=generator) for _ in range(2))
    wanted = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(torch.zeros(5, 7), torch.ones(5, 7)))
    assert torch.allclose(gaussian_kl(mean, log_variance), wanted.sum(1), rtol=1e-5)


def test_nothing_is_nearer_than_the_standard_distribution() -> None:
    mean, log_variance = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    divergence = gaussian_kl(mean, log_variance)
    assert divergence.tolist() == [0.0, 0.0]
    divergence.sum().backward()
    assert not mean.grad.any()
    assert not log_variance.grad.any()


@pytest.mark.parametrize(("value", "cost"), [(0.1, 0.0), (0.5, 0.0), (0.75, 0.25), (9.0, 8.5)])
def test_what_is_under_the_floor_is_free_and_teaches_nothing(value: float, cost: float) -> None:
    divergence = torch.tensor([0.5 * value, 1.5 * value], requires_grad=True)
    loss = free_bits(divergence, 0.5)
    assert float(loss.detach()) == pytest.approx(cost, abs=1e-6)
    loss.backward()
    if value != 0.5:  # at the floor itself either is right
        assert divergence.grad.tolist() == ([0.5, 0.5] if cost else [0.0, 0.0])
