"""Units and durations: equal to the naive computation, blind to padding, never lucky in a tie."""

import math

import pytest
import torch
from torch import Tensor

from vocable.errors import ConfigError, ShapeError
from vocable.metrics.score import Score, summarise
from vocable.metrics.units import (
    duration_consistency,
    duration_mse,
    unit_accuracy,
    unit_anchors,
)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    targets = torch.randint(0, 20, (3, 30), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(30)[None] < torch.tensor([30, 11, 1])[:, None]
    logits = _random(3, 30, 20) + 2 * torch.nn.functional.one_hot(targets, 20)
    return logits, targets, mask


def test_accuracy_and_cross_entropy_equal_torch(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, targets, mask = batch
    found = unit_accuracy(logits, targets, mask, ks=(1, 5)).model
    for k in (1, 5):
        likeliest = logits[mask].topk(k).indices
        wanted = (likeliest == targets[mask][:, None]).any(dim=1).double().mean()
        assert found.top[k].value == pytest.approx(float(wanted), abs=1e-12)
        assert found.top[k].weight == 42.0
    loss = float(torch.nn.functional.cross_entropy(logits[mask], targets[mask]))
    assert found.nats.value == pytest.approx(loss, rel=1e-6)
    assert found.perplexity.value == pytest.approx(math.exp(loss), rel=1e-6)


def test_padding_and_batching_change_nothing(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, targets, mask = batch
    whole = unit_accuracy(logits, targets, mask)
    padded = unit_accuracy(
        logits.masked_fill(~mask[..., None], math.nan), targets.masked_fill(~mask, -100), mask
    )  # fmt: skip
    assert padded == whole
    rows = [unit_accuracy(logits[at, None], targets[at, None], mask[at, None]).model for at in range(3)]
    assert summarise([row.top[1] for row in rows]).mean == pytest.approx(whole.model.top[1].value, abs=1e-12)
    assert summarise([row.nats for row in rows]).mean == pytest.approx(whole.model.nats.value, rel=1e-6)


def test_ties_are_misses() -> None:
    flat = torch.zeros(1, 4, 8)
    found = unit_accuracy(flat, torch.zeros(1, 4, dtype=torch.long), torch.ones(1, 4, dtype=torch.bool), ks=(1, 7))
    assert (found.model.top[1].value, found.model.top[7].value) == (0.0, 0.0)
    assert found.model.perplexity.value == pytest.approx(8.0)


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


def test_no_model_blind_to_its_input_beats_the_unigram(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, targets, mask = batch
    blind = unit_accuracy(logits[:1, :1].expand_as(logits), targets, mask)
    assert all(blind.model.top[k].value <= blind.anchors.unigram.top[k].value for k in (1, 5))
    assert blind.model.nats.value >= blind.anchors.unigram.nats.value


def test_degenerate_units_are_undefined_and_wrong_ones_refused(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, targets, mask = batch
    empty = unit_accuracy(logits, targets, torch.zeros_like(mask))
    everything = [empty.model, empty.anchors.uniform, empty.anchors.unigram, empty.anchors.repeat_last]
    assert {guess.top[5].reason for guess in everything} == {"no position is real"}
    broken = unit_accuracy(logits.index_fill(2, torch.tensor([3]), math.nan), targets, mask)
    assert broken.model.top[1].reason == broken.model.perplexity.reason == "the logits hold NaN"
    assert broken.anchors.unigram.top[1].defined
    assert unit_accuracy(torch.full_like(logits, math.inf), targets, mask).model.nats.reason == "a logit is infinite"
    impossible = unit_accuracy(logits.scatter(2, targets[..., None], -math.inf), targets, mask)
    assert impossible.model.perplexity.value == math.inf
    assert impossible.model.top[5].value == 0.0
    with pytest.raises(ShapeError, match=r"targets lie in \[-1, \d+\] but there are 20 units"):
        unit_accuracy(logits, targets.index_fill(1, torch.tensor([0]), -1), mask)
    with pytest.raises(ConfigError, match=r"ks is \(0, 1\)"):
        unit_accuracy(logits, targets, mask, ks=(0, 1))


def test_durations_count_what_agrees() -> None:
    said = [("a", 0.0, 0.1), ("b", 0.1, 0.4), ("c", 0.4, 0.9)]
    again = [("a", 1.0, 1.1), ("b", 1.1, 1.6), ("c", 1.6, 1.9)]
    assert [duration_consistency(said, again, tolerance).value for tolerance in (0, 0.1, 0.2)] == [1 / 3, 1 / 3, 1.0]
    assert duration_mse(said, again, 100.0).value == pytest.approx((20**2 + 20**2) / 3)
    assert duration_mse(said, again, 100.0).weight == 3.0
    assert duration_mse(again, said, 100.0) == duration_mse(said, again, 100.0)
    assert duration_consistency(said, said, 0) == Score(1.0, weight=3.0)
    assert duration_mse(said, said, 100.0).value == 0.0


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
    for score in (duration_consistency(one, other, 0.05), duration_mse(one, other, 100)):
        assert not score.defined
        assert score.reason.startswith(reason)


def test_impossible_settings_of_durations_are_named() -> None:
    with pytest.raises(ConfigError, match="tolerance is -1"):
        duration_consistency([], [], -1)
    with pytest.raises(ConfigError, match="frame_rate is 0"):
        duration_mse([], [], 0)
