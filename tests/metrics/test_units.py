"""Units, durations: equal to the naive computation, never lucky in a tie."""

import math

import pytest
import torch
from torch import Tensor

from vocable.errors import ConfigError, ShapeError
from vocable.metrics.score import Score
from vocable.metrics.units import (
    duration_consistency,
    score_units,
    unit_anchors,
)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def clip() -> tuple[Tensor, Tensor]:
    units = torch.randint(0, 20, (42,), generator=torch.Generator().manual_seed(1))
    return _random(42, 20) + 2 * torch.nn.functional.one_hot(units, 20), units


def test_predictions_and_cross_entropy_equal_torch(clip: tuple[Tensor, Tensor]) -> None:
    logits, units = clip
    found = score_units(logits, units)
    for k, hits in ((1, found.top1), (5, found.top5)):
        assert hits.tolist() == (logits.topk(k).indices == units[:, None]).any(dim=1).tolist()
    loss = float(torch.nn.functional.cross_entropy(logits, units))
    assert found.nats.mean() == pytest.approx(loss, rel=1e-6)
    assert score_units(logits[:, :3], units % 3).top5.all()  # of three entries, all are among the five best


def test_anchors_are_what_guessing_gives() -> None:
    targets = torch.tensor([[2, 2, 3, 2, 5], [5, 2, 0, 0, 0]])
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    told = unit_anchors(targets, mask, 8, ks=(1, 2, 8))
    assert [told.uniform.top[k].value for k in (1, 2)] == [1 / 8, 2 / 8]
    assert told.uniform.perplexity.value == pytest.approx(8.0)
    assert [told.unigram.top[k].value for k in (1, 2)] == [4 / 7, 6 / 7]
    shares = torch.tensor([4, 2, 1]) / 7
    assert told.unigram.nats.value == pytest.approx(float(-(shares * shares.log()).sum()))
    assert [told.repeat_last.top[k].value for k in (1, 2)] == [1 / 7, 2 / 7]  # the 2 after 2; the 2 after 2, 3
    assert told.repeat_last.nats.reason == "repeating gives no probabilities"
    assert told.repeat_last.perplexity == told.repeat_last.nats
    assert told.unigram.top[8].reason == "8 of 8 units cannot miss"
    constant = unit_anchors(torch.full((1, 5), 3), torch.ones(1, 5, dtype=torch.bool), 8, ks=(1,))
    assert constant.unigram.perplexity.value == 1.0
    assert constant.repeat_last.top[1].value == 4 / 5


def test_no_guess_blind_to_its_input_beats_the_unigram(clip: tuple[Tensor, Tensor]) -> None:
    logits, units = clip
    blind = score_units(logits[:1].expand_as(logits), units)
    unigram = unit_anchors(units[None], torch.ones(1, 42, dtype=torch.bool), 20).unigram
    assert blind.top1.mean() <= unigram.top[1].value
    assert blind.top5.mean() <= unigram.top[5].value
    assert blind.nats.mean() >= unigram.nats.value


def test_padding_does_not_change_anchors_and_wrong_targets_are_refused() -> None:
    targets, mask = torch.tensor([[1, 2, 1, -7]]), torch.tensor([[True, True, True, False]])
    assert unit_anchors(targets, mask, 8) == unit_anchors(targets[:, :3], mask[:, :3], 8)
    empty = unit_anchors(targets, torch.zeros_like(mask), 8)
    assert {guess.top[5].reason for guess in (empty.uniform, empty.unigram, empty.repeat_last)} == {
        "no position is real"
    }
    with pytest.raises(ShapeError, match=r"targets lie in \[-7, \d+\] but there are 8 units"):
        unit_anchors(targets, torch.ones_like(mask), 8)
    with pytest.raises(ConfigError, match=r"ks is \(0, 1\)"):
        unit_anchors(targets, mask, 8, ks=(0, 1))


def test_durations_count_what_agrees() -> None:
    said = [("a", 0.0, 0.1), ("b", 0.1, 0.4), ("c", 0.4, 0.9)]
    again = [("a", 1.0, 1.1), ("b", 1.1, 1.6), ("c", 1.6, 1.9)]
    assert [duration_consistency(said, again, tolerance).value for tolerance in (0, 0.1, 0.2)] == [1 / 3, 1 / 3, 1.0]
    assert duration_consistency(said, said, 0) == Score(1.0, weight=3.0)


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ([], [], "there is no symbol"),
        ([("a", 0, 1)], [], "there are 1 symbols in one recording and 0 in the other"),
        ([("a", 0, 1), ("b", 1, 2)], [("a", 0, 1), ("c", 1, 2)], "symbol 2 is 'b' in one recording and 'c'"),
        ([("a", 2, 1)], [("a", 0, 1)], "symbol 1, 'a', ends before it starts"),
        ([("a", 0, 1)], [("a", 0, math.nan)], "symbol 1, 'a', ends before it starts or has no time"),
    ],
)
def test_durations_that_do_not_belong_together_are_undefined(one: list, other: list, reason: str) -> None:
    score = duration_consistency(one, other, 0.05)
    assert not score.defined
    assert score.reason.startswith(reason)


def test_impossible_settings_of_durations_are_named() -> None:
    with pytest.raises(ConfigError, match="tolerance is -1"):
        duration_consistency([], [], -1)
