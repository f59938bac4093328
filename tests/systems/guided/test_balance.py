"""The gradient balancer gives each loss its share of the gradient, whatever its scale."""

import copy

import pytest
import torch
from torch import Tensor

from vocable.systems.guided.objective import Balancer


def balanced_gradient(
    balancer: Balancer, decoded: Tensor, losses: dict[str, Tensor], weights: dict[str, float]
) -> Tensor:
    balanced, shares = balancer(decoded, losses, weights)
    total = torch.stack([shares[name] * loss for name, loss in balanced.items()]).sum()
    return torch.autograd.grad(total, decoded)[0]


def two_losses(decoded: Tensor) -> dict[str, Tensor]:
    """Return two losses with scales a million apart, on separate axes."""
    return {"loud": 1e3 * decoded[:, :2].square().sum(), "faint": 1e-3 * decoded[:, 2:].square().sum()}


def test_gradients_have_the_requested_norms() -> None:
    decoded = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gradient = balanced_gradient(
        Balancer(["loud", "faint"], norm=2.0), decoded, two_losses(decoded), {"loud": 1.0, "faint": 3.0}
    )
    assert float(gradient[:, :2].norm(dim=1).mean()) == pytest.approx(0.5)
    assert float(gradient[:, 2:].norm(dim=1).mean()) == pytest.approx(1.5)


def test_without_a_balance_one_loss_dominates() -> None:
    decoded = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gradient = torch.autograd.grad(sum(two_losses(decoded).values()), decoded)[0]
    assert float(gradient[:, :2].norm() / gradient[:, 2:].norm()) > 1e5


def test_loss_values_are_kept_and_a_weight_of_zero_has_no_gradient() -> None:
    decoded = torch.ones(1, 4, requires_grad=True)
    losses = two_losses(decoded)
    balanced, shares = Balancer(["loud", "faint"])(decoded, losses, {"loud": 0.0, "faint": 2.0})
    assert {name: float(loss.detach()) for name, loss in balanced.items()} == pytest.approx(
        {name: float(loss.detach()) for name, loss in losses.items()}
    )
    assert shares["loud"] == 0.0
    assert not balanced["loud"].requires_grad


def test_the_norm_is_a_moving_mean_from_the_first_step_on() -> None:
    balancer = Balancer(["loud", "faint"], decay=0.5)
    decoded = torch.ones(1, 1, requires_grad=True)
    weights = [balancer(decoded, {"loud": scale * decoded.sum()}, {"loud": 1.0})[1]["loud"] for scale in (2.0, 6.0)]
    assert weights == pytest.approx([1 / 2, 1 / ((0.5 * 2 + 6) / 1.5)])
    assert float(balancer.counts[1]) == 0.0  # of a loss that has not occurred


def test_the_state_dict_holds_all_state() -> None:
    balancer, decoded = Balancer(["loud", "faint"]), torch.randn(2, 5).requires_grad_()
    balanced_gradient(balancer, decoded, two_losses(decoded), {"loud": 1.0, "faint": 1.0})
    restored = Balancer(["loud", "faint"])
    restored.load_state_dict(copy.deepcopy(balancer.state_dict()))
    other = (0.1 * decoded).detach().requires_grad_()
    one, same = (
        balanced_gradient(each, other, two_losses(other), {"loud": 1.0, "faint": 1.0}) for each in (balancer, restored)
    )
    assert torch.equal(one, same)
