"""What the trainer asks of a system: turns, each with named losses and their weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn


@runtime_checkable
class Batch(Protocol):
    """What the trainer needs to know of a batch."""

    @property
    def names(self) -> tuple[str, ...]:
        """Where each row is from, for messages."""
        ...

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        ...


@runtime_checkable
class Batches(Protocol):
    """Batches as a function of the step."""

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """This rank's slice of the global batch of a step."""
        ...


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One optimizer's move within a step.

    Attributes:
        name: Which of :meth:`Objective.parts` moves.
        losses: Raw values by name; the names are the log's names.
        weights: Of the losses, by the same names, at this step.
        stats: Things to log, one value or one a level.
        learning_rate: Of this move, where the part has a schedule of its own; the run's otherwise.
        alarms: What looks wrong at this step, in words.
    """

    name: str
    losses: dict[str, Float[Tensor, ""]]
    weights: dict[str, float]
    stats: dict[str, Tensor] = field(default_factory=dict)
    learning_rate: float | None = None
    alarms: tuple[str, ...] = ()

    @property
    def total(self) -> Float[Tensor, ""]:
        """The weighted sum; a loss of weight 0 costs no gradient."""
        live = [self.weights[name] * loss for name, loss in self.losses.items() if self.weights[name] != 0]
        return torch.stack(live).sum() if live else torch.zeros(())


@runtime_checkable
class Objective(Protocol):
    """A system in training: its networks, and what they are to become."""

    def parts(self) -> Mapping[str, nn.Module]:
        """The networks that have an optimizer of their own, by the names of the turns."""
        ...

    def turns(self, batch: Any, step: int) -> Iterator[Turn]:
        """The moves of one step, in order. A generator: each turn sees the parts the turns before it moved."""
        ...

    def export(self, folder: Path) -> None:
        """Write what a user of the trained system needs into a folder."""
        ...


def clip_gradients(parameters: list[nn.Parameter], largest: float) -> float:
    """Scale gradients so that their joint norm is at most ``largest``; returns the norm before."""
    return float(nn.utils.clip_grad_norm_(parameters, largest))
