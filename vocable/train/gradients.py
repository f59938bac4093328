"""Gradients of the turns of a step: averaged over micro-batches and processes, with or without kept activations."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice

import torch
from torch import nn

from vocable.collective import MicroBatches, WholeBatchNeededError, world
from vocable.train.exchange import GradientExchange
from vocable.train.objective import Batch, Objective, Turn
from vocable.train.recompute import recompute_blocks


class StepGradients:
    """Computation of the turns of a step and of their gradients.

    A micro-batch counts as a rank of its own, with the rows and the random numbers that such a rank would have. So a
    run with N micro-batches computes what a run with N times as many processes would.

    Args:
        objective: Networks and losses.
        parts: Networks by name.
        device: Torch device of the networks.
        seed: Seed of everything random in a step.
        precision: Data type of layers that may have another than float32; None for none.
        activation_checkpointing: Whether the backward pass computes the activations of blocks again.
    """

    def __init__(
        self, objective: Objective, parts: Mapping[str, nn.Module], device: torch.device, *, seed: int,
        precision: torch.dtype | None = None, activation_checkpointing: bool = False,
    ) -> None:  # fmt: skip
        self._objective, self._parts, self._device = objective, parts, device
        self._seed, self._precision, self._recomputes = seed, precision, activation_checkpointing
        self._parameters = {name: [p for p in part.parameters() if p.requires_grad] for name, part in parts.items()}
        self._exchanges = {name: GradientExchange(parameters) for name, parameters in self._parameters.items()}
        self._buffers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def turns(self, batches: Sequence[Batch], whole: Callable[[], Batch], step: int) -> Iterator[Turn]:
        """Yield each turn of a step when the gradients of its part are stored.

        Its losses are the means over this process's micro-batches. Their updates have to be applied before the next
        turn is computed.

        Args:
            batches: Micro-batches of this process, or its only batch.
            whole: Function that returns them as one batch.
            step: Step, counted from 0.
        """
        self._keep_buffers()
        if len(batches) > 1:
            yield from self._turns_of_micro_batches(batches, whole, step)
            return
        turns = self._start(batches[0], step, world()[0])
        while (turn := self._next(turns)) is not None:
            self._clear(turn)
            with self._exchanges[turn.name].average():
                _backward(turn, 1)
            yield turn

    def undo(self) -> None:
        """Restore the buffers of the networks, such as codebooks, as they were before the step."""
        for buffer, kept in self._buffers:
            buffer.copy_(kept)

    def _turns_of_micro_batches(
        self, batches: Sequence[Batch], whole: Callable[[], Batch], step: int
    ) -> Iterator[Turn]:
        """Yield the turns of a step, each computed from the start: one micro-batch is in memory at a time."""
        count = len(batches)
        for number in range(1 << 30):
            try:
                micro_batches = self._record(batches, step, number)
            except WholeBatchNeededError:
                self._initialize(whole(), step, number)
                micro_batches = self._record(batches, step, number)
            found: list[Turn] = []
            for index, batch in enumerate(batches):
                self.undo()
                with micro_batches.replay(index):
                    turns = self._start(batch, step, world()[0])
                    turn = self._next(turns, number)
                assert turn is not None
                if index == 0:
                    self._clear(turn)
                with ExitStack() as held:
                    if index == count - 1:
                        held.enter_context(self._exchanges[turn.name].average())
                    _backward(turn, count)
                found.append(_without_graph(turn))
                del turn
            yield _mean_turn(found)
            with MicroBatches(count).record(count - 1):
                is_last = self._next(turns) is None
            del turns
            if is_last:
                micro_batches.apply()
                return

    def _record(self, batches: Sequence[Batch], step: int, number: int) -> MicroBatches:
        """Compute a turn of all micro-batches for the results of its collective operations alone."""
        micro_batches = MicroBatches(len(batches))
        for index, batch in enumerate(batches):
            self.undo()
            with micro_batches.record(index):
                self._next(self._start(batch, step, world()[0]), number)
        micro_batches.reduce()
        return micro_batches

    def _initialize(self, batch: Batch, step: int, number: int) -> None:
        """Let modules initialize themselves from the whole batch of a step."""
        self.undo()
        with MicroBatches(1).whole(), torch.no_grad():
            self._next(self._start(batch, step, world()[0]), number)
        self._keep_buffers()

    def _start(self, batch: Batch, step: int, rank: int) -> Iterator[Turn]:
        torch.manual_seed((self._seed * 1_000_003 + step) * 4099 + rank)
        return self._objective.turns(batch.to(self._device), step)

    def _next(self, turns: Iterator[Turn], skip: int = 0) -> Turn | None:
        """Return the next turn after some that are computed in vain, or None if there is none."""
        with ExitStack() as held:
            if self._precision is not None:
                held.enter_context(torch.autocast(self._device.type, self._precision))
            if self._recomputes:
                held.enter_context(recompute_blocks(self._parts.values()))
            return next(islice(turns, skip, None), None)

    def _clear(self, turn: Turn) -> None:
        for parameter in self._parameters[turn.name]:
            parameter.grad = None

    def _keep_buffers(self) -> None:
        buffers = [buffer for part in self._parts.values() for buffer in part.buffers()]
        self._buffers = [(buffer, buffer.clone()) for buffer in buffers]


def _backward(turn: Turn, count: int) -> None:
    total = turn.total
    if total.requires_grad:
        (total if count == 1 else total / count).backward()


def _without_graph(turn: Turn) -> Turn:
    return replace(turn, losses={name: loss.detach() for name, loss in turn.losses.items()})


def _mean_turn(turns: Sequence[Turn]) -> Turn:
    """Return the last of some micro-batches' turns, with the mean losses and all alarms of them."""
    losses = {name: torch.stack([turn.losses[name].float() for turn in turns]).mean() for name in turns[-1].losses}
    alarms = tuple(dict.fromkeys(alarm for turn in turns for alarm in turn.alarms))
    return replace(turns[-1], losses=losses, alarms=alarms)
