"""Put a trained run in the box: half-precision weights, the thinned log, and its curves as a picture.

python benchmarks/release.py runs/guided-small vocable/models/guided-small
python benchmarks/release.py runs/digits BOX/vqalattent-fsdd --before runs/vqvae --classifier runs/judge --guidance 1.5

The card (README.md in that folder) is written by hand from benchmarks/results/.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import typer

mpl.use("Agg")
import matplotlib.pyplot as plt

import vocable
from vocable.data.manifest import read_manifests
from vocable.systems.units import find_units
from vocable.systems.vqalattent.model import VqalattentModel
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable.train import checkpoint
from vocable.train.record import manifests_of, read_record
from vocable.vocoders.istft import SYSTEM as VOCODER
from vocable.vocoders.istft import IstftVocoder
from vocable_lab.vqalattent.classifier import Classifier

CURVES = {
    "generator/log_mel": "log-mel (nats)", "generator/spectrum": "compressed spectrum",
    "generator/commitment": "commitment", "generator/feature": "feature matching",
    "discriminator/total": "discriminators (hinge)",
    "vqvae/picture": "picture (mean square)", "prior/next_id": "next id (nats)",
    "perplexity": "perplexity of a level", "transcoder/spectrum": "spectrum (mean square)",
    "transcoder/phonemes": "phonemes (nats)", "transcoder/contrastive": "contrastive (nats)",
    "connector/noise": "connector (noise)", "durations/noise": "durations (noise)",
    "units/ctc": "phones (nats, CTC)", "units/spectrum": "spectrum (mean absolute)",
    "taste/units": "next unit (nats)", "taste/alignment": "alignment (nats)", "taste/durations": "durations (log²)",
}  # fmt: skip
_ACROSS = 6  # curves in a row


def release(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Path, typer.Argument(help="The model's folder in the package.")],
    before: Annotated[
        list[Path] | None, typer.Option(help="The run that this one began from (--init); repeat, the last first.")
    ] = None,
    classifier: Annotated[Path | None, typer.Option(help="The run of its judge.")] = None,
    guidance: Annotated[float | None, typer.Option(help="The prior draws with this unless told otherwise.")] = None,
    change_cost: Annotated[float | None, typer.Option(help="Recognition reads paths with this; chosen on dev.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Speech from text, or units, are drawn with this.")] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Hub name of the frozen encoder, where the run names its folder.")
    ] = None,
    every: Annotated[int, typer.Option(help="Steps between the log lines that are kept.")] = 200,
) -> None:
    """Write model.json, model.safetensors, log.jsonl and, of a tokenizer, curves.svg."""
    newest = checkpoint.steps(run / "checkpoints")[-1]
    if json.loads((newest / "model.json").read_text())["system"] == VOCODER:
        IstftVocoder.load(newest).save(out, half=True)
        _kept(run, out, every, "")
        typer.echo(f"{out}: {IstftVocoder.load(out).digest}, {(out / 'model.safetensors').stat().st_size / 1e6:.1f} MB")
        return
    tokenizer = vocable.load(run)
    if guidance is not None:
        config = replace(tokenizer.config, prior=replace(tokenizer.config.prior, guidance=guidance))
        model = VqalattentModel(config)
        model.load_state_dict(tokenizer.model.state_dict())
        tokenizer = VqalattentTokenizer(model)
    reading = {"change_cost": change_cost, "temperature": temperature}
    if any(value is not None for value in reading.values()):
        reading = {name: value for name, value in reading.items() if value is not None}
        again = type(tokenizer.model)(replace(tokenizer.config, **reading))
        again.load_state_dict(tokenizer.model.state_dict())
        tokenizer = type(tokenizer)(again)
    tokenizer.save(out, half=True)
    if encoder is not None:
        tokenizer = _under(vocable.load(out), encoder)
        tokenizer.save(out, half=True)
    logs = {"": _kept(run, out, every, "")}
    for number, one in enumerate(before or (), start=1):
        suffix = "-before" if number == 1 else f"-before-{number}"
        logs[suffix] = _kept(one, out, every, suffix)
    if classifier is not None:
        _judge(classifier, out / "classifier")
    mpl.rcParams["svg.hashsalt"] = "vocable"
    drawn = [
        (name, lines)
        for lines in reversed(list(logs.values()))
        for name in CURVES
        if any(name in line for line in lines)
    ]
    across = min(len(drawn), _ACROSS)
    down = -(-len(drawn) // across)
    figure, axes = plt.subplots(down, across, figsize=(3.75 * across, 3 * down), layout="constrained", squeeze=False)
    for axis in axes.flat[len(drawn) :]:
        axis.set_axis_off()
    for axis, (name, lines) in zip(axes.flat, drawn, strict=False):
        points = [(line["step"], line[name]) for line in lines if name in line]
        axis.plot([step for step, _ in points], [value for _, value in points], linewidth=1)
        axis.set(xlabel="step", title=CURVES[name])
        axis.grid(alpha=0.3)
        if name == "perplexity" and len(points[-1][1]) > 1:
            axis.legend([str(level) for level in range(1, len(points[-1][1]) + 1)], fontsize=6, ncols=2)
    figure.savefig(out / "curves.svg", metadata={"Date": None})
    typer.echo(f"{out}: {vocable.load(out).digest}, {(out / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


def _under(tokenizer: Any, encoder: str) -> Any:
    """The same model with its encoder under another name, and with the units of that name as they are in the box."""
    field = "whisper" if hasattr(tokenizer.config, "whisper") else "encoder"
    changes = {field: replace(getattr(tokenizer.config, field), name=encoder)}
    if hasattr(tokenizer.config, "units"):
        changes["units"] = find_units(tokenizer.config.units.name, vocable.load).spec
    model = type(tokenizer.model)(replace(tokenizer.config, **changes))
    model.load_state_dict(tokenizer.model.state_dict())
    return type(tokenizer)(model, aliases=(tokenizer.digest,))


def _kept(run: Path, out: Path, every: int, suffix: str) -> list[dict[str, Any]]:
    """A run's settings and the lines of its log that are kept, written to the model's folder."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    kept = [line for line in lines if line["step"] % every == 0 or line is lines[-1]]
    (out / f"log{suffix}.jsonl").write_text("".join(json.dumps(_rounded(line)) + "\n" for line in kept))
    settings = json.loads((run / "run.json").read_text())
    settings["data"] = [
        {"path": "/".join(Path(entry.path).parts[-2:]), "sha256": entry.sha256} for entry in manifests_of(settings)
    ]
    settings = {
        name: Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
        for name, value in settings.items()
    }  # folders of the machine that trained
    (out / f"run{suffix}.json").write_text(json.dumps(settings, indent=2) + "\n")
    return kept


def _judge(run: Path, out: Path) -> None:
    """The judge, and on what it learnt."""
    Classifier.load(checkpoint.steps(run / "checkpoints")[-1]).save(out, half=True)
    record = read_record(run)
    manifests, split = list(dict.fromkeys(record.manifests)), record.values["split"]
    heard = [one for one in read_manifests(manifests, split) if one.value("digit") is not None]
    speakers = {one.speaker for one in heard}
    said = f"trained on {len(heard)} recordings of {len(speakers)} speakers, split {split} of " + " and ".join(
        Path(path).parent.name for path in manifests
    )
    (out / "trained.json").write_text(json.dumps({"said": said, "speakers": sorted(speakers)}, indent=2) + "\n")


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
