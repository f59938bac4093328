"""Diagnosis at the end of training: what makes a model useless is named."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from vocable.quantizers.codebook import Codebook
from vocable.quantizers.fsq import FiniteScalarQuantizer
from vocable.train.objective import Turn

LOW_USAGE = 0.1
"""Share of a codebook in use below which the user is warned."""
_RECENT = 100  # updates of a codebook that its usage is counted over
_WINDOW = 10  # steps at the start and at the end whose mean losses are compared
_MIN_STEPS = 10  # with fewer, a loss that does not fall may be chance
_Losses = dict[str, float]


@dataclass
class _PartHistory:
    """Losses of a part in its first and last steps, its last weights, and its number of steps."""

    first: list[_Losses] = field(default_factory=list)
    last: deque[_Losses] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    weights: Mapping[str, float] = field(default_factory=dict)
    steps: int = 0


class History:
    """Losses of each part over a run, as far as the diagnosis needs them.

    Args:
        rows: Lines of the log of an earlier part of the run; the first that has a part's losses is its start.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        self._rows = rows
        self._parts: dict[str, _PartHistory] = {}
        self._games: set[str] = set()
        self.skipped = 0

    def record(self, turn: Turn, losses: Mapping[str, float]) -> None:
        """Add the losses of a turn that were averaged over the global batch."""
        part = self._parts.setdefault(turn.name, _PartHistory(self._start_of(turn.name)))
        if turn.is_game:
            self._games.add(turn.name)
        part.steps += 1
        if part.steps <= _WINDOW and not self._start_of(turn.name):
            part.first.append(dict(losses))
        part.last.append(dict(losses))
        part.weights = turn.weights

    def diagnose(self, parts: Mapping[str, nn.Module]) -> list[str]:
        """Return what is wrong with the trained networks, as sentences for the user.

        Args:
            parts: Networks by the names of the turns.
        """
        problems = [f"{self.skipped} steps were skipped, as a loss was not finite"] if self.skipped else []
        for name, network in parts.items():
            problems += _bad_tensors(name, network)
            problems += _bad_codebooks(name, network)
            problems += self._bad_losses(name)
        return problems

    def _start_of(self, part: str) -> list[_Losses]:
        for row in self._rows:
            found = {key.removeprefix(f"{part}/"): value for key, value in row.items() if key.startswith(f"{part}/")}
            if found:
                return [{key: value for key, value in found.items() if isinstance(value, float)}]
        return []

    def _bad_losses(self, name: str) -> Iterator[str]:
        part = self._parts.get(name)
        if part is None:
            if not self._start_of(name):
                yield f"{name} was not trained: no step of the run was its"
            return
        count = min(_WINDOW, max(1, part.steps // 4))
        first, last = _mean_losses(part.first[:count]), _mean_losses(list(part.last)[-count:])
        shared = [key for key in first if key in last and part.weights.get(key)]
        before, after = (sum(part.weights[key] * losses[key] for key in shared) for losses in (first, last))
        if name not in self._games and part.steps >= _MIN_STEPS and shared and not after < before:
            yield f"the loss of {name} did not fall: {before:.4g} at its start, {after:.4g} at its end"


def _mean_losses(steps: Sequence[_Losses]) -> _Losses:
    keys = set(steps[0]).intersection(*steps[1:]) if steps else set()
    return {key: sum(losses[key] for losses in steps) / len(steps) for key in sorted(keys)}


def _bad_tensors(name: str, network: nn.Module) -> Iterator[str]:
    bad = [
        key for key, value in network.state_dict().items() if value.is_floating_point() and not value.isfinite().all()
    ]
    if bad:
        yield f"{len(bad)} tensors of {name} have values that are not finite, such as {bad[0]}"


def _bad_codebooks(name: str, network: nn.Module) -> Iterator[str]:
    for key, module in network.named_modules():
        if isinstance(module, FiniteScalarQuantizer) and (share := float(module.stats()["used"])) < LOW_USAGE:
            yield f"{name}.{key} uses {share:.1%} of its {module.codebook_size} entries"
    books = [(key, module) for key, module in network.named_modules() if isinstance(module, Codebook)]
    for level, (key, book) in enumerate(books, 1):
        where = f"level {level}" if len({path.rpartition(".")[0] for path, _ in books}) == 1 else f"{name}.{key}"
        if not book.is_initialized:
            yield f"{where}: quantization never began, so every clip gets the same ids"
            continue
        used = book.count_used(_RECENT)
        distinct = len(torch.unique(book.entries.detach(), dim=0))
        copies = f"has {distinct} different entries of {book.size}: the others are their copies"
        are_copies = distinct <= max(1, LOW_USAGE * book.size)
        if used is not None and used < LOW_USAGE * book.size:
            usage = f"{where} uses {used} of its {book.size} entries ({used / book.size:.1%})"
            yield f"{usage}, and {copies}" if are_copies else usage
        elif are_copies:
            yield f"{where} {copies}"
