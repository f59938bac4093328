"""What every kind of batch has in common: its settings, its chance, and the clips it is drawn from.

A batch is a function of the seed and the step and nothing else. So a run that resumes sees the batches it would
have seen, without any reader's state to save, and N processes share one global batch by taking their slice of it.
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

Seen = TypeVar("Seen")
Kind = TypeVar("Kind", bound="Batch")

_SCALE = 32768.0  # of 16-bit samples


@dataclass(frozen=True)
class Batch:
    """Rows side by side: the fields of a kind are tensors, tensors by name, and what is no tensor.

    Example:
        >>> @dataclass(frozen=True)
        ... class Words(Batch):
        ...     ids: Tensor
        ...     names: tuple[str, ...]
        >>> Words(torch.zeros(2), ("one", "two")).to(torch.device("meta"))
        Words(ids=tensor(..., device='meta', size=(2,)), names=('one', 'two'))
    """

    def to(self: Kind, device: torch.device) -> Kind:
        """The same batch on a device."""
        return replace(self, **{field.name: _moved(getattr(self, field.name), device) for field in fields(self)})


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {name: _moved(one, device) for name, one in value.items()}
    return value.to(device) if isinstance(value, Tensor) else value


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """Settings that batches of every kind have.

    A kind adds its own fields, names itself in ``kind`` and checks them in ``__post_init__``, after this one's.

    Attributes:
        batch_size: Rows of the global batch, over all processes.
        gain_db: Between which decibels the random gain is drawn.
        seed: Of what is drawn.

    Raises:
        ConfigError: A value is out of range.

    Example:
        >>> first, second = BatchConfig(batch_size=4).draws(step=7, rank=1, world=2)
        >>> first.random() == BatchConfig(batch_size=4).draws(step=7)[2].random()  # the third row of the whole
        True
    """

    kind: ClassVar[str] = "batches"  # what messages call them

    batch_size: int = 16
    gain_db: tuple[float, float] = (0.0, 0.0)
    seed: int = 0

    def __post_init__(self) -> None:
        self._check("batch_size", 1, 1 << 20)
        self._check("seed", 0, 1 << 62)
        if self.gain_db[0] > self.gain_db[1]:
            raise ConfigError(f"{self.kind}: gain_db is {self.gain_db}: the lower bound comes first")

    def draws(self, step: int, rank: int = 0, world: int = 1) -> list[np.random.Generator]:
        """The chance of each row of this rank's slice of the global batch: of seed, step and row alone.

        Raises:
            ConfigError: The batch cannot be shared evenly.
        """
        share, left = divmod(self.batch_size, world)
        if left:
            raise ConfigError(f"a batch of {self.batch_size} cannot be shared by {world} ranks; take a multiple")
        return [np.random.default_rng((self.seed, step, row)) for row in range(rank * share, (rank + 1) * share)]

    def _check(self, name: str, smallest: int, largest: int | float = inf) -> None:
        value = getattr(self, name)
        if not smallest <= value <= largest:
            bound = f"most {largest}" if value > largest else f"least {smallest}"
            raise ConfigError(f"{self.kind}: {name} is {value}: it must be at {bound}")


class ClipStore(Generic[Seen]):
    """Recordings in memory, as 16-bit, each once however often it is listed.

    Args:
        utterances: What to read. Those listed twice are there twice.
        sample_rate: Hz; recordings of another rate are resampled.
        look: What a kind of batch has to know of a clip before it is kept, from the samples (T,) as they were read.
            An AudioError or AlignmentError of its own leaves the utterance out.

    Attributes:
        utterances: Those that can be used, in order.
        seen: What ``look`` said of each.
        problems: Why the others were left out; each names its line and its file.

    Raises:
        ManifestError: No utterance can be used.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        sample_rate: int,
        look: Callable[[Utterance, Float[ndarray, " T"]], Seen],
    ) -> None:
        self.problems: list[AudioError | AlignmentError] = []
        listed: dict[Path, list[int]] = {}
        for place, utterance in enumerate(utterances):
            listed.setdefault(utterance.audio_path, []).append(place)
        kept: dict[int, tuple[Seen, Int16[ndarray, " T"]]] = {}
        for path, places in listed.items():
            try:
                samples = Audio.read(path, sample_rate).samples
            except AudioError as error:
                self.problems.append(utterances[places[0]].blamed(error))
                continue
            clip = np.clip(samples * _SCALE, -_SCALE, _SCALE - 1).round().astype(np.int16)
            for place in places:
                try:
                    kept[place] = look(utterances[place], samples), clip
                except (AudioError, AlignmentError) as error:  # which need not know the file
                    self.problems.append(utterances[place].blamed(error))
        if not kept:
            first = f"; the first: {self.problems[0]}" if self.problems else ""
            raise ManifestError(f"none of {len(utterances)} recordings can be used{first}")
        order = sorted(kept)
        self.utterances = [utterances[place] for place in order]
        self.seen = [kept[place][0] for place in order]
        self._clips = [kept[place][1] for place in order]

    def __len__(self) -> int:
        return len(self.utterances)

    def samples(self, index: int, start: int = 0, behind: int | None = None) -> Float[ndarray, " T"]:
        """The samples of a clip from ``start`` up to ``behind``, or to its end."""
        return self._clips[index][start:behind].astype(np.float32) / np.float32(_SCALE)
