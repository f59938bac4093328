"""A batch of numbers, and two objectives that know nothing about speech."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vocable.quantizers import VectorQuantizer
from vocable.train.objective import Turn
from vocable.train.schedule import LearningRate
from vocable.train.trainer import TrainConfig, Trainer

RATE = LearningRate(peak=0.1, warmup=3, decay=0.5)
CONFIG = TrainConfig(steps=6, learning_rate=RATE, weight_decay=0.0, clip=1e9, log_every=2, save_every=6)


@dataclass(frozen=True)
class Numbers:
    values: Tensor
    names: tuple[str, ...]

    def to(self, device: torch.device) -> "Numbers":
        return Numbers(self.values.to(device), self.names)


class Source:
    """Four rows of three numbers, a function of the step; with a NaN in the steps named."""

    def __init__(self, *bad: int) -> None:
        self.bad = bad

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Numbers:
        values = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
        if step in self.bad:
            values[2, 1] = float("nan")
        return Numbers(values, tuple(f"row {row} of step {step}" for row in range(4)))


class Line:
    """One part, one loss: any function of a linear layer and the batch."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor] | None = None, **stats: Tensor) -> None:
        torch.manual_seed(0)
        self.layer, self.stats = nn.Linear(3, 2), stats
        self.loss = loss or (lambda made, _: made.square().mean())
        self.seen: list[Any] = []

    def parts(self) -> Mapping[str, nn.Module]:
        return {"line": self.layer}

    def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
        made = self.layer(batch.values)
        self.seen.append((made.dtype, self.layer.weight.detach().clone()))
        yield Turn(name="line", losses={"size": self.loss(made, batch.values)}, weights={"size": 2.0}, stats=self.stats)

    def export(self, folder: Path) -> None:
        (folder / "model.txt").write_text("exported")


class Duel:
    """Two parts, and noise from torch; the generator also has a codebook, which learns in its forward pass."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.generator = nn.ModuleDict({"layer": nn.Linear(3, 2), "book": VectorQuantizer(codebook_size=4, dim=2)})
        self.discriminator = nn.Linear(2, 1)
        self.story: list[tuple[str, Tensor, Tensor]] = []
        self.bad: set[tuple[str, int]] = set()

    def parts(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def turns(self, batch: Numbers, step: int) -> Iterator[Turn]:
        made = self.generator["layer"](batch.values) + 0.1 * torch.randn(4, 2)
        made = self.generator["book"](made[None], torch.ones(1, 4, dtype=torch.bool)).latents[0]
        for name, given in (("discriminator", made.detach()), ("generator", made)):
            self.story.append((name, *(part.weight.detach().clone() for part in self._networks())))
            judged = self.discriminator(given).mean() * (float("nan") if (name, step) in self.bad else 1.0)
            sign = 1.0 if name == "generator" else -1.0
            yield Turn(name=name, losses={"judged": sign * judged}, weights={"judged": 0.5})

    def export(self, folder: Path) -> None:
        """Nothing."""

    def _networks(self) -> tuple[nn.Linear, nn.Linear]:
        return self.generator["layer"], self.discriminator


def state(trainer: Trainer) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, part in trainer.parts.items()
        for key, value in part.state_dict().items()
    }


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
