"""What is said when learning goes wrong: a contrastive factor at its limit, a voice that says nothing."""

import math

import pytest
import torch

from tests.systems.ctap.conftest import at_once, learner, turn
from vocable.systems.ctap.data import AlignedBatch, AlignedWindows
from vocable.systems.ctap.networks import MAX_LOGIT_SCALE
from vocable.systems.ctap.objective import consistency_alarm, phoneme_alarm
from vocable.train.schedule import Weight


def test_nothing_wrong_says_nothing(material: AlignedWindows, batch: AlignedBatch) -> None:
    assert turn(learner(material, at_once(kl_floor=0.0)), batch).alarms == ()


@pytest.mark.parametrize(("factor", "alarm"), [(98.0, False), (99.5, True), (1e4, True)])
def test_a_factor_at_its_limit_is_told(
    material: AlignedWindows, batch: AlignedBatch, factor: float, alarm: bool
) -> None:
    objective = learner(material, at_once(kl_floor=0.0))
    with torch.no_grad():
        objective.model.transcoder.logit_scale.fill_(math.log(factor))
    said = turn(objective, batch).alarms
    assert said == (
        ("the contrastive factor is at its limit of 100: similarities cannot get sharper",) if alarm else ()
    )


def test_a_voice_that_says_nothing_is_told_once_kl_counts(material: AlignedWindows, batch: AlignedBatch) -> None:
    losses = at_once(kl_floor=1e6, kl=Weight(value=1.0, start=3))
    assert turn(learner(material, losses), batch, step=2).alarms == ()
    found = turn(learner(material, losses), batch, step=3)
    assert found.alarms == ("KL is at its floor of 1e+06 nat: the voice embedding carries no information",)
    assert float(found.losses["kl"].detach()) == 0.0


def test_a_factor_over_its_limit_comes_back_and_can_fall_again(material: AlignedWindows, batch: AlignedBatch) -> None:
    objective = learner(material)
    part = objective.model.transcoder
    with torch.no_grad():
        part.logit_scale.fill_(math.log(MAX_LOGIT_SCALE) + 2.0)
    loss = turn(objective, batch).losses["contrastive"]
    assert float(part.similarity_scale().detach()) == pytest.approx(
        MAX_LOGIT_SCALE / math.sqrt(part.quantizer.dim), rel=1e-4
    )
    loss.backward()
    assert float(part.logit_scale.grad) > 0  # of random vectors: less sharp is better


def test_decoders_that_learned_nothing_are_told_after_their_time(
    material: AlignedWindows, batch: AlignedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = learner(material, at_once(kl_floor=0.0))
    assert turn(objective, batch, step=15).alarms == ()
    monkeypatch.setattr("vocable.systems.ctap.objective._MIN_STEPS", 10)
    with torch.no_grad():
        objective.model.transcoder.phoneme_decoder.to(torch.float32)
        for parameter in objective.model.transcoder.phoneme_decoder.parameters():
            parameter.zero_()  # every phoneme is as likely: log 40 nats
    assert any("the tokens tell no phonemes" in line for line in turn(objective, batch, step=15).alarms)
    assert turn(objective, batch, step=5).alarms == ()


def test_a_decoder_that_tells_phonemes_and_voices_is_not_told() -> None:
    labels = torch.tensor([0, 0, 1, 2])
    entropy = -(0.5 * math.log(0.5) + 0.5 * math.log(0.25))
    assert phoneme_alarm(torch.tensor(entropy - 0.01), labels) == ()
    assert f"{entropy:.2f} without any speech" in phoneme_alarm(torch.tensor(entropy + 0.01), labels)[0]
    assert phoneme_alarm(torch.tensor(9.0), labels[:0]) == ()
    voices = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert consistency_alarm(torch.tensor(0.9), voices) == ()
    assert "does not have the voice" in consistency_alarm(torch.tensor(1.1), voices)[0]
    assert consistency_alarm(torch.tensor(9.0), voices[:1]) == ()
