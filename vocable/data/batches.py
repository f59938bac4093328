"""Base of all training batches: settings, random draws, and the clips that batches are drawn from.

A batch depends on the seed and the step and nothing else. A run that resumes therefore sees the same batches without
any stored reader state, and N processes share one global batch by taking slices of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int16
from numpy import ndarray
from torch import Tensor

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError, AudioError, ConfigError, ManifestError
from vocable.schema import config

Info = TypeVar("Info")
_Batch = TypeVar("_Batch", bound="TensorBatch")

_SCALE = 32768.0  # full scale of 16-bit samples


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

    def _check(self, name: str, smallest: int, largest: int | float = inf) -> None:
        value = getattr(self, name)
        if not smallest <= value <= largest:
            bound = f"most {largest}" if value > largest else f"least {smallest}"
            raise ConfigError(f"{self.kind}: {name} is {value}: it must be at {bound}")


class ClipStore(Generic[Info]):
    """Recordings in memory as 16-bit samples. A file is stored once, however often it is listed.

    Args:
        utterances: Utterances to read. An utterance that is listed twice counts twice.
        sample_rate: Sample rate in Hz; recordings of another rate are resampled.
        inspect: Function from an utterance and its samples (T,) to what the kind of batch needs to know of the clip. If
            it raises an AudioError or AlignmentError, the utterance is left out.

    Attributes:
        utterances: Usable utterances, in order.
        infos: Result of ``inspect`` for each of them.
        problems: Errors of the others; each names its line and its file.

    Raises:
        ManifestError: If no utterance can be used.
    """

    def __init__(
        self, utterances: Sequence[Utterance], sample_rate: int,
        inspect: Callable[[Utterance, Float[ndarray, " T"]], Info],
    ) -> None:  # fmt: skip
        self.problems: list[AudioError | AlignmentError] = []
        by_path: dict[Path, list[int]] = {}
        for index, utterance in enumerate(utterances):
            by_path.setdefault(utterance.audio_path, []).append(index)
        kept: dict[int, tuple[Info, Int16[ndarray, " T"]]] = {}
        for path, indices in by_path.items():
            try:
                samples = Audio.read(path, sample_rate).samples
                clip = np.clip(samples * _SCALE, -_SCALE, _SCALE - 1).round().astype(np.int16)
            except (AudioError, MemoryError) as error:
                self.problems.append(utterances[indices[0]].locate_error(_named(error)))
                continue
            for index in indices:
                try:
                    kept[index] = inspect(utterances[index], samples), clip
                except (AudioError, AlignmentError, MemoryError) as error:  # its message may not name the file
                    self.problems.append(utterances[index].locate_error(_named(error)))
        if not kept:
            first = f"; the first: {self.problems[0]}" if self.problems else ""
            raise ManifestError(f"none of {len(utterances)} recordings can be used{first}")
        order = sorted(kept)
        self.utterances = [utterances[index] for index in order]
        self.infos = [kept[index][0] for index in order]
        self._clips = [kept[index][1] for index in order]

    def __len__(self) -> int:
        return len(self.utterances)

    def samples(self, index: int, start: int = 0, stop: int | None = None) -> Float[ndarray, " T"]:
        """Return the samples of a clip from ``start`` up to ``stop``, or to its end."""
        return self._clips[index][start:stop].astype(np.float32) / np.float32(_SCALE)


def _named(error: AudioError | AlignmentError | MemoryError) -> AudioError | AlignmentError:
    if isinstance(error, MemoryError):
        return AudioError("there is not enough memory for it; cut it into shorter recordings")
    return error
