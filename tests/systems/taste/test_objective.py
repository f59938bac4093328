"""What TASTE learns: each term by hand, the stages, the rows that hear nothing, what stays frozen, the alarm."""

import math
from dataclasses import replace

import pytest
import torch

from tests.systems.taste.made import UNITS, batch_of, clock, model_of, relative
from vocable.errors import ConfigError
from vocable.systems.taste.objective import (
    TasteLosses,
    TasteObjective,
    alignment_loss,
    append_end,
    attention_centers,
    duration_loss,
    unit_loss,
)
from vocable.train.schedule import Weight

SIZES = ((5, 30, 15), (3, 20, 9), (4, 24, 12))


def test_the_end_is_a_target_and_padding_is_none() -> None:
    batch = batch_of(*SIZES)
    targets = append_end(batch.units, batch.unit_mask, end=UNITS.size)
    assert (targets == UNITS.size).nonzero().tolist() == [[0, 15], [1, 9], [2, 12]]
    logits = torch.zeros(3, 16, UNITS.size + 1)
    logits.scatter_(2, targets.clamp(min=0)[..., None], 50.0)
    loss, found = unit_loss(logits, batch)
    assert float(loss) == pytest.approx(0.0, abs=1e-6)
    assert (float(found["top1"]), float(found["top5"])) == (1.0, 1.0)
    uniform, found = unit_loss(torch.zeros_like(logits), batch)
    assert float(uniform) == pytest.approx(math.log(UNITS.size + 1), rel=1e-5)


def test_attention_in_the_span_costs_nothing() -> None:
    batch = batch_of(*SIZES)
    frames = batch.frame_mask.shape[1]
    middles = batch.spans.mean(2) * 2  # 25 units and 50 frames a second
    weights = torch.zeros(3, 2, 5, frames)
    weights.scatter_(3, middles.round().long().clamp(0, frames - 1)[:, None, :, None].expand(-1, 2, -1, -1), 1.0)
    cost, off = alignment_loss(weights, batch, UNITS.frame_rate)
    assert float(cost) == pytest.approx(0.0, abs=1e-6)
    assert float(off) <= 10.0  # ms: half a frame
    far, _ = alignment_loss(weights.flip(3), batch, UNITS.frame_rate)
    assert float(far) > 1.0
    none, _ = alignment_loss(
        weights.flip(3), replace(batch, aligned=torch.zeros(3, dtype=torch.bool)), UNITS.frame_rate
    )
    assert float(none) == 0.0


def test_heads_in_order_each_hear_their_part() -> None:
    batch = batch_of((2, 40, 20))
    spans = torch.tensor([[[0.0, 10.0], [10.0, 20.0]]])
    batch = replace(batch, spans=spans)
    weights = torch.zeros(1, 2, 2, 40)
    weights[0, 0, 0, 5], weights[0, 1, 0, 15] = 1.0, 1.0  # units 2.5 and 7.5: the halves of the first subword
    weights[0, 0, 1, 25], weights[0, 1, 1, 35] = 1.0, 1.0
    right, off = alignment_loss(weights, batch, UNITS.frame_rate, ordered=True)
    assert float(right) == pytest.approx(0.0, abs=1e-6)
    assert float(off) == pytest.approx(0.0, abs=1e-3)
    swapped, _ = alignment_loss(weights.flip(1), batch, UNITS.frame_rate, ordered=True)
    assert float(swapped) > 10.0
    anywhere, _ = alignment_loss(weights.flip(1), batch, UNITS.frame_rate)
    assert float(anywhere) == pytest.approx(0.0, abs=1e-6)


def test_the_centre_of_attention_is_in_units() -> None:
    looked = torch.zeros(1, 10)
    looked[0, 4] = looked[0, 8] = 0.5
    assert attention_centers(looked, rate=25.0).tolist() == [3.0]


def test_durations_are_learnt_piece_by_piece_or_as_a_whole() -> None:
    batch = batch_of(*SIZES)
    right = (batch.spans[..., 1] - batch.spans[..., 0]).clamp(min=0.25).log()
    assert float(duration_loss(right, batch)) == pytest.approx(0.0, abs=1e-6)
    assert float(duration_loss(right + 0.5, batch)) == pytest.approx(0.25, rel=1e-4)
    guessed = replace(batch, aligned=torch.zeros(3, dtype=torch.bool))
    flat = torch.log(batch.unit_mask.sum(1) / batch.subword_mask.sum(1))[:, None].expand(-1, 5)
    assert float(duration_loss(flat, guessed)) == pytest.approx(0.0, abs=1e-6)


def _turn(losses: TasteLosses, step: int, **changes: object):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    objective = TasteObjective(model_of(clock(**changes)), losses)
    return objective, next(objective.turns(batch_of(*SIZES), step))


def test_three_stages() -> None:
    losses = TasteLosses(speech_from=2, quantized_from=4, durations=Weight(value=0.5), alignment=Weight(value=0.1))
    _, first = _turn(losses, 1)
    _, second = _turn(losses, 2)
    _, third = _turn(losses, 4)
    assert set(first.losses) == {"units", "durations"}
    assert set(second.losses) == {"units", "durations", "alignment"}
    assert set(third.losses) == {"units", "durations", "alignment", "commitment"}
    assert third.weights["durations"] == 0.5
    assert "heard_to_said" not in first.stats
    assert len(third.stats["used"]) == 2


def test_text_alone_teaches_the_aggregator_nothing() -> None:
    objective, turn = _turn(TasteLosses(text_only=0.999999), 0)
    turn.losses["units"].backward()
    heard = [one.grad for one in objective.model.aggregator.parameters() if one.grad is not None]
    assert all(float(one.abs().sum()) == 0 for one in heard)
    objective, turn = _turn(TasteLosses(), 0)
    turn.losses["units"].backward()
    assert sum(float(one.grad.abs().sum()) for one in objective.model.aggregator.parameters() if one.grad is not None)


def test_the_seed_trains_the_text_side_and_leaves_the_unit_model() -> None:
    objective = TasteObjective(model_of(relative(freeze_lm=True)), TasteLosses())
    turn = next(objective.turns(batch_of(*SIZES), 0))
    turn.total.backward()
    model = objective.model
    assert all(one.grad is None for one in model.lm.decoder.parameters())
    assert all(one.grad is not None for one in model.text.encoder.parameters())
    assert model.text.embedding.weight.grad is not None


def test_speech_that_is_not_heard_is_an_alarm() -> None:
    objective = TasteObjective(model_of(relative()), TasteLosses())
    with torch.no_grad():
        for one in objective.model.aggregator.layers[0].out.parameters():
            one.zero_()
    assert next(objective.turns(batch_of(*SIZES), 499)).alarms == ()
    (alarm,) = next(objective.turns(batch_of(*SIZES), 500)).alarms
    assert "the speech is ignored" in alarm


def test_shares_and_steps_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"text_only is 1\.0"):
        TasteLosses(text_only=1.0)
    with pytest.raises(ConfigError, match="speech_from is -1"):
        TasteLosses(speech_from=-1)
