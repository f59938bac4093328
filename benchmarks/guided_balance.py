"""First steps of `guided-paper` at full size on recordings: gradient norms, clipping, and what each loss sends.

Variants begin with the same weights and see the same short crops. Of the encoder's parameters, which every loss
reaches but the adversary's own, the gradient of each weighted loss is taken alone at the first and the last step. Crops
and batch are a small part of the recipe's, so the figures say how losses are balanced, and nothing about quality.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from anchors import RESULTS, main, record
from rich.console import Console
from rich.table import Table

_CLIPS = 24  # recordings that crops are taken from
_NO_CLIPPING = 1e9
_SCHEDULED = ("adversarial", "feature", "semantic", "acoustic")
_SHOWN = ("log_mel", "waveform", "semantic", "acoustic", "adversarial", "feature", "commitment")


def guided_balance(
    manifest: Annotated[Path, typer.Argument(help="JSONL manifest of speech.")],
    semantic: Annotated[Path, typer.Option(help="Folder of Whisper, which stands in for HuBERT.")],
    steps: Annotated[int, typer.Option(min=1, help="Steps of each variant.")] = 20,
    batch: Annotated[int, typer.Option(min=1, help="Crops of a batch; the recipe has 20.")] = 2,
    frames: Annotated[int, typer.Option(min=8, help="Frames of a crop; the recipe has 150.")] = 24,
    recipe: Annotated[str, typer.Option(help="Recipe.")] = "guided-paper",
    only: Annotated[list[str] | None, typer.Option(help="Variant; repeat for more. All by default.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Train the first steps of the recipe and of variants of its schedule, and compare their gradients."""
    from vocable.data.manifest import read_manifests
    from vocable.systems.registry import find_recipe
    from vocable.train.overrides import override

    clips = [clip for clip in read_manifests([manifest], "train") if (clip.duration or 0) > 1][::5][:_CLIPS]
    values = {}
    with tempfile.TemporaryDirectory() as folder:
        run = override(
            find_recipe(recipe), steps=steps, batch_size=batch, scale=False, cache=Path(folder) / "teachers",
            teachers=(f"semantic={semantic}", "acoustic=resemblyzer"),
            settings={"train.log_every": 1, "batches.frames": frames},
        )  # fmt: skip
        variants = _variants(run)
        for name in only or variants:
            values[name] = _train(variants[name], clips, Path(folder) / name)
            _show(name, values[name])
    record("guided_balance", folder=out, corpus=manifest.parent.name, clips=len(clips), values=values)


def _variants(run: Any) -> Mapping[str, Any]:
    """Return all losses from the first step on, with and without clipping, and reconstruction and commitment alone."""
    first = replace(_starting(run, 0), adversary=replace(run.adversary, begin=0))
    return {
        "all from step 0": first,
        "all from step 0, no clipping": replace(first, train=replace(first.train, clip=_NO_CLIPPING)),
        "adversary and teachers later": replace(
            _starting(run, run.train.steps), adversary=replace(run.adversary, begin=run.train.steps)
        ),
    }


def _starting(run: Any, step: int) -> Any:
    """Return the run with teachers and adversarial losses from a step on, without ramps and warm-up."""
    weights = {name: replace(getattr(run.losses, name), start=step, ramp=0) for name in _SCHEDULED}
    rate = replace(run.train.learning_rate, warmup=0)
    return replace(run, losses=replace(run.losses, **weights), train=replace(run.train, learning_rate=rate))


def _train(run: Any, clips: list[Any], folder: Path) -> dict[str, Any]:
    """Train a variant; return its log and the gradient norms of each loss at the encoder."""
    import torch

    from vocable.train.trainer import Trainer

    torch.manual_seed(run.train.seed)
    material = run.material_of(clips)
    objective = run.objective(material)
    first = _norms(objective, material.batch(0), 0)
    folder.mkdir()
    Trainer(objective, material, run.train, folder, quiet=True, tensorboard=False).run()
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    last = run.train.steps - 1
    return {
        "steps": len(rows),
        "gradient_norm": [round(row["generator/gradient_norm"], 2) for row in rows],
        "log_mel": [round(row["generator/log_mel"], 4) for row in rows],
        "adversarial_weight": [round(row.get("generator/adversarial/weight", 0.0), 2) for row in rows],
        "encoder_gradient_first": first,
        "encoder_gradient_last": _norms(objective, material.batch(last), last),
    }


def _norms(objective: Any, batch: Any, step: int) -> dict[str, float]:
    """Return the norm of each weighted loss's gradient with respect to the encoder's parameters."""
    import torch

    objective.model.train()
    parameters = list(objective.model.encoder.parameters())
    found = {}
    for turn in objective.turns(batch, step):
        if turn.name != "generator":
            continue
        for name, loss in turn.losses.items():
            if not loss.requires_grad or not turn.weights[name]:
                continue
            gradients = torch.autograd.grad(turn.weights[name] * loss, parameters, retain_graph=True, allow_unused=True)
            found[name] = float(
                torch.stack([one.norm() for one in gradients if one is not None] or [torch.zeros(())]).norm()
            )
    return {name: float(f"{norm:.4g}") for name, norm in found.items()}


def _show(name: str, values: Mapping[str, Any]) -> None:
    norms = values["gradient_norm"]
    table = Table("encoder's gradient", "first step", "last step", title=f"{name}: norm {norms[0]:g} to {norms[-1]:g}, "
                  f"log-mel {values['log_mel'][0]:g} to {values['log_mel'][-1]:g}")  # fmt: skip
    for key in _SHOWN:
        table.add_row(
            key, *(f"{values[at].get(key, 0):.3g}" for at in ("encoder_gradient_first", "encoder_gradient_last"))
        )
    Console().print(table)


if __name__ == "__main__":
    main(guided_balance)
