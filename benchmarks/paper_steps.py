"""Time, memory and operations of training steps of the papers' recipes, at full size.

Batches are noise of the recipe's shapes, as ``synthetic_batches.py`` makes them. Features of teachers are stored ahead,
so they are no part of a step. Every recipe runs in a process of its own. On a CPU two steps are made. On a GPU
``--device cuda --minutes 10`` trains as long, and keeps the curve. Stages of a recipe share the steps in proportion.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from anchors import RESULTS, main, record
from rich.console import Console
from rich.table import Table

PAPERS = (
    "guided-paper", "guided-paper-speechtokenizer", "vqalattent-paper", "vqalattent-paper-cr4", "ctap-paper",
    "taste-seed", "taste-full-mha", "taste-paper",
)  # fmt: skip
_ENDLESS = 100_000  # steps of a run that ends by the clock
_MAX_CURVE = 200


def paper_steps(
    recipes: Annotated[list[str] | None, typer.Argument(help="Recipes; all of the papers by default.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each.")] = 2,
    minutes: Annotated[float, typer.Option(help="Minutes for each, in place of steps.")] = 0.0,
    device: Annotated[str, typer.Option(help="cpu, or cuda.")] = "cpu",
    precision: Annotated[str, typer.Option(help="float32, or bfloat16.")] = "float32",
    batch: Annotated[int, typer.Option(help="Clips of a batch; 0 takes the recipe's.")] = 0,
    parts: Annotated[int, typer.Option(min=1, help="Micro-batches of a batch (train.accumulate).")] = 1,
    recompute: Annotated[bool, typer.Option("--activation-checkpointing", help="See `vocable recipes`.")] = False,
    tiny: Annotated[bool, typer.Option("--tiny", help="The sizes of the system's recipe for tests instead.")] = False,
    still: Annotated[
        bool, typer.Option("--still", help="Without random numbers in a step, to compare processes.")
    ] = False,
    operations: Annotated[bool, typer.Option(help="Count the operations of a step.")] = True,
    name: Annotated[str, typer.Option(help="Name of the result file.")] = "paper_steps",
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
    worker: Annotated[bool, typer.Option("--worker", hidden=True)] = False,
) -> None:
    """Train each recipe for a few steps and write what they cost."""
    options = Options(steps, minutes, device, precision, batch, parts, recompute, tiny, still, operations)
    if worker or "RANK" in os.environ:  # one process of several, or the one of a recipe
        values = {recipe: train(recipe, options) for recipe in recipes or PAPERS}
        if os.environ.get("RANK", "0") == "0":
            print(json.dumps(values))
        return
    values = {}
    for recipe in recipes or PAPERS:
        command = [sys.executable, __file__, *_arguments(sys.argv[1:], recipes or []), recipe, "--worker"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        values[recipe] = json.loads(lines[-1])[recipe] if done.returncode == 0 else {"error": _last(done.stderr)}
        _show({recipe: values[recipe]})
    record(name, folder=out, options=asdict(options), values=values)


@dataclass(frozen=True)
class Options:
    """What the command line asks for; see :func:`paper_steps`."""

    steps: int
    minutes: float
    device: str
    precision: str
    batch: int
    parts: int
    recompute: bool
    tiny: bool
    still: bool
    operations: bool


def train(recipe: str, options: Options) -> dict[str, Any]:
    """Train a recipe on noise and return what its steps cost."""
    import torch
    from synthetic_batches import shrink, synthesize

    from vocable.systems.registry import find_recipe
    from vocable.train.overrides import override
    from vocable.train.trainer import join_processes

    device, run = join_processes(options.device), find_recipe(recipe)
    if options.tiny:
        run = shrink(run, find_recipe(f"{recipe.partition('-')[0]}-tiny"))
    whole = run.batches.batch_size
    run = override(
        run, steps=_ENDLESS if options.minutes else options.steps, precision=options.precision,
        batch_size=options.batch or None,
        settings={"train.log_every": 1, "train.accumulate": options.parts,
                  "train.activation_checkpointing": options.recompute},
    )  # fmt: skip
    torch.manual_seed(run.train.seed)
    objective, batches = synthesize(run)
    if options.still:
        _silence()
    weights = {id(p): p for part in objective.parts().values() for p in part.parameters()}.values()
    before = _resident()
    with tempfile.TemporaryDirectory() as folder:
        trainer = _timed_trainer(objective, batches, run.train, Path(folder), device, options.minutes)
        trainer.run()
        lines = (Path(folder) / "log.jsonl").read_text().splitlines() if _is_first() else []
    rows = [json.loads(line) for line in lines]
    curve, last = [_total(row) for row in rows], rows[-1] if rows else {}
    del trainer.optimizers
    counted = _operations(objective, batches, run) if options.operations else None
    return {
        "parameters": sum(p.numel() for p in weights), "trained": sum(p.numel() for p in weights if p.requires_grad),
        "clips": run.batches.batch_size, "clips_of_the_recipe": whole, "steps": trainer.step,
        "seconds": [round(one, 3) for one in trainer.walls[:_MAX_CURVE]],
        "cpu_seconds": [round(one, 3) for one in trainer.spent[:_MAX_CURVE]],
        "memory_before_gb": before, "peak_memory_gb": last.get("peak_memory_gb"),
        "audio_hours_per_day": [row.get("audio_hours_per_day") for row in rows[-_MAX_CURVE:]],
        "tokens_per_second": [row.get("tokens_per_second") for row in rows[-_MAX_CURVE:]],
        "operations_a_clip": counted, "curve": curve[:: max(1, len(curve) // _MAX_CURVE)],
        "losses": {key: value for key, value in last.items() if "/" in key},
    }  # fmt: skip


def _timed_trainer(objective: Any, batches: Any, config: Any, folder: Path, device: str, minutes: float) -> Any:
    """Return a trainer that measures its steps, saves nothing, and ends by the clock if minutes are given."""
    import torch

    from vocable.train.trainer import Trainer

    class TimedTrainer(Trainer):
        def _run_step(self, *arguments: Any) -> dict[str, Any]:
            begun = time.monotonic(), time.process_time()
            values = super()._run_step(*arguments)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self.walls.append(time.monotonic() - begun[0])
            self.spent.append(time.process_time() - begun[1])
            if minutes and time.monotonic() > self.until:
                self.config = replace(self.config, steps=self.step + 1)
            return values

        def save(self) -> None:
            """Keep nothing: full checkpoints have gigabytes."""
            self._saved_step = self.step

    trainer = TimedTrainer(objective, batches, config, folder, device=device, quiet=True, tensorboard=False)
    trainer.walls, trainer.spent, trainer.until = [], [], time.monotonic() + 60 * minutes  # type: ignore[attr-defined]
    return trainer


def _operations(objective: Any, batches: Any, run: Any) -> list[float]:
    """Return the floating-point operations that each of the first two steps takes for one clip, forward and backward.

    Products and convolutions are counted by torch on one clip, recurrent layers by their weights.
    """
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    one, found = replace(batches, size=1), []
    device = next(parameter.device for part in objective.parts().values() for parameter in part.parameters())
    recurrent = [0]

    def count(module: nn.Module, inputs: Any, output: Any) -> None:
        rows = inputs[0].shape[0] * inputs[0].shape[1]
        factor = 3 if inputs[0].requires_grad else 1  # forward, and backward to inputs and weights
        recurrent[0] += factor * 2 * rows * sum(weight.numel() for weight in module.parameters() if weight.ndim > 1)

    hooks = [module.register_forward_hook(count) for part in objective.parts().values() for module in part.modules()
             if isinstance(module, nn.RNNBase)]  # fmt: skip
    for step in sorted({0, min(run.train.steps, 2) - 1}):
        recurrent[0] = 0
        with FlopCounterMode(display=False) as counter:
            for turn in objective.turns(one.batch(step).to(device), step):
                if turn.total.requires_grad:
                    turn.total.backward()
        found.append(float(counter.get_total_flops() + recurrent[0]))
    for hook in hooks:
        hook.remove()
    return found


def _silence() -> None:
    """Replace random numbers of torch's own state by constants: each process has numbers of its own."""
    import torch

    def constant(draw: Any, value: float) -> Any:
        def drawn(*arguments: Any, **options: Any) -> Any:
            found = draw(*arguments, **options)
            return found if options.get("generator") is not None else torch.full_like(found, value)

        return drawn

    for name, value in (("rand", 0.5), ("randint", 0), ("randn_like", 0)):
        setattr(torch, name, constant(getattr(torch, name), value))


def _total(row: dict[str, Any]) -> float:
    return next(value for key, value in reversed(row.items()) if key.endswith("/total"))


def _resident() -> float:
    """Return the peak of resident memory so far, in 10⁹ bytes."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _arguments(arguments: list[str], recipes: list[str]) -> list[str]:
    return [argument for argument in arguments if argument not in recipes]


def _last(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "the process ended")[:400]


def _show(values: dict[str, Any]) -> None:
    table = Table("recipe", "parameters", "clips", "s a step", "peak GB", "TFLOP a clip")
    for recipe, row in values.items():
        if "error" in row:
            table.add_row(recipe, "", "", row["error"], "", "")
            continue
        flops = ", ".join(f"{one / 1e12:.3g}" for one in row["operations_a_clip"] or [])
        walls = ", ".join(f"{one:.1f}" for one in row["seconds"][:4])
        table.add_row(recipe, f"{row['parameters'] / 1e6:.1f} M", str(row["clips"]), walls,
                      f"{row['peak_memory_gb']:.2f}", flops)  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main(paper_steps)
