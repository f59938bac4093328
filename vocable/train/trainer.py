"""Training loop over the turns of an objective, with optimizers, checkpoints and logs.

At each step torch is seeded from the run's seed, the step and the rank, and a batch is a function of the step. So the
state of a run is its tensors and the number of finished steps. On a CPU a run that was killed and resumed is bit for
bit the run that was not.
"""

import atexit
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.distributed as dist
from pydantic import Field
from torch import Tensor, nn

from vocable.collective import global_sum, wait_for_all, world
from vocable.device import check_device, check_precision
from vocable.errors import CheckpointError, TrainingError, VocableError, is_out_of_memory
from vocable.files import make_folder, reason_of, write_text
from vocable.schema import Share, config
from vocable.train import checkpoint
from vocable.train.gradients import StepGradients
from vocable.train.health import LOW_USAGE, History
from vocable.train.loader import default_workers, load_ahead
from vocable.train.log import Log, read_rows
from vocable.train.objective import Batch, Batches, Objective, PreparedBatches, Turn
from vocable.train.schedule import LearningRate
from vocable.train.stop import StopRequest, stop_requests
from vocable.train.throughput import Amount, HasAmount, Meter
from vocable.train.validation import PREFIX, Validation, Validator

_MAX_SKIPS = 20  # steps in a row
_LESS_MEMORY = (
    "Lower --batch-size, or keep it and pass --set train.accumulate=2 (or more), --set "
    "train.activation_checkpointing=true, or --precision bfloat16"
)
_ALARMS = "alarms"
_Count = Annotated[int, Field(ge=1)]


@config
class TrainConfig:
    """Configuration of the training loop.

    Attributes:
        steps: Number of steps of the whole run.
        learning_rate: Schedule of the learning rate, for turns without one of their own.
        betas: Coefficients of AdamW's moving averages.
        weight_decay: Weight decay of AdamW, on matrices alone.
        clip: Maximum joint gradient norm of a part.
        seed: Seed of everything random in a step.
        precision: Precision of the networks. Weights, optimizer states, quantizers and losses stay in float32.
        accumulate: Number of micro-batches that a process computes its share of the batch in, one after the other. More
            take less memory and up to twice the time; the steps are the same but for rounding and dropout.
        activation_checkpointing: Whether blocks of layers keep their inputs alone, and the backward pass computes their
            activations again. It takes less memory and a third more time; the steps are the same.
        not_finite: Reaction to a loss or gradient that is not finite: stop the run, or skip the batch.
        log_every: Steps between lines of the log.
        save_every: Steps between checkpoints.
        eval_every: Steps between evaluations on the dev split; 0 for none, and by default at every checkpoint.
        keep: Number of checkpoints to keep.
        workers: Processes of each rank that load batches, 0 for a thread; None takes some where a GPU trains.
    """

    steps: _Count
    learning_rate: LearningRate = field(default_factory=lambda: LearningRate(peak=1e-3))
    betas: tuple[Share, Share] = (0.8, 0.99)
    weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    clip: Annotated[float, Field(gt=0)] = 1.0
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    accumulate: _Count = 1
    activation_checkpointing: bool = False
    not_finite: Literal["stop", "skip"] = "stop"
    log_every: _Count = 50
    save_every: _Count = 500
    eval_every: Annotated[int, Field(ge=0)] | None = None
    keep: _Count = 3
    workers: Annotated[int, Field(ge=0, le=256)] | None = None


