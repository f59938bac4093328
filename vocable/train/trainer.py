"""The loop. It knows turns, optimizers, checkpoints and logs, and nothing of what is being learnt.

Everything random in a step is drawn after seeding torch from the run's seed, the step and the rank, and a batch
is a function of the step. So the state of a run is its tensors and the number of steps made, and a run that was
killed and resumed is, on a CPU, bit for bit the run that was not.
"""

import atexit
import math
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vocable.collective import average_gradients, global_sum, is_distributed, world
from vocable.errors import CheckpointError, ConfigError, TrainingError
from vocable.files import make_folder
from vocable.train import checkpoint
from vocable.train.log import Log
from vocable.train.objective import Batch, Batches, Objective, Turn, clip_gradients
from vocable.train.schedule import LearningRate

_SKIPS_IN_A_ROW = 20
_LOW_USAGE = 0.1
_ALARMS = "alarms"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a run goes."""

    steps: int
    learning_rate: LearningRate = field(default_factory=lambda: LearningRate(peak=1e-3))
    betas: tuple[float, float] = (0.8, 0.99)  # of AdamW
    weight_decay: float = 1e-3
    clip: float = 1.0  # largest joint gradient norm of a part
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    not_finite: Literal["stop", "skip"] = "stop"  # what to do at a loss or gradient that is NaN or infinite
    log_every: int = 50  # steps
    save_every: int = 500  # steps
    keep: int = 3  # checkpoints

    def __post_init__(self) -> None:
        for name in ("steps", "log_every", "save_every", "keep"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be at least 1")


class Trainer:
    """Runs an objective over batches.

    Under ``torchrun`` every process runs the same code: gradients are averaged, rank 0 writes.

    Args:
        objective: What to train. Its parts must be :class:`torch.nn.Module`.
        batches: What to train on.
        config: How.
        folder: Where logs and checkpoints go.
        device: ``cpu``, ``cuda`` or another torch device.
        quiet: No progress bar.
    """

    def __init__(self, objective: Objective, batches: Batches, config: TrainConfig, folder: Path, *,
                 device: str = "cpu", quiet: bool = False) -> None:  # fmt: skip
        self.objective, self.batches, self.config, self.folder = objective, batches, config, folder
        self.device, self.quiet = torch.device(device), quiet
        self.rank, self.world = world()
        self.parts: Mapping[str, nn.Module] = objective.parts()
        for part in self.parts.values():
            part.to(self.device).train()
        self.optimizers = {name: self._optimizer(part) for name, part in self.parts.items()}
        self.step = 0
        self._skipped = 0

    def resume(self) -> bool:
        """Go on from the newest checkpoint in the folder; False if there is none.

        Raises:
            CheckpointError: The newest one cannot be used.
        """
        found = checkpoint.steps(self.folder / "checkpoints")
        if not found:
            return False
        self.step = checkpoint.restore(found[-1], self.parts, self.optimizers)
        if self.step > self.config.steps:
            raise CheckpointError(
                f"{found[-1]}: has made {self.step} steps, {self.config.steps} were asked for; raise --steps"
            )
        return True

    def run(self) -> None:
        """Train to the last step, logging and saving on the way.

        Raises:
            TrainingError: A loss or gradient is not finite and ``not_finite`` says stop, or too many were skipped.
        """
        make_folder(self.folder)
        log = Log(self.folder, steps=self.config.steps, start=self.step, quiet=self.quiet) if self.rank == 0 else None
        try:
            threads = torch.get_num_threads()  # which each thread sets for itself: without it two would fight
            with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,)) as ahead:
                coming: Future[Batch] = ahead.submit(self.batches.batch, self.step, self.rank, self.world)
                while self.step < self.config.steps:
                    batch = coming.result()
                    coming = ahead.submit(self.batches.batch, self.step + 1, self.rank, self.world)
                    values = self._step(batch.to(self.device), log)
                    self.step += 1
                    if log:
                        self._report(log, values)
                    if self.step % self.config.save_every == 0 or self.step == self.config.steps:
                        self.save()
        finally:
            if log:
                log.close()

    def save(self) -> None:
        """Write a checkpoint (on rank 0; the others wait)."""
        if self.rank == 0:
            folder = self.folder / "checkpoints"
            checkpoint.save(
                folder, self.step, self.parts, self.optimizers, self.objective.export, keep=self.config.keep
            )
        if is_distributed():
            dist.barrier()

    def _step(self, batch: Batch, log: Log | None) -> dict[str, Any]:
        rate = self.config.learning_rate.at(self.step, self.config.steps)
        torch.manual_seed((self.config.seed * 1_000_003 + self.step) * 4099 + self.rank)
        values: dict[str, Any] = {"learning_rate": rate, "skipped": self._skipped}
        buffers = [buffer for part in self.parts.values() for buffer in part.buffers()]
        before = [buffer.clone() for buffer in buffers]
        turns = self.objective.turns(batch, self.step)
        while True:
            with self._autocast():
                turn = next(turns, None)
            if turn is None:
                self._skipped = 0
                return values
            parameters = [p for p in self.parts[turn.name].parameters() if p.requires_grad]
            optimizer = self.optimizers[turn.name]
            optimizer.zero_grad(set_to_none=True)
            total = turn.total
            if total.requires_grad:
                total.backward()
            average_gradients(parameters)
            norm = clip_gradients(parameters, self.config.clip)
            means = self._means({**turn.losses, "total": total})
            values |= _logged(turn, means, norm)
            values[_ALARMS] = [*values.get(_ALARMS, ()), *turn.alarms]
            if not (math.isfinite(means["total"]) and math.isfinite(norm)):
                for buffer, kept in zip(buffers, before, strict=True):  # a codebook learns before the loss is known
                    buffer.copy_(kept)
                self._refuse(turn, batch, norm, log)
                return values
            values["learning_rate"] = rate
            if turn.learning_rate is not None:
                values["learning_rate"] = values[f"{turn.name}/learning_rate"] = turn.learning_rate
            for group in optimizer.param_groups:
                group["lr"] = values["learning_rate"]
            optimizer.step()

    def _means(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """Losses of the global batch, in one message."""
        local = torch.stack([loss.detach().float().to(self.device) for loss in losses.values()])
        return dict(zip(losses, (global_sum(local) / self.world).tolist(), strict=True))

    def _refuse(self, turn: Turn, batch: Batch, norm: float, log: Log | None) -> None:
        """A loss or gradient is not finite: this turn moves nothing. Stop, or go on without this batch."""
        self._skipped += 1
        losses = ", ".join(f"{name} {float(loss.detach()):g}" for name, loss in turn.losses.items())
        where = f"step {self.step}, {turn.name}: not finite ({losses}, gradient norm {norm:g})"
        what = f"{where}; batch: {', '.join(batch.names)}"
        if self.config.not_finite == "stop" or self._skipped >= _SKIPS_IN_A_ROW:
            raise TrainingError(f"{what}. Look at these recordings, lower the learning rate, or pass --not-finite skip")
        if log:
            log.say(f"skipped {what}")

    def _report(self, log: Log, values: dict[str, Any]) -> None:
        alarms = values.pop(_ALARMS, ())
        used = values.get("used")
        usage = f" used {sum(used) / len(used):.0%}" if used else ""
        total = next((value for name, value in reversed(values.items()) if name.endswith("/total")), float("nan"))
        log.advance(self.step, f"loss {total:.3f}{usage}")
        if self.step % self.config.log_every == 0 or self.step == self.config.steps:
            log.write(self.step, values)
            for level, share in enumerate(used or [], 1):
                if share < _LOW_USAGE:
                    log.say(f"warning: step {self.step}: level {level} uses {share:.1%} of its codebook")
            for alarm in alarms:
                log.say(f"warning: step {self.step}: {alarm}")

    def _optimizer(self, part: nn.Module) -> torch.optim.Optimizer:
        matrices = [p for p in part.parameters() if p.requires_grad and p.ndim > 1]
        vectors = [p for p in part.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": self.config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.config.learning_rate.peak, betas=self.config.betas, fused=True)

    def _autocast(self) -> Any:
        if self.config.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def join_processes() -> str:
    """Join the process group ``torchrun`` prepared, if it did; returns the device of this process.

    The group stays until the process ends: one that is left and joined again meets what its store still holds of the
    first, and may wait for ever.
    """
    device = "cpu"
    if torch.cuda.is_available():
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        torch.cuda.set_device(device)
    if "LOCAL_RANK" in os.environ and not dist.is_initialized():
        dist.init_process_group("gloo" if device == "cpu" else "nccl")
        atexit.register(_leave_processes)
    return device


def _leave_processes() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _logged(turn: Turn, means: Mapping[str, float], norm: float) -> dict[str, Any]:
    values: dict[str, Any] = {f"{turn.name}/total": means["total"], f"{turn.name}/gradient_norm": norm}
    for name in turn.losses:
        values[f"{turn.name}/{name}"] = means[name]
        values[f"{turn.name}/{name}/weight"] = turn.weights[name]
    for name, value in turn.stats.items():
        values[name] = value.detach().cpu().tolist()
    return values
