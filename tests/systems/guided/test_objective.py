"""The training objective of the guided codec, with teachers and an adversary."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vocable.data.crops import CropBatch
from vocable.quantizers import Quantized
from vocable.systems.guided import objective as module
from vocable.systems.guided import recipe as guided
from vocable.systems.guided.adversary import WaveformAdversary
from vocable.systems.guided.config import AdversaryConfig, DiscriminatorConfig, GuidedLosses
from vocable.systems.guided.networks import GuidedModel
from vocable.systems.guided.objective import Balancer, GuidedObjective
from vocable.systems.guided.teachers import DistillationOutput, Teacher
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.testing import speechlike
from vocable.train.objective import Turn
from vocable.train.schedule import Weight
from vocable.train.trainer import TrainConfig, Trainer

FRAMES, HOP = 8, 320
PLAIN = GuidedLosses(level_dropout=0.0)


class Clips:
    """Two clips, the second with two frames of padding."""

    def batch(self, step: int, rank: int = 0, world: int = 1) -> CropBatch:
        samples = torch.stack(
            [torch.from_numpy(speechlike(FRAMES * HOP, seed=2 * step + row).samples) for row in (0, 1)]
        )
        samples[1, -2 * HOP :] = 0
        mask = torch.ones(2, FRAMES, dtype=torch.bool)
        mask[1, -2:] = False
        return CropBatch(samples, mask, ("one", "two"))


class FirstLevel(Teacher):
    """A teacher whose target for the mean of level 1 is the energy of the frame."""

    name = "loudness"

    def __init__(self, weight: Weight) -> None:
        super().__init__(weight=weight, mean=torch.zeros(1), deviation=torch.ones(1))

    def distill(self, batch: CropBatch, quantized: Quantized, step: int) -> DistillationOutput:
        loudness = batch.samples.reshape(*batch.mask.shape, HOP).square().mean(-1)
        return DistillationOutput((quantized.levels[0].mean(-1) - loudness)[batch.mask].square().mean())


class LinearAdversary(WaveformAdversary):
    """An adversary with one linear layer over each frame."""

    def __init__(self, start: int = 0) -> None:
        self.start = start
        torch.manual_seed(1)
        self.network = nn.Linear(HOP, 1)
        self.fake: list[Tensor] = []

    def losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        self.fake.append(fake)
        return {"real": (1 - self._logits(real)).relu().mean(), "made": (1 + self._logits(fake)).relu().mean()}

    def generator_losses(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {
            "adversary": -self._logits(fake).mean(),
            "feature": (self._logits(fake) - self._logits(real)).abs().mean(),
        }

    def weights(self, step: int) -> dict[str, float]:
        return {"real": 1.0, "made": 0.5, "adversary": 0.1 * step, "feature": 2.0}

    def learning_rate(self, step: int) -> float | None:
        return None

    def alarms(self, losses: Mapping[str, Tensor]) -> tuple[str, ...]:
        return ()

    def _logits(self, samples: Tensor) -> Tensor:
        return self.network(samples.reshape(len(samples), -1, HOP))


def codec(losses: GuidedLosses = PLAIN, **slots: Any) -> GuidedObjective:
    torch.manual_seed(0)
    return GuidedObjective(GuidedModel(guided.tiny().model).train(), losses, **slots)


def turns(objective: GuidedObjective, step: int) -> Iterator[Turn]:
    return objective.turns(Clips().batch(step), step)


def gradient(module: nn.Module) -> float:
    return sum(float(p.grad.abs().sum()) for p in module.parameters() if p.grad is not None)


def test_terms_and_weights_follow_their_schedules() -> None:
    losses = replace(PLAIN, log_mel=Weight(value=2.0, ramp=4), waveform=Weight(value=1.0, start=3))
    objective = codec(losses)
    [early] = turns(objective, 2)
    [late] = turns(objective, 4)
    assert early.name == "generator"
    assert early.weights == {"log_mel": 1.0, "spectrum": 30.0, "commitment": 0.25}
    assert late.weights == {"waveform": 1.0, "log_mel": 2.0, "spectrum": 30.0, "commitment": 0.25}
    for turn in (early, late):
        assert turn.losses.keys() == turn.weights.keys()
        total = sum(turn.weights[name] * float(loss.detach()) for name, loss in turn.losses.items())
        assert float(turn.total.detach()) == pytest.approx(total, rel=1e-5)
    late.total.backward()
    assert gradient(objective.model.encoder) > 0
    assert gradient(objective.model.decoder) > 0


def test_a_loss_of_weight_zero_costs_nothing() -> None:
    poisoned = torch.tensor(float("nan"), requires_grad=True)
    turn = Turn(name="part", losses={"off": poisoned, "on": torch.tensor(2.0)}, weights={"off": 0.0, "on": 3.0})
    assert float(turn.total) == 6.0
    assert float(Turn(name="part", losses={"off": poisoned}, weights={"off": 0.0}).total) == 0.0


def test_quantizing_starts_at_its_step() -> None:
    objective = codec(replace(PLAIN, quantize_from=2), teachers=[FirstLevel(Weight(value=1.0))])
    model, batch = objective.model, Clips().batch(1)
    [before] = objective.turns(batch, 1)
    assert list(before.losses) == ["log_mel", "spectrum"]
    assert before.stats == {}
    assert int(model.quantizer.codebooks[0].updates) == 0
    decoded = model.reconstruct(batch.samples, batch.mask)
    expected = module.log_mel_loss(decoded, batch.samples, sample_rate=16_000)
    assert float(before.losses["log_mel"].detach()) == pytest.approx(float(expected.detach()))
    [after] = objective.turns(batch, 2)
    assert list(after.losses) == ["log_mel", "spectrum", "commitment", "loudness"]
    assert set(after.stats) == {"used", "perplexity", "entropy", "dead", "restarts"}
    assert int(model.quantizer.codebooks[0].updates) == 1


def test_trained_codebooks_are_used_from_the_first_step() -> None:
    """A run that begins from a trained codec quantizes from its first step, whatever ``quantize_from`` is."""
    trained, batch = codec(), Clips().batch(1)
    list(trained.turns(batch, 0))
    fresh = codec(replace(PLAIN, quantize_from=1_000))
    fresh.model.load_state_dict(trained.model.state_dict())
    [turn] = fresh.turns(batch, 0)
    assert "commitment" in turn.losses
    assert int(fresh.model.quantizer.codebooks[0].updates) == 2


def test_a_teacher_of_the_first_level_reaches_the_encoder_once_its_weight_starts() -> None:
    objective = codec(teachers=[FirstLevel(Weight(value=4.0, start=3))])
    off = replace(PLAIN, **{name: Weight(value=0.0) for name in ("log_mel", "spectrum", "commitment")})
    objective.losses = off
    [early] = turns(objective, 2)
    [late] = turns(objective, 3)
    assert (early.weights["loudness"], late.weights["loudness"]) == (1.0, 4.0)
    assert not early.total.requires_grad, "before its weight starts, no gradient reaches the codec"
    assert float(late.total.detach()) == pytest.approx(4 * float(late.losses["loudness"].detach()))
    late.total.backward()
    assert gradient(objective.model.encoder) > 0
    assert gradient(objective.model.decoder) == 0


def test_the_adversary_is_trained_from_its_first_step() -> None:
    adversary = LinearAdversary(start=3)
    objective = codec(adversary=adversary)
    assert set(objective.parts()) == {"generator", "discriminator"}
    assert set(codec().parts()) == {"generator"}
    [alone] = turns(objective, 2)
    assert alone.name == "generator"
    assert "adversary" not in alone.losses
    first, second = turns(objective, 3)
    assert (first.name, second.name) == ("discriminator", "generator")
    assert first.weights == {"real": 1.0, "made": 0.5}
    assert second.weights == {
        "log_mel": 1.0, "spectrum": 30.0, "commitment": 0.25, "adversary": pytest.approx(0.3), "feature": 2.0,
    }  # fmt: skip


def test_the_discriminators_turn_has_no_gradient_of_the_generator() -> None:
    adversary = LinearAdversary()
    objective = codec(adversary=adversary)
    moves = turns(objective, 5)
    next(moves).total.backward()
    assert not adversary.fake[0].requires_grad
    assert gradient(adversary.network) > 0
    assert gradient(objective.model) == 0
    with torch.no_grad():
        adversary.network.weight += 1.0
    turn = next(moves)
    frames = adversary.fake[0].reshape(-1, HOP)
    assert float(turn.losses["adversary"].detach()) == pytest.approx(
        -float(adversary.network(frames).mean().detach()), rel=1e-4
    )
    turn.total.backward()
    assert gradient(objective.model.encoder) > 0


def test_a_balance_weighs_losses_on_the_waveform_and_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of each loss on samples has its share of a norm of 2; commitment and teacher keep their weights."""
    adversary = WaveformAdversary(
        AdversaryConfig(discriminators=DiscriminatorConfig(periods=(2,), period_width=1, scales=0, windows=())),
        adversarial=Weight(value=4.0), feature=Weight(value=3.0), steps=9,
    )  # fmt: skip
    objective = codec(
        replace(PLAIN, balance=2.0, spectrum=Weight(value=2.0)), teachers=[FirstLevel(Weight(value=4.0))],
        adversary=adversary,
    )  # fmt: skip
    norms: dict[str, float] = {}
    balance = Balancer.forward

    def record_norms(
        self: Balancer, decoded: Tensor, losses: Mapping[str, Tensor], weights: Mapping[str, float]
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        for name, loss in losses.items():
            norms[name] = float(torch.autograd.grad(loss, decoded, retain_graph=True)[0].flatten(1).norm(dim=1).mean())
        return balance(self, decoded, losses, weights)

    monkeypatch.setattr(Balancer, "forward", record_norms)
    *_, turn = turns(objective, 3)
    shares = {name: turn.weights[name] * norm for name, norm in norms.items()}
    requested = {"log_mel": 1.0, "spectrum": 2.0, "adversarial": 4.0, "feature": 3.0}
    assert shares == pytest.approx({name: 2.0 * value / 10.0 for name, value in requested.items()}, rel=1e-4)
    assert (turn.weights["commitment"], turn.weights["loudness"]) == (0.25, 4.0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_teacher_and_adversary_in_a_run(tmp_path: Path, precision: str) -> None:
    adversary = LinearAdversary(start=2)
    objective = codec(replace(PLAIN, quantize_from=1), teachers=[FirstLevel(Weight(value=1.0))], adversary=adversary)
    weights: list[Tensor] = []
    config = TrainConfig(steps=4, log_every=1, save_every=4, precision=precision)  # type: ignore[arg-type]
    trainer = Trainer(objective, Clips(), config, tmp_path, quiet=True)
    report = trainer._report

    def record(log: Any, values: dict[str, Any]) -> None:
        weights.append(adversary.network.weight.detach().clone())
        assert all(torch.isfinite(torch.tensor(value)).all() for value in values.values())
        assert ("discriminator/total" in values, "generator/loudness" in values) == (trainer.step > 2, trainer.step > 1)
        report(log, values)

    trainer._report = record  # type: ignore[method-assign]
    trainer.run()
    moved = [not torch.equal(before, after) for before, after in pairwise(weights)]
    assert moved == [False, True, True]
    assert (
        GuidedTokenizer.load(tmp_path / "checkpoints/step-00000004").digest == GuidedTokenizer(objective.model).digest
    )


def test_level_dropout_is_the_same_for_a_clip_however_many_processes_share_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objective = codec(GuidedLosses(level_dropout=0.5))
    full_batch = torch.stack([objective._draw_levels(12, step) for step in range(40)])
    for size in (2, 3):
        shares = []
        for rank in range(size):
            monkeypatch.setattr(module, "world", lambda rank=rank, size=size: (rank, size))
            shares.append(torch.stack([objective._draw_levels(12 // size, step) for step in range(40)]))
        assert torch.equal(torch.cat(shares, dim=1), full_batch)
    monkeypatch.undo()
    assert torch.equal(full_batch, torch.stack([objective._draw_levels(12, step) for step in range(40)]))
    assert len(full_batch.unique(dim=0)) == 40, "steps share their draw"
    assert sorted(full_batch.unique().tolist()) == [1, 2, 3, 4]
    full = float((full_batch == 4).float().mean())  # half keep all levels, and a quarter of the others draws all
    assert full == pytest.approx(0.5 + 0.5 / 4, abs=0.08)
    assert torch.equal(codec()._draw_levels(12, 3), torch.full((12,), 4))
    other = codec(GuidedLosses(level_dropout=0.5), seed=1)
    assert not torch.equal(full_batch, torch.stack([other._draw_levels(12, step) for step in range(40)]))


def test_dropped_levels_reach_the_quantizer(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = codec(GuidedLosses(level_dropout=1.0))
    monkeypatch.setattr(objective, "_draw_levels", lambda size, step: torch.tensor([1, 2]))
    list(turns(objective, 0))
    updates = [int(book.updates) for book in objective.model.quantizer.codebooks]
    counts = [float(book.counts.sum()) for book in objective.model.quantizer.codebooks]
    assert updates == [1, 1, 0, 0]
    assert counts == pytest.approx([14.0, 6.0, 0.0, 0.0])  # 8 and 6 frames that are real


def test_export_writes_the_current_tokenizer(tmp_path: Path) -> None:
    objective = codec()
    list(turns(objective, 0))
    objective.export(tmp_path / "model")
    assert objective.model.training, "exporting ended the training mode"
    clip = speechlike(3_000, seed=5)
    expected = GuidedTokenizer(objective.model)
    fresh = GuidedTokenizer.load(tmp_path / "model")
    assert fresh.digest == expected.digest
    assert torch.equal(fresh.encode(clip).ids, expected.encode(clip).ids)