class Trainer:
    """Training of an objective over batches.

    Under ``torchrun`` every process runs the same code: gradients are averaged, and rank 0 writes.

    Args:
        objective: Networks and losses to train.
        batches: Batches to train on.
        config: Configuration of the loop.
        folder: Folder for logs and checkpoints.
        device: Torch device, such as ``cpu`` or ``cuda``.
        quiet: Whether to hide the progress bar.
        tensorboard: Whether to write TensorBoard's files; by default if its package is installed.
        validation: Dev split to evaluate on; None for no evaluation.
        card: Function from the number of finished steps and the last values of the log to the ``README.md`` of a
            checkpoint; None for checkpoints without one.

    Attributes:
        step: Number of finished steps.
        damaged: Errors of the checkpoints that :meth:`resume` could not use.
    """

    def __init__(self, objective: Objective, batches: Batches, config: TrainConfig, folder: Path, *,
                 device: str = "cpu", quiet: bool = False, tensorboard: bool | None = None,
                 validation: Validation | None = None,
                 card: Callable[[int, Mapping[str, Any]], str] | None = None) -> None:  # fmt: skip
        self.objective, self.batches, self.config, self.folder = objective, batches, config, folder
        self.device, self.quiet, self.tensorboard = torch.device(device), quiet, tensorboard
        self.rank, self.world = world()
        check_precision(config.precision, self.device)
        self.parts: Mapping[str, nn.Module] = objective.parts()
        for part in self.parts.values():
            part.to(self.device).train()
        self.optimizers = {name: self._optimizer(part) for name, part in self.parts.items()}
        self._gradients = StepGradients(
            objective, self.parts, self.device, seed=config.seed,
            precision=torch.bfloat16 if config.precision == "bfloat16" else None,
            activation_checkpointing=config.activation_checkpointing,
        )  # fmt: skip
        self.step, self._saved_step = 0, -1
        self.damaged: list[CheckpointError] = []
        self._card, self._values = card, dict[str, Any]()
        self._skipped, self._is_updated = 0, False  # whether a turn of the present step has been applied
        self._history, self._meter = History(), Meter(self.device)
        self._validator = None if validation is None else Validator(validation, objective, self.device)

    def resume(self) -> bool:
        """Restore the newest checkpoint that is not damaged; return False if there is none at all.

        Damaged ones that are newer are put aside, in folders named ``damaged-step-…``, and listed in ``damaged``.

        Raises:
            CheckpointError: If there are checkpoints and none can be used, or it has more steps than the run.
        """
        folder = self.folder / "checkpoints"
        for path in reversed(checkpoint.steps(folder)):
            try:
                checkpoint.verify(path)
            except CheckpointError as error:
                self.damaged.append(error)
                continue
            self.step = checkpoint.restore(path, self.parts, self.optimizers)
            break
        else:
            if self.damaged:
                raise self.damaged[0]
            return False
        if self.step > self.config.steps:
            raise CheckpointError(f"{folder}: has {self.step} steps, the run only {self.config.steps}; raise --steps")
        wait_for_all()  # every rank has read the checkpoints
        if self.rank == 0 and self.damaged:
            checkpoint.put_aside(folder, after=self.step)
        self._saved_step = self.step
        self._history = History([row for row in read_rows(self.folder) if row["step"] <= self.step])
        return True

    def run(self) -> None:
        """Train to the last step, with logs and checkpoints.

        SIGINT (Ctrl-C), SIGTERM and SIGHUP stop the run after the step in progress, with a checkpoint. A second one
        ends the process at once. A batch that cannot be loaded stops it with a checkpoint, too.

        Raises:
            TrainingError: If a loss or gradient is not finite and ``not_finite`` is ``stop``, too many steps in a row
                were skipped, a batch cannot be loaded, or another process of the group is lost.
            SystemExit: If a signal stopped the run, with 128 and its number, after the checkpoint is written.
        """
        make_folder(self.folder)
        log = self._open_log() if self.rank == 0 else None
        try:
            with stop_requests() as stop:
                self._loop(log, stop)
                if self.step != self._saved_step:
                    self.save()
                if stop.has_failed:
                    raise self._describe_failure(stop)
                if stop.is_made(self.device):
                    if log:
                        log.say(f"stopped by {stop.name} after step {self.step} of {self.config.steps}, which is saved")
                    raise SystemExit(stop.exit_code)
            if log:
                for problem in self._history.diagnose(self.parts):
                    log.say(f"warning: {problem}")
        finally:
            if log:
                log.close()

    def save(self) -> None:
        """Write a checkpoint on rank 0, while the other ranks wait."""
        if self.rank == 0:
            checkpoint.save(self.folder / "checkpoints", self.step, self.parts, self.optimizers, self._export,
                            keep=self.config.keep)  # fmt: skip
        wait_for_all()
        self._saved_step = self.step

    def _export(self, folder: Path) -> None:
        """Write the model folder of the present networks, with its card."""
        self.objective.export(folder)
        if self._card is not None:
            write_text(folder / "README.md", self._card(self.step, self._values))

    def _open_log(self) -> Log:
        return Log(self.folder, steps=self.config.steps, start=self.step, quiet=self.quiet, board=self.tensorboard)

    def _loop(self, log: Log | None, stop: StopRequest) -> None:
        """Train to the last step, or to the first one after which a signal asks to stop."""
        workers = self.config.workers
        workers = default_workers(self.device, self.world) if workers is None else workers
        prepare = partial(self._prepare, log) if isinstance(self.batches, PreparedBatches) else None
        steps = range(self.step, self.config.steps)
        with load_ahead(self._load, steps, workers=workers, prepare=prepare) as loader:
            while self.step < self.config.steps:
                try:
                    batches = loader.next()
                except VocableError as error:
                    stop.fail(error)
                if stop.is_made(self.device):
                    break
                self._measure(batches)
                values = self._run_step(batches, log)
                self.step += 1
                values |= self._validate(log)
                if log:
                    self._report(log, values)
                if self.step % self.config.save_every == 0 or self.step == self.config.steps:
                    self.save()

    def _describe_failure(self, stop: StopRequest) -> TrainingError:
        """Return the error of a run that ends because a batch cannot be loaded."""
        reason = f"its batch cannot be loaded: {stop.error}" if stop.error else "another rank cannot load its batch"
        return TrainingError(
            f"step {self.step}: {reason}. All {self.step} steps before it are saved; when it is mended, go on with "
            "--resume"
        )

    def _validate(self, log: Log | None) -> dict[str, float]:
        """Return figures on the dev split, if this step evaluates on it."""
        every = self.config.save_every if self.config.eval_every is None else self.config.eval_every
        is_due = every and (self.step % every == 0 or self.step == self.config.steps)
        if self._validator is None or not is_due:
            return {}
        values = self._validator.losses(self.step - 1, self._means)
        if log:
            values |= self._validator.listen(self.step, log)
            shown = ", ".join(f"{name.removeprefix(PREFIX)} {value:.4g}" for name, value in values.items())
            log.say(f"step {self.step}, dev split: {shown}")
        wait_for_all()
        return values

    def _run_step(self, batches: Sequence[Batch], log: Log | None) -> dict[str, Any]:
        """Train one step, and say what to lower where the memory does not suffice for it."""
        try:
            return self._step(batches, log)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if self.world == 1 and not self._is_updated and self._saved_step < self.step:
                self._gradients.undo()  # the networks are those of the step before
                self.save()
            saved = (
                f"step {self._saved_step} is saved: go on with --resume"
                if self._saved_step >= 0
                else "nothing is saved"
            )
            raise TrainingError(
                f"step {self.step}: {self.device} is out of memory ({reason_of(error)[:120]}). {_LESS_MEMORY}; {saved}"
            ) from error

    def _prepare(self, log: Log | None, step: int) -> None:
        """Compute what this process's share of a batch lacks, if anything can; say what is left out from now on."""
        if isinstance(self.batches, PreparedBatches):
            for problem in self.batches.prepare(step, self.rank, self.world):
                if log:
                    log.say(f"left out: {problem}")

    def _load(self, step: int) -> list[Batch]:
        """Return the micro-batches of this process: the slices of further ranks."""
        count = self.config.accumulate
        return [self.batches.batch(step, self.rank * count + index, self.world * count) for index in range(count)]

    def _step(self, batches: Sequence[Batch], log: Log | None) -> dict[str, Any]:
        rate = self.config.learning_rate.at(self.step, self.config.steps)
        values: dict[str, Any] = {"learning_rate": rate, "skipped": self._skipped}
        self._is_updated = False
        for part in self.parts.values():  # which an evaluation, or the export of a model, left in evaluation mode
            part.train()
        whole = partial(self.batches.batch, self.step, self.rank, self.world)
        for turn in self._gradients.turns(batches, whole, self.step):
            optimizer = self.optimizers[turn.name]
            parameters = [p for p in self.parts[turn.name].parameters() if p.requires_grad]
            norm = float(nn.utils.clip_grad_norm_(parameters, self.config.clip))
            means = self._means({**turn.losses, "total": turn.total})
            values |= _turn_values(turn, means, norm)
            values[_ALARMS] = [*values.get(_ALARMS, ()), *turn.alarms]
            if not (math.isfinite(means["total"]) and math.isfinite(norm)):
                self._gradients.undo()  # the forward pass updates codebooks
                names = [name for batch in batches for name in batch.names]
                self._handle_not_finite(turn, names, norm, log)
                return values
            self._history.record(turn, means)
            values["learning_rate"] = rate
            if turn.learning_rate is not None:
                values["learning_rate"] = values[f"{turn.name}/learning_rate"] = turn.learning_rate
            for group in optimizer.param_groups:
                group["lr"] = values["learning_rate"]
            self._is_updated = True
            optimizer.step()
        self._skipped = 0
        return values

    def _measure(self, batches: Sequence[Batch]) -> None:
        if isinstance(self.objective, HasAmount):
            for batch in batches:
                amount = self.objective.amount(batch)  # before the batch is on a GPU, which would have to be waited for
                self._meter.add(Amount(amount.seconds * self.world, amount.tokens * self.world))

    def _means(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the losses of the global batch, reduced in one message."""
        local = torch.stack([loss.detach().float().to(self.device) for loss in losses.values()])
        return dict(zip(losses, (global_sum(local) / self.world).tolist(), strict=True))

    def _handle_not_finite(self, turn: Turn, names: Sequence[str], norm: float, log: Log | None) -> None:
        """Stop the run, or report the skipped batch, after a turn whose loss or gradient is not finite."""
        self._skipped += 1
        self._history.skipped += 1
        losses = ", ".join(f"{name} {float(loss.detach()):g}" for name, loss in turn.losses.items())
        where = f"step {self.step}, {turn.name}: not finite ({losses}, gradient norm {norm:g})"
        problem = f"{where}; batch: {', '.join(names)}"
        if self.config.not_finite == "stop" or self._skipped >= _MAX_SKIPS:
            raise TrainingError(
                f"{problem}. Check these recordings, lower the learning rate, or pass --not-finite skip"
            )
        if log:
            log.say(f"skipped {problem}")

    def _report(self, log: Log, values: dict[str, Any]) -> None:
        alarms = values.pop(_ALARMS, ())
        used = values.get("used")
        usage = f" used {sum(used) / len(used):.0%}" if used else ""
        total = next((value for name, value in reversed(values.items()) if name.endswith("/total")), float("nan"))
        log.advance(self.step, f"loss {total:.3f}{usage}{self._meter.summary}")
        is_validated = any(name.startswith(PREFIX) for name in values)
        if self.step % self.config.log_every == 0 or self.step == self.config.steps or is_validated:
            self._values = values | self._meter.read()
            log.write(self.step, self._values)
            for level, share in enumerate(used or [], 1):
                if share < LOW_USAGE:
                    log.say(f"warning: step {self.step}: level {level} uses {share:.1%} of its codebook")
            for alarm in alarms:
                log.say(f"warning: step {self.step}: {alarm}")

    def _optimizer(self, part: nn.Module) -> torch.optim.Optimizer:
        parameters = [p for p in part.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.config.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.config.learning_rate.peak, betas=self.config.betas, fused=True)


def join_processes(device: str | None = None) -> str:
    """Join the process group that ``torchrun`` prepared, if any, and return the device of this process.

    The group stays until the process ends. A group that is destroyed and joined again finds stale keys in its store,
    and may wait for ever.

    Args:
        device: Torch device to train on. ``cuda`` is the GPU of this process's rank, and the default where torch sees
            one.

    Raises:
        ConfigError: If there is no such device.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    check_device(device)
    chosen = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if device == "cuda" else device
    if chosen.startswith("cuda"):
        torch.cuda.set_device(chosen)
    if "LOCAL_RANK" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.startswith("cuda") else "gloo")
        atexit.register(lambda: dist.is_initialized() and dist.destroy_process_group())
    return chosen


def _turn_values(turn: Turn, means: Mapping[str, float], norm: float) -> dict[str, Any]:
    values: dict[str, Any] = {f"{turn.name}/total": means["total"], f"{turn.name}/gradient_norm": norm}
    for name in turn.losses:
        values[f"{turn.name}/{name}"] = means[name]
        values[f"{turn.name}/{name}/weight"] = turn.weights[name]
    for name, value in turn.stats.items():
        values[name] = value.detach().cpu().tolist()
    return values
