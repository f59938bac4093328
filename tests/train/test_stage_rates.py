"""A turn that has a learning rate of its own moves by it, and the log says so; the others move by the run's."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vocable.train.objective import Turn
from vocable.train.schedule import LearningRate
from vocable.train.trainer import TrainConfig, Trainer

RATE = LearningRate(peak=0.1, warmup=2, decay=0.5)
STEPS = 8


@dataclass(frozen=True)
class Nothing:
    names: tuple[str, ...] = ("nothing",)

    def to(self, device: torch.device) -> "Nothing":
        return self


class Source:
    def batch(self, step: int, rank: int = 0, world: int = 1) -> Nothing:
        return Nothing()


class Stages:
    """Turns by name and rate, one or more a step; under their constant gradient AdamW moves a weight by the rate."""

    def __init__(self, *plan: tuple[tuple[str, float | None], ...]) -> None:
        names = {name for turns in plan for name, _ in turns}
        self.plan, self.weights = plan, {name: nn.Linear(1, 1, bias=False) for name in sorted(names)}
        self.seen: dict[str, list[Tensor]] = {name: [] for name in self.weights}

    def parts(self) -> Mapping[str, nn.Module]:
        return self.weights

    def turns(self, batch: Nothing, step: int) -> Iterator[Turn]:
        for name, part in self.weights.items():
            self.seen[name].append(part.weight.detach().clone())
        for name, rate in self.plan[step]:
            loss = self.weights[name].weight.sum()
            yield Turn(name=name, losses={"size": loss}, weights={"size": 1.0}, learning_rate=rate)

    def export(self, folder: Path) -> None:
        """Nothing."""


def trained(stages: Stages, folder: Path) -> tuple[dict[str, list[float]], list[float]]:
    """How far each part moved at each step, and the rates that were logged."""
    steps = len(stages.plan)
    config = TrainConfig(steps=steps, learning_rate=RATE, weight_decay=0.0, clip=1e9, log_every=1, save_every=steps)
    Trainer(stages, Source(), config, folder, quiet=True).run()
    moved = {
        name: [float(one - two) for one, two in pairwise([*seen, stages.weights[name].weight.detach()])]
        for name, seen in stages.seen.items()
    }
    return moved, [json.loads(line)["learning_rate"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_turns_own_rate_is_what_the_optimizer_uses_and_what_is_logged(tmp_path: Path) -> None:
    rates = [0.5, 0.25, 0.01, 0.3]
    moved, logged = trained(Stages(*((("line", rate),) for rate in rates)), tmp_path)
    assert moved["line"] == pytest.approx(rates, rel=1e-3)
    assert logged == rates


def test_without_its_own_rate_a_turn_moves_by_the_runs(tmp_path: Path) -> None:
    wanted = [RATE.at(step, STEPS) for step in range(STEPS)]
    moved, logged = trained(Stages(*((("line", None),) for _ in range(STEPS))), tmp_path)
    assert moved["line"] == pytest.approx(wanted, rel=1e-3)
    assert logged == wanted


def test_a_rate_of_its_own_does_not_outlive_its_step(tmp_path: Path) -> None:
    moved, logged = trained(Stages((("line", 0.5),), (("line", None),), (("line", 0.4),), (("line", None),)), tmp_path)
    wanted = [0.5, RATE.at(1, 4), 0.4, RATE.at(3, 4)]
    assert moved["line"] == pytest.approx(wanted, rel=1e-3)
    assert logged == pytest.approx(wanted)


def test_stages_one_after_another_follow_their_own_schedules(tmp_path: Path) -> None:
    first, second = LearningRate(peak=0.2, warmup=2), LearningRate(peak=0.05, warmup=0, decay=1.0)
    plan = [("vqvae", first.at(step, 3)) for step in range(3)] + [("prior", second.at(step, 5)) for step in range(5)]
    moved, logged = trained(Stages(*((turn,) for turn in plan)), tmp_path)
    assert moved["vqvae"] == pytest.approx([*(rate for _, rate in plan[:3]), 0, 0, 0, 0, 0], rel=1e-3)
    assert moved["prior"] == pytest.approx([0, 0, 0, *(rate for _, rate in plan[3:])], rel=1e-3)
    assert logged == [rate for _, rate in plan]


def test_turns_of_one_step_have_rates_of_their_own(tmp_path: Path) -> None:
    """What one turn brings along is not the next turn's."""
    step = (("discriminator", 0.4), ("generator", None))
    moved, logged = trained(Stages(step, step), tmp_path)
    assert logged == [RATE.at(0, 2), RATE.at(1, 2)], "the last turn's is logged"
    assert moved["discriminator"] == pytest.approx([0.4, 0.4], rel=1e-3)
    assert moved["generator"] == pytest.approx([RATE.at(0, 2), RATE.at(1, 2)], rel=1e-3)
