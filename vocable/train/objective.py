"""Interface between the trainer and a system: the losses of each optimizer update, with their weights."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vocable.errors import VocableError


@runtime_checkable
class Batch(Protocol):
    """A batch of training examples."""

    @property
    def names(self) -> tuple[str, ...]:
        """Source of each example, for messages."""

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""


@runtime_checkable
class Batches(Protocol):
    """Batches as a function of the step."""

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """Return this rank's slice of the global batch of a step.

        Args:
            step: Step, counted from 0.
            rank: Rank of this process.
            world: Number of processes.
        """


@runtime_checkable
class PreparedBatches(Protocol):
    """Batches that need what may be missing, such as features of a teacher."""

    def prepare(self, step: int, rank: int = 0, world: int = 1) -> Sequence[VocableError]:
        """Compute what is missing of a batch, before it is made; return errors of examples that are left out."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One optimizer update within a step.

    Attributes:
        name: Name of the part to update, one of :meth:`Objective.parts`.
        losses: Unweighted losses by name, as the log names them.
        weights: Weight of each loss at this step, by the same names.
        stats: More values to log by name, scalar or one for each codebook level.
        learning_rate: Learning rate of this update, where the part has a schedule of its own; else None.
        alarms: Warnings about this step, as sentences for the user.
        is_game: Whether the losses are one side of a game, as a discriminator's, and need not fall.
    """

    name: str
    losses: dict[str, Float[Tensor, ""]]
    weights: dict[str, float]
    stats: dict[str, Tensor] = field(default_factory=dict)
    learning_rate: float | None = None
    alarms: tuple[str, ...] = ()
    is_game: bool = False

    @property
    def total(self) -> Float[Tensor, ""]:
        """Weighted sum of the losses; a loss of weight 0 is left out, so that it costs no backward pass."""
        weighted = [self.weights[name] * loss for name, loss in self.losses.items() if self.weights[name] != 0]
        return torch.stack(weighted).sum() if weighted else torch.zeros(())


@runtime_checkable
class Objective(Protocol):
    """The networks of a system in training, and their losses."""

    def parts(self) -> Mapping[str, nn.Module]:
        """Return the networks that have an optimizer each, by the names of the turns."""

    def turns(self, batch: Any, step: int) -> Iterator[Turn]:
        """Yield the updates of one step in order.

        Each update is applied before the next one is computed, so that a discriminator's turn can precede the
        generator's.
        """

    def export(self, folder: Path) -> None:
        """Write the files that use the trained networks, such as a model folder."""
