"""Base of all training batches: settings and random draws.

A batch depends on the seed and the step and nothing else. A run that resumes therefore sees the same batches without
any stored reader state, and N processes share one global batch by taking slices of it.
"""

from dataclasses import dataclass, fields, replace
from math import inf
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from vocable.errors import ConfigError
from vocable.schema import config

_Batch = TypeVar("_Batch", bound="TensorBatch")


@dataclass(frozen=True)
class TensorBatch:
    """Base of batches: records of tensors, of mappings to tensors, and of other values.

    Example:
        >>> @dataclass(frozen=True)
        ... class Words(TensorBatch):
        ...     ids: Tensor
        ...     names: tuple[str, ...]
        >>> Words(torch.zeros(2), ("one", "two")).to(torch.device("meta"))
        Words(ids=tensor(..., device='meta', size=(2,)), names=('one', 'two'))
    """

    def to(self: _Batch, device: torch.device) -> _Batch:
        """Return the batch on a device."""
        return replace(self, **{field.name: _to_device(getattr(self, field.name), device) for field in fields(self)})


def _to_device(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {name: _to_device(one, device) for name, one in value.items()}
    return value.to(device) if isinstance(value, Tensor) else value


@config
class BatchConfig:
    """Settings that all kinds of batches have.

    A kind adds its own fields, sets ``kind``, and checks its fields in ``__post_init__`` after those of this class.

    Attributes:
        batch_size: Rows of the global batch, over all processes.
        gain_db: Range of the random gain, in dB.
        seed: Seed of all random draws.
        check: Whether every recording is decoded once before the first step, so that damaged ones are left out. With
            false, only headers are read, and a damaged recording stops the run when it is drawn.

    Raises:
        ConfigError: If a value is out of range.

    Example:
        >>> first, second = BatchConfig(batch_size=4).draws(step=7, rank=1, world=2)
        >>> first.random() == BatchConfig(batch_size=4).draws(step=7)[2].random()  # the third row of the global batch
        True
    """

    kind: ClassVar[str] = "batches"  # name in messages

    batch_size: int = 16
    gain_db: tuple[float, float] = (0.0, 0.0)
    seed: int = 0
    check: bool = True

    def __post_init__(self) -> None:
        self._check("batch_size", 1, 1 << 20)
        self._check("seed", 0, 1 << 62)
        if self.gain_db[0] > self.gain_db[1]:
            raise ConfigError(f"{self.kind}: gain_db is {self.gain_db}: the lower bound comes first")

    def draws(self, step: int, rank: int = 0, world: int = 1) -> list[np.random.Generator]:
        """Return one random generator for each row of this rank's slice of the global batch.

        A generator depends on seed, step and row alone.

        Raises:
            ConfigError: If the batch cannot be shared evenly.
        """
        share, remainder = divmod(self.batch_size, world)
        if remainder:
            raise ConfigError(f"a batch of {self.batch_size} cannot be shared by {world} ranks; take a multiple")
        return [np.random.default_rng((self.seed, step, row)) for row in range(rank * share, (rank + 1) * share)]

    def _check_speeds(self, speeds: tuple[float, float]) -> None:
        """Raise a ConfigError if a range of playback speeds is out of bounds."""
        low, high = speeds
        if not 0.5 <= low <= high <= 2:
            raise ConfigError(
                f"{self.kind}: speed_range is {speeds}: it must lie between 0.5 and 2, the lower bound first"
            )

    def _check(self, name: str, smallest: int, largest: int | float = inf) -> None:
        value = getattr(self, name)
        if not smallest <= value <= largest:
            bound = f"most {largest}" if value > largest else f"least {smallest}"
            raise ConfigError(f"{self.kind}: {name} is {value}: it must be at {bound}")
