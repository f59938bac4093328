"""Losses between student and teacher, against values written down by hand."""

import math

import pytest
import torch

from vocable.losses.distillation import (
    cosine_loss,
    d_axis_loss,
    divergence_loss,
    entropy,
    standardize,
    t_axis_loss,
)

BOTH = torch.ones(1, 2, dtype=torch.bool)


def minus_log_sigmoid(value: float) -> float:
    return math.log(1 + math.exp(-value))


def test_cosine_is_of_each_frame() -> None:
    made = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])
    wanted = torch.tensor([[[2.0, 0.0], [1.0, 0.0]]])
    assert float(cosine_loss(made, wanted, BOTH)) == pytest.approx((0 + 1 - 1 / math.sqrt(2)) / 2)


def test_d_axis_is_over_time_for_each_dimension() -> None:
    made = torch.tensor([[[1.0, 1.0], [2.0, 1.0]]])  # dimension 0 goes along, dimension 1 across
    wanted = torch.tensor([[[2.0, 1.0], [4.0, -1.0]]])
    wanted_loss = (minus_log_sigmoid(1) + minus_log_sigmoid(0)) / 2
    assert float(d_axis_loss(made, wanted, BOTH)) == pytest.approx(wanted_loss)
    assert float(d_axis_loss(made, -made, BOTH)) == pytest.approx(minus_log_sigmoid(-1))  # 1.313, the most there is


def test_t_axis_adds_the_difference_and_the_cosine_over_features() -> None:
    made, wanted = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[[0.0, 3.0], [0.0, 2.0]]])
    apart = ((1 + 3) / 2 + 1 / 2) / 2
    similar = (minus_log_sigmoid(0) + minus_log_sigmoid(1)) / 2
    assert float(t_axis_loss(made, wanted, BOTH, similarity=0.5)) == pytest.approx(apart + 0.5 * similar)


@pytest.mark.parametrize("loss", [cosine_loss, d_axis_loss, t_axis_loss])
def test_frames_outside_the_mask_do_not_count(loss) -> None:  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(0)
    made, wanted = (torch.randn(2, 6, 3, generator=generator) for _ in range(2))
    mask = torch.tensor([[True] * 4 + [False] * 2, [False] * 6])
    alone = loss(made[:1, :4], wanted[:1, :4], torch.ones(1, 4, dtype=torch.bool))
    made[0, 4:], wanted[1] = 99.0, -99.0
    assert float(loss(made, wanted, mask)) == pytest.approx(float(alone), rel=1e-5)
    made.requires_grad_()
    nothing = loss(made, wanted, torch.zeros_like(mask))
    nothing.backward()
    assert float(nothing.detach()) == 0.0
    assert made.grad is not None
    assert not made.grad.any()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_divergence_is_torchs_from_teacher_to_student_times_the_temperature_squared(temperature: float) -> None:
    made, wanted = torch.randn(2, 4, 7, generator=torch.Generator().manual_seed(0)).unbind(0)
    student = torch.log_softmax(made / temperature, 1)
    teacher = torch.softmax(wanted / temperature, 1)
    expected = temperature**2 * torch.nn.functional.kl_div(student, teacher, reduction="batchmean")
    ours = divergence_loss(made, wanted, torch.ones(4, dtype=torch.bool), temperature)
    assert float(ours) == pytest.approx(float(expected), rel=1e-5)
    first = divergence_loss(made, wanted, torch.tensor([True, False, False, False]), temperature)
    alone = divergence_loss(made[:1], wanted[:1], torch.tensor([True]), temperature)
    assert float(first) == pytest.approx(float(alone))


def test_a_voice_of_length_one_says_nothing_until_it_is_standardised() -> None:
    """192 coordinates of size 0.07: the caution of the spec, and what standardising does about it."""
    voices = torch.nn.functional.normalize(torch.randn(64, 192, generator=torch.Generator().manual_seed(0)), dim=1)
    told = standardize(voices, voices.mean(0), voices.std(0, correction=0))
    most = math.log(192)
    assert most - float(entropy(voices).mean()) < 0.003
    assert most - float(entropy(told).mean()) == pytest.approx(0.5, abs=0.05)  # as of normal coordinates
    assert told.mean(0).abs().max() < 1e-5


def test_a_coordinate_that_never_moves_is_left_out() -> None:
    told = standardize(torch.tensor([[5.0, 1.0]]), torch.tensor([5.0, 0.0]), torch.tensor([1e-9, 2.0]))
    assert told.tolist() == [[0.0, 0.5]]
