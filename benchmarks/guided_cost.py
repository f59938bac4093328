"""What teachers and adversaries add to a training step of the guided codec, in CPU seconds of one thread.

A step is forward, backward and optimizer of every turn, on batches of the recipe's size in memory. What teachers say of
recordings is computed once and kept, so it is no part of a step. Variants take turns in one process; the ratio is the
median of the ratios to the step without, within a turn.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from anchors import RESULTS, interval, main, record
from rich.console import Console
from rich.table import Table

_WIDTHS = {"semantic": 384, "acoustic": 256}  # of Whisper tiny.en's encoder and of Resemblyzer
_DEAR = "adversary, the papers' sizes"  # measured once, and not warmed up: it takes as long as all others together
_STEP = 50_000  # at which everything has begun


def guided_cost(
    repetitions: Annotated[int, typer.Option(min=1, help="Timed steps of each variant, after one that is not.")] = 5,
    seed: Annotated[int, typer.Option(help="Of weights, batches and the intervals.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Time a training step of guided-small with each addition."""
    import torch

    from vocable.systems.registry import find_recipe

    torch.set_num_threads(1)
    run = find_recipe("guided-small")
    batch = _batch(run.batches.batch_size, run.batches.frames, run.model.backbone.hop, seed)
    steps = {name: _steps(name, seed) for name in _variants()}
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for repetition in range(repetitions + 1):
        for name, step in steps.items():
            if name == _DEAR and repetition != 1:
                continue
            begun = time.process_time()
            step(batch)
            if repetition:
                spent[name].append(time.process_time() - begun)
    base = spent["without"]
    ratios = {
        name: interval([one / other for one, other in zip(times, base, strict=False)], seed=seed, middle="median")
        for name, times in spent.items()
    }
    values = {
        name: {"cpu_seconds": float(np.median(times)), "ratio": ratios[name], "parameters": steps[name].parameters}
        for name, times in spent.items()
    }
    table = Table(
        "", "CPU s a step", "times the step without", "parameters that learn", title="guided-small, one thread"
    )
    for name, row in values.items():
        table.add_row(name, f"{row['cpu_seconds']:.2f}", f"{row['ratio']['median']:.2f}", f"{row['parameters']:,}")
    Console().print(table)
    data = {"clips": run.batches.batch_size, "frames": run.batches.frames, "samples": "noise"}
    record("guided_cost", folder=out, data=data, seed=seed, values=values)


def _variants() -> dict[str, Any]:
    """Recipes: guided-small with one addition each."""
    from vocable.systems.guided.config import AdversaryConfig, DiscriminatorConfig, RepresentationConfig
    from vocable.systems.registry import find_recipe
    from vocable.train.schedule import Weight

    taught = find_recipe("guided-small-taught")
    alone = replace(taught, semantic=None, acoustic=None, adversary=None)
    encodec = AdversaryConfig(discriminators=DiscriminatorConfig(periods=(), scales=0))
    return {
        "without": alone,
        "semantic teacher": replace(alone, semantic=taught.semantic),
        "acoustic teacher": replace(alone, acoustic=taught.acoustic),
        "both teachers": replace(taught, adversary=None),
        "representation loss": replace(
            alone, losses=replace(alone.losses, representation=Weight(value=1.0)), representation=RepresentationConfig()
        ),
        "beam of 4": replace(alone, losses=replace(alone.losses, beam=4)),
        "balance": replace(alone, losses=replace(alone.losses, balance=1.0)),
        "adversary of guided-small-taught": replace(alone, adversary=taught.adversary),
        "guided-small-taught": taught,
        "adversary, EnCodec's multi-STFT": replace(alone, adversary=encodec),
        _DEAR: replace(alone, adversary=AdversaryConfig()),
    }


class _steps:  # noqa: N801
    """Training steps of one variant."""

    def __init__(self, name: str, seed: int) -> None:
        import torch

        from vocable.features.whisper import WhisperEncoder
        from vocable.losses.representation import RepresentationLoss
        from vocable.systems.guided.adversary import WaveformAdversary
        from vocable.systems.guided.networks import GuidedModel
        from vocable.systems.guided.objective import GuidedObjective
        from vocable.systems.guided.teachers import AcousticTeacher, SemanticTeacher
        from vocable.systems.registry import find_recipe

        torch.manual_seed(seed)
        run, latents = _variants()[name], find_recipe("guided-small").model.backbone.latent_width
        losses, teachers = replace(run.losses, quantize_from=0), []
        scales = {part: {"mean": torch.zeros(width), "deviation": torch.ones(width)} for part, width in _WIDTHS.items()}
        if run.semantic is not None:
            teachers.append(
                SemanticTeacher(run.semantic, latents=latents, weight=losses.semantic, **scales["semantic"])
            )
        if run.acoustic is not None:
            teachers.append(
                AcousticTeacher(run.acoustic, latents=latents, weight=losses.acoustic, **scales["acoustic"])
            )
        adversary = run.adversary and WaveformAdversary(
            run.adversary, adversarial=losses.adversarial, feature=losses.feature, steps=run.train.steps
        )
        representation = None
        if run.representation is not None:  # of the sizes of Whisper tiny.en
            representation = RepresentationLoss(WhisperEncoder(width=384, depth=4), run.representation.layers)
        self.objective = GuidedObjective(
            GuidedModel(run.model).train(), losses, teachers=teachers, adversary=adversary,
            representation=representation,
        )  # fmt: skip
        self.parts = self.objective.parts()
        self.optimizers = {part: torch.optim.AdamW(one.parameters(), fused=True) for part, one in self.parts.items()}
        self.parameters = sum(one.numel() for part in self.parts.values() for one in part.parameters())

    def __call__(self, batch: Any) -> None:
        for turn in self.objective.turns(batch, _STEP):
            self.optimizers[turn.name].zero_grad(set_to_none=True)
            turn.total.backward()
            self.optimizers[turn.name].step()


def _batch(clips: int, frames: int, hop: int, seed: int) -> Any:
    import torch

    from vocable.data.crops import CropBatch

    generator = torch.Generator().manual_seed(seed)
    targets = {
        "semantic": torch.randn(clips, frames, _WIDTHS["semantic"], generator=generator),
        "acoustic": torch.randn(clips, _WIDTHS["acoustic"], generator=generator),
    }
    samples = 0.1 * torch.randn(clips, frames * hop, generator=generator)
    return CropBatch(samples, torch.ones(clips, frames, dtype=torch.bool), ("noise",) * clips, targets)


if __name__ == "__main__":
    main(guided_cost)
