"""The loop: turns, gradients, rates and precision."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tests.train.objectives import CONFIG, RATE, Duel, Line, Numbers, Source, lines
from vocable.errors import ConfigError, TrainingError
from vocable.train.schedule import LearningRate
from vocable.train.trainer import TrainConfig, Trainer


def test_the_discriminator_moves_first_and_the_generator_sees_it(tmp_path: Path) -> None:
    duel = Duel()
    Trainer(duel, Source(), replace(CONFIG, steps=2), tmp_path, quiet=True).run()
    assert [name for name, *_ in duel.story] == ["discriminator", "generator"] * 2
    (_, g1, d1), (_, g2, d2), (_, g3, d3), _ = duel.story
    assert torch.equal(g1, g2)
    assert not torch.equal(d1, d2)
    assert not torch.equal(g2, g3)
    assert torch.equal(d2, d3), "the generator's turn moved the discriminator"


def test_a_turn_steps_with_its_own_gradient_alone(tmp_path: Path) -> None:
    """What the generator's turn leaves on the discriminator is cleared before the discriminator's next turn.

    The discriminator maximises its mean: AdamW with no memory moves each weight by the rate, up the mean's sign.
    """
    duel = Duel()
    config = replace(CONFIG, steps=3, betas=(0.0, 0.0))
    Trainer(duel, Source(), config, tmp_path, quiet=True).run()
    for step in range(3):
        before, after = duel.story[2 * step][2], duel.story[2 * step + 1][2]
        moved = (after - before).abs()
        assert torch.allclose(moved, torch.full_like(moved, RATE.at(step, 3)), rtol=1e-3)


def test_the_rate_follows_its_schedule(tmp_path: Path) -> None:
    """Under a constant gradient AdamW moves a weight by exactly the rate."""
    line = Line(lambda made, values: made.sum() - (made - made.detach()).sum() + line.layer.weight.sum())
    Trainer(line, Source(), CONFIG, tmp_path, quiet=True).run()
    weights = [weight for _, weight in line.seen] + [line.layer.weight.detach()]
    for step, (before, after) in enumerate(pairwise(weights)):
        moved = before - after
        assert torch.allclose(moved, torch.full_like(moved, RATE.at(step, 6)), rtol=1e-3)
    assert [entry["learning_rate"] for entry in lines(tmp_path)] == [RATE.at(step, 6) for step in (1, 3, 5)]


@pytest.mark.parametrize(("clip", "left"), [(0.5, 0.5), (1e9, None)])
def test_gradients_are_clipped_to_their_joint_norm(tmp_path: Path, clip: float, left: float | None) -> None:
    line = Line(lambda made, _: 1e3 * made.square().mean())
    Trainer(line, Source(), replace(CONFIG, steps=1, clip=clip, log_every=1), tmp_path, quiet=True).run()
    norm = float(torch.cat([p.grad.flatten() for p in line.layer.parameters()]).norm())
    logged = lines(tmp_path)[0]["line/gradient_norm"]
    assert logged > 100
    assert norm == pytest.approx(logged if left is None else left, rel=1e-4)


def test_matrices_decay_and_vectors_do_not(tmp_path: Path) -> None:
    line = Line(lambda made, _: 0 * made.sum())
    weight, bias = line.layer.weight.detach().clone(), line.layer.bias.detach().clone()
    rate = LearningRate(peak=0.1, warmup=0, decay=0.0)
    config = replace(CONFIG, steps=1, weight_decay=0.5, learning_rate=rate)
    Trainer(line, Source(), config, tmp_path, quiet=True).run()
    assert torch.allclose(line.layer.weight, weight * (1 - 0.1 * 0.5))
    assert torch.equal(line.layer.bias, bias)


def test_bfloat16_on_a_cpu(tmp_path: Path) -> None:
    """Layers compute in bfloat16, weights and moments stay in float32, and it learns."""
    line = Line()
    config = replace(CONFIG, steps=40, precision="bfloat16", log_every=1)
    trainer = Trainer(line, Source(), config, tmp_path, quiet=True)
    trainer.run()
    assert {dtype for dtype, _ in line.seen} == {torch.bfloat16}
    assert line.layer.weight.dtype == torch.float32
    moments = [value for entry in trainer.optimizers["line"].state_dict()["state"].values() for value in entry.values()]
    assert {moment.dtype for moment in moments} == {torch.float32}
    totals = [entry["line/total"] for entry in lines(tmp_path)]
    assert sum(totals[-5:]) < 0.5 * sum(totals[:5])


def test_a_source_that_fails_is_heard(tmp_path: Path) -> None:
    class Broken(Source):
        def batch(self, step: int, rank: int = 0, world: int = 1) -> Numbers:
            if step == 2:
                raise TrainingError("the disk is gone")
            return super().batch(step, rank, world)

    trainer = Trainer(Line(), Broken(), CONFIG, tmp_path, quiet=True)
    with pytest.raises(TrainingError, match="the disk is gone"):
        trainer.run()
    assert trainer.step == 2


@pytest.mark.parametrize("name", ["steps", "log_every", "save_every", "keep"])
def test_counts_are_at_least_one(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is 0: .*greater than or equal to 1"):
        TrainConfig(**{"steps": 1, name: 0})
