"""Each loss pulls with its share, whatever its scale."""

import copy

import pytest
import torch
from torch import Tensor

from vocable.systems.guided.objective import Balancer


def pull(balancer: Balancer, made: Tensor, losses: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    balanced = balancer(made, losses, weights)
    total = torch.stack([balanced.weights[name] * loss for name, loss in balanced.losses.items()]).sum()
    return torch.autograd.grad(total, made)[0]


def two(made: Tensor) -> dict[str, Tensor]:
    """Of scales a million apart, along axes of their own."""
    return {"loud": 1e3 * made[:, :2].square().sum(), "faint": 1e-3 * made[:, 2:].square().sum()}


def test_gradients_have_the_norms_that_were_asked_for() -> None:
    made = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gradient = pull(Balancer(["loud", "faint"], norm=2.0), made, two(made), {"loud": 1.0, "faint": 3.0})
    assert float(gradient[:, :2].norm(dim=1).mean()) == pytest.approx(0.5)
    assert float(gradient[:, 2:].norm(dim=1).mean()) == pytest.approx(1.5)


def test_without_a_balance_one_would_drown_the_other() -> None:
    made = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gradient = torch.autograd.grad(sum(two(made).values()), made)[0]
    assert float(gradient[:, :2].norm() / gradient[:, 2:].norm()) > 1e5


def test_values_are_those_that_went_in_and_a_weight_of_zero_pulls_nothing() -> None:
    made = torch.ones(1, 4, requires_grad=True)
    losses = two(made)
    balanced = Balancer(["loud", "faint"])(made, losses, {"loud": 0.0, "faint": 2.0})
    assert {name: float(loss.detach()) for name, loss in balanced.losses.items()} == pytest.approx(
        {name: float(loss.detach()) for name, loss in losses.items()}
    )
    assert balanced.weights["loud"] == 0.0
    assert not balanced.losses["loud"].requires_grad


def test_the_norm_is_a_moving_mean_from_the_first_step_on() -> None:
    balancer = Balancer(["loud", "faint"], decay=0.5)
    made = torch.ones(1, 1, requires_grad=True)
    weights = [balancer(made, {"loud": scale * made.sum()}, {"loud": 1.0}).weights["loud"] for scale in (2.0, 6.0)]
    assert weights == pytest.approx([1 / 2, 1 / ((0.5 * 2 + 6) / 1.5)])
    assert float(balancer.counts[1]) == 0.0  # of what has not been seen


def test_its_state_is_all_it_remembers() -> None:
    balancer, made = Balancer(["loud", "faint"]), torch.randn(2, 5).requires_grad_()
    pull(balancer, made, two(made), {"loud": 1.0, "faint": 1.0})
    again = Balancer(["loud", "faint"])
    again.load_state_dict(copy.deepcopy(balancer.state_dict()))
    other = (0.1 * made).detach().requires_grad_()
    one, same = (pull(each, other, two(other), {"loud": 1.0, "faint": 1.0}) for each in (balancer, again))
    assert torch.equal(one, same)
