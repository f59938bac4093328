"""Evaluation on the dev split while a run trains: losses of fixed batches, and how the model sounds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from vocable.collective import global_max, world
from vocable.errors import VocableError
from vocable.train.log import Log
from vocable.train.objective import Batch, Batches, Objective

PREFIX = "validation/"
"""Start of the names of these figures in the log."""


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Judgement of a model on clips of the dev split.

    Attributes:
        values: Mean of each metric over the clips, by name.
        sounds: Samples and sample rate in Hz of recordings and their reconstructions, by name.
        images: Gray images of their spectra with values in [0, 1], by name.
        problems: Reasons why clips could not be judged.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    sounds: Mapping[str, tuple[Float[ndarray, " T"], int]] = field(default_factory=dict)
    images: Mapping[str, Float[ndarray, "H W"]] = field(default_factory=dict)
    problems: Sequence[str] = ()


@runtime_checkable
class Validation(Protocol):
    """Dev split of a run.

    Attributes:
        batches: Batches for the losses; None if the split has none, and the model is only listened to.
        num_batches: Number of batches.
    """

    batches: Batches | None
    num_batches: int

    def listen(self, model: Path) -> Listening:
        """Judge the model in a folder."""


class Validator:
    """Evaluation of an objective's networks, which leaves them as they were.

    Args:
        validation: Dev split.
        objective: Networks and losses.
        device: Torch device of the networks.
    """

    def __init__(self, validation: Validation, objective: Objective, device: torch.device) -> None:
        self._validation, self._objective, self._device = validation, objective, device
        self._told: set[str] = set()
        self._problem = ""  # of the last losses

    def losses(self, step: int, average: Callable[[Mapping[str, Tensor]], dict[str, float]]) -> dict[str, float]:
        """Return the mean of each loss over the batches of the dev split, in evaluation mode.

        Args:
            step: Last finished step, counted from 0, which sets stages and weights.
            average: Function from the losses of this process to those of the global batch.
        """
        found: dict[str, list[float]] = {}
        parts, batches = self._objective.parts(), self._validation.batches
        if batches is None:
            return {}
        before = {name: _copy_state(part) for name, part in parts.items()}
        try:
            for part in parts.values():
                part.eval()
            for index, batch in enumerate(self._load(batches)):
                torch.manual_seed(index)
                for turn in self._objective.turns(batch.to(self._device), step):
                    for name, value in average(turn.losses).items():
                        found.setdefault(f"{turn.name}/{name}", []).append(value)
        finally:
            for name, part in parts.items():
                part.load_state_dict(before[name])
        return _short_names({name: sum(values) / len(values) for name, values in found.items()})

    def _load(self, batches: Batches) -> list[Batch]:
        """Return this rank's batches; none on any rank if one of them cannot be loaded."""
        rank, size = world()
        loaded: list[Batch] = []
        problem = ""
        try:
            loaded = [batches.batch(index, rank, size) for index in range(self._validation.num_batches)]
        except VocableError as error:
            problem = f"no losses are measured on it: {error}"
        if int(global_max(torch.tensor(int(bool(problem)), device=self._device))):
            self._problem = problem or "no losses are measured on it: another rank cannot read its recordings"
            return []
        return loaded

    def listen(self, step: int, log: Log) -> dict[str, float]:
        """Return the metrics of the model that the networks make now, and log what it sounds like.

        Args:
            step: Number of finished steps.
            log: Log that gets audio and spectra, and a line about each new problem.
        """
        with TemporaryDirectory(prefix="vocable-") as folder:
            self._objective.export(Path(folder))
            heard = self._validation.listen(Path(folder))
        for name, (samples, rate) in heard.sounds.items():
            log.write_sound(PREFIX + name, samples, rate, step)
        for name, image in heard.images.items():
            log.write_image(PREFIX + name, image, step)
        for problem in (*heard.problems, *([self._problem] if self._problem else [])):
            if problem not in self._told:
                log.say(f"dev split: {problem}")
                self._told.add(problem)
        return {PREFIX + name: value for name, value in heard.values.items()}


def _copy_state(part: nn.Module) -> dict[str, Any]:
    return {name: value.detach().clone() for name, value in part.state_dict().items()}


def _short_names(values: Mapping[str, float]) -> dict[str, float]:
    """Replace the name of the part by that of the evaluation, where no two parts have a loss of one name."""
    names = [name.rpartition("/")[2] for name in values]
    return {
        PREFIX + (short if names.count(short) == 1 else name.replace("/", ".")): value
        for (name, value), short in zip(values.items(), names, strict=True)
    }
