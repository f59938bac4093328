"""The two games, against values written down by hand."""

import pytest
import torch

from vocable.losses.adversarial import fake_loss, feature_matching_loss, generator_loss, real_loss

LOGITS = [torch.tensor([[2.0, 0.0]]), torch.tensor([-1.0, -1.0, -1.0, -1.0])]  # each discriminator weighs the same


@pytest.mark.parametrize(
    ("loss", "game", "wanted"),
    [
        (real_loss, "hinge", ((0 + 1) / 2 + 2) / 2),
        (fake_loss, "hinge", ((3 + 1) / 2 + 0) / 2),
        (generator_loss, "hinge", ((-2 + 0) / 2 + 1) / 2),
        (real_loss, "least_squares", ((1 + 1) / 2 + 4) / 2),
        (fake_loss, "least_squares", ((4 + 0) / 2 + 1) / 2),
        (generator_loss, "least_squares", ((1 + 1) / 2 + 4) / 2),
    ],
)
def test_a_game_by_hand(loss, game, wanted) -> None:  # type: ignore[no-untyped-def]
    assert float(loss(LOGITS, game)) == pytest.approx(wanted)


def test_features_are_drawn_to_those_of_the_recording_which_do_not_move() -> None:
    real = [torch.tensor([1.0, -3.0], requires_grad=True), torch.tensor([[10.0]])]
    made = [torch.tensor([0.0, -3.0], requires_grad=True), torch.tensor([[8.0]])]
    assert float(feature_matching_loss(real, made).detach()) == pytest.approx((0.5 + 2) / 2)
    relative = feature_matching_loss(real, made, relative=True)
    assert float(relative.detach()) == pytest.approx((0.5 / 2 + 2 / 10) / 2)
    relative.backward()
    assert real[0].grad is None
    assert made[0].grad is not None
    assert made[0].grad.tolist() == [-0.125, 0.0]


def test_a_map_of_nothing_is_no_division_by_zero() -> None:
    assert torch.isfinite(feature_matching_loss([torch.zeros(3)], [torch.ones(3)], relative=True))
