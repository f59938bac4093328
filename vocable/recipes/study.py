"""Studies: a question asked of a recipe by training variants of it and measuring them alike.

A study's folder holds a run for each variant, its evaluation in it, one classifier for all, and ``study.md`` and
``study.json``. One that was stopped goes on where it stood.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from vocable.data.manifest import read_manifests
from vocable.errors import ConfigError
from vocable.evaluate.benchmark import evaluate
from vocable.evaluate.card import Entry
from vocable.evaluate.plan import Plan
from vocable.evaluate.protocols.vqalattent_figures import COLUMNS
from vocable.evaluate.protocols.vqalattent_paper import VqalattentPaper
from vocable.files import make_folder, write_json, write_whole
from vocable.recipes.run import fit
from vocable.recipes.vqalattent import VqalattentRun
from vocable.systems import hub
from vocable.systems.vqalattent.judge import find_classifier
from vocable.train import checkpoint

_POINTS = 5  # of a training-length curve
_SHOWN = ("reconstruction_accuracy", "conditional_accuracy", "fidelity", "diversity", "f1", "labels_heard", "variety")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One answer to a study's question.

    Attributes:
        name: Of its folder and its row.
        run: What is trained.
        shares: Begins from the first variant's VQ-VAE, so that only the prior differs.
        every: Each of its checkpoints is measured, and not the last alone.
    """

    name: str
    run: VqalattentRun
    shares: bool = False
    every: bool = False


def length(run: VqalattentRun) -> list[Variant]:
    """How long must the prior be trained? One run, measured on its way."""
    first, steps = run.losses.prior_from(run.train.steps), run.train.steps
    apart = max(1, (steps - first) // _POINTS)
    return [Variant(name="run", run=replace(run, train=replace(run.train, save_every=apart, keep=_POINTS)), every=True)]


def codebooks(run: VqalattentRun) -> list[Variant]:
    """Moving mean, gradient or stochastic entries; k-means, rows of the data, or blind at the beginning."""
    kinds: list[dict[str, Any]] = [{"codebook": kind} for kind in ("ema", "gradient", "stochastic")]
    kinds += [{"begin": begin} for begin in ("data", "normal", "uniform")]
    return [
        Variant(name="-".join(kind.values()), run=_with(run, vqvae=replace(run.model.vqvae, **kind))) for kind in kinds
    ]


def conditions(run: VqalattentRun) -> list[Variant]:
    """No label, the label under ids of the codebook, under an id of its own, with the speaker before it."""
    prior = run.model.prior
    sorts: dict[str, dict[str, Any]] = {
        "none": {"conditions": (), "unknown": 0.0},
        "shared-id": {"conditions": ("digit",), "label_ids": "shared", "unknown": 0.0},
        "own-id": {"conditions": ("digit",), "unknown": 0.0},
        "prefix": {"conditions": ("digit", "speaker"), "unknown": 0.0},
    }
    return [
        Variant(name=name, run=_with(run, prior=replace(prior, **sort)), shares=place > 0)
        for place, (name, sort) in enumerate(sorts.items())
    ]


def sizes(run: VqalattentRun) -> list[Variant]:
    """Fewer ids, or fewer entries, each with and without a label asked: the paper's four rows and two more pairs."""
    vqvae, prior = run.model.vqvae, replace(run.model.prior, unknown=run.model.prior.unknown or 0.2)
    sorts: dict[str, dict[str, Any]] = {
        "cr16-256": {"strides": (2, 2)},
        "cr4-256": {"strides": (2, 1)},
        "cr16-64": {"codebook_size": 64},
        "cr16-1024": {"codebook_size": 1024},
    }
    return [
        Variant(name=name, run=_with(run, vqvae=replace(vqvae, **sort), prior=prior)) for name, sort in sorts.items()
    ]


STUDIES: dict[str, Callable[[VqalattentRun], list[Variant]]] = {
    "length": length,
    "codebooks": codebooks,
    "conditions": conditions,
    "sizes": sizes,
}


def study(
    name: str, run: object, manifests: Sequence[str | os.PathLike[str]], out: Path, *, fakes: int = 50, jobs: int = 1,
    quiet: bool = False, say: Callable[[str], None] = print,
) -> str:  # fmt: skip
    """Train and measure every variant of a study.

    Args:
        name: One of ``STUDIES``.
        run: The recipe that variants are made of.
        manifests: JSONL files; variants learn from split train and are judged on test, or all where there is none.
        out: The study's folder.
        fakes: Of each label, and recordings judged.
        jobs: Processes that draw fakes.
        quiet: No progress bars of the trainings.
        say: Hears what is being done.

    Returns:
        The table, in Markdown; it stands in ``study.md`` too.

    Raises:
        ConfigError: There is no such study, or the recipe is no VQalAttent's.
    """
    if name not in STUDIES:
        raise ConfigError(f"there is no study '{name}'; there are {', '.join(STUDIES)}")
    if not isinstance(run, VqalattentRun):
        raise ConfigError(f"the study '{name}' is of VQalAttent: take one of its recipes, such as vqalattent-tiny")
    make_folder(out)
    variants = STUDIES[name](run)
    recordings = read_manifests(manifests, "train")
    find_classifier(out, recordings, run.model.image, "digit", out, seed=run.train.seed)
    found: dict[str, Entry] = {}
    for variant in variants:
        folder = out / variant.name
        say(f"{variant.name}: training")
        start = hub.load(out / variants[0].name) if variant.shares else None
        there = (folder / "run.json").exists()
        fit(variant.run, manifests, folder, start=start, resume=there, quiet=quiet, say=lambda line: None)
        steps = checkpoint.steps(folder / "checkpoints")
        for model in steps if variant.every else steps[-1:]:
            tokenizer = hub.load(model)
            if not int(tokenizer.model.prior_of):
                continue  # still the VQ-VAE's stage
            label = variant.name if not variant.every else f"{variant.name} at {model.name}"
            say(f"{label}: measuring")
            plan = Plan(
                tokenizers=(str(model),), manifests=tuple(map(Path, manifests)), limit=fakes, seed=run.train.seed
            )
            place = folder / "evaluation" / model.name
            card = evaluate(partial(VqalattentPaper, plan, place), place, jobs=jobs)
            found |= {
                entry.name.replace(model.name, label): entry for entry in card.entries if entry.kind == "tokenizer"
            }
    table = _table(found)
    write_whole(out / "study.md", lambda path: path.write_text(table, encoding="utf-8"))
    write_json(out / "study.json", {key: _plain(entry) for key, entry in found.items()})
    return table


def _with(run: VqalattentRun, **parts: Any) -> VqalattentRun:
    return replace(run, model=replace(run.model, **parts))


def _table(found: Mapping[str, Entry]) -> str:
    columns = [column for column in COLUMNS if column.key in _SHOWN]
    lines = [
        "| variant | " + " | ".join(column.title for column in columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for name, entry in found.items():
        cells = [
            entry.figures[c.key].text(c.form if c.unit != "%" else ".3f") if c.key in entry.figures else ""
            for c in columns
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _plain(entry: Entry) -> dict[str, Any]:
    finite = {key: figure for key, figure in entry.figures.items() if figure.mean == figure.mean}
    return {key: {"mean": figure.mean, "n": figure.n} for key, figure in finite.items()} | {"note": entry.note}
