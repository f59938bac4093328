"""Put a trained run in the box: half-precision weights, the thinned log, and its curves as a picture.

python benchmarks/release.py runs/guided-small vocable/models/guided-small

The card (README.md in that folder) is written by hand from benchmarks/results/.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import typer

mpl.use("Agg")
import matplotlib.pyplot as plt

import vocable

CURVES = (("generator/log_mel", "log-mel (nats)"), ("generator/spectrum", "compressed spectrum"),
          ("generator/commitment", "commitment"), ("perplexity", "perplexity of a level"))  # fmt: skip


def release(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Path, typer.Argument(help="The model's folder in the package.")],
    every: Annotated[int, typer.Option(help="Steps between the log lines that are kept.")] = 200,
) -> None:
    """Write model.json, model.safetensors, log.jsonl and curves.svg."""
    vocable.load(run).save(out, half=True)
    lines: list[dict[str, Any]] = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    kept = [line for line in lines if line["step"] % every == 0 or line is lines[-1]]
    (out / "log.jsonl").write_text("".join(json.dumps(_rounded(line)) + "\n" for line in kept))
    settings = json.loads((run / "run.json").read_text())
    settings["data"] = ["/".join(Path(path).parts[-2:]) for path in settings["data"]]
    (out / "run.json").write_text(json.dumps(settings, indent=2) + "\n")
    mpl.rcParams["svg.hashsalt"] = "vocable"
    figure, axes = plt.subplots(1, len(CURVES), figsize=(15, 3), layout="constrained")
    for axis, (name, label) in zip(axes, CURVES, strict=True):
        points = [(line["step"], line[name]) for line in kept if name in line]
        axis.plot([step for step, _ in points], [value for _, value in points], linewidth=1)
        axis.set(xlabel="step", title=label)
        axis.grid(alpha=0.3)
        if name == "perplexity":
            axis.legend([str(level) for level in range(1, len(points[-1][1]) + 1)], fontsize=6, ncols=2)
    figure.savefig(out / "curves.svg", metadata={"Date": None})
    typer.echo(f"{out}: {vocable.load(out).digest}, {(out / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


def _rounded(line: dict[str, Any]) -> dict[str, Any]:
    def short(value: Any) -> Any:
        return float(f"{value:.5g}") if isinstance(value, float) else value

    return {
        name: [short(item) for item in value] if isinstance(value, list) else short(value)
        for name, value in line.items()
        if not name.endswith("/weight")
    }


if __name__ == "__main__":
    typer.run(release)
