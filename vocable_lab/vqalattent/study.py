"""Studies of VQalAttent: how long, which codebook, which conditions, how many ids."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vocable.data.manifest import read_manifests
from vocable.systems.vqalattent.recipe import VqalattentRun
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable_lab.subjects import Subject, Variant
from vocable_lab.vqalattent.figures import COLUMNS
from vocable_lab.vqalattent.judge import find_classifier
from vocable_lab.vqalattent.paper import VqalattentPaper

_POINTS = 5  # of a training-length curve
_SHOWN = ("reconstruction_accuracy", "conditional_accuracy", "fidelity", "diversity", "f1", "labels_heard", "variety")


def length(run: VqalattentRun) -> list[Variant]:
    """How long must the prior be trained? One run, measured on its way."""
    first, steps = run.losses.prior_from(run.train.steps), run.train.steps
    apart = max(1, (steps - first) // _POINTS)
    return [Variant(name="run", run=replace(run, train=replace(run.train, save_every=apart, keep=_POINTS)), every=True)]


def codebooks(run: VqalattentRun) -> list[Variant]:
    """Moving mean, gradient or stochastic entries; k-means, rows of the data, or blind at the beginning."""
    kinds: list[dict[str, Any]] = [{"codebook": kind} for kind in ("ema", "gradient", "stochastic")]
    kinds += [{"codebook_init": begin} for begin in ("data", "normal", "uniform")]
    return [
        Variant(name="-".join(kind.values()), run=_with(run, vqvae=replace(run.model.vqvae, **kind))) for kind in kinds
    ]


def conditions(run: VqalattentRun) -> list[Variant]:
    """No label, the label under ids of the codebook, under an id of its own, with the speaker before it."""
    prior = run.model.prior
    sorts: dict[str, dict[str, Any]] = {
        "none": {"conditions": (), "label_dropout": 0.0},
        "shared-id": {"conditions": ("digit",), "label_ids": "shared", "label_dropout": 0.0},
        "own-id": {"conditions": ("digit",), "label_dropout": 0.0},
        "prefix": {"conditions": ("digit", "speaker"), "label_dropout": 0.0},
    }
    return [
        Variant(name=name, run=_with(run, prior=replace(prior, **sort)), shares=place > 0)
        for place, (name, sort) in enumerate(sorts.items())
    ]


def sizes(run: VqalattentRun) -> list[Variant]:
    """Fewer ids, or fewer entries, each with and without a label asked: the paper's four rows and two more pairs."""
    vqvae, prior = run.model.vqvae, replace(run.model.prior, label_dropout=run.model.prior.label_dropout or 0.2)
    sorts: dict[str, dict[str, Any]] = {
        "cr16-256": {"strides": (2, 2)},
        "cr4-256": {"strides": (2, 1)},
        "cr16-64": {"codebook_size": 64},
        "cr16-1024": {"codebook_size": 1024},
    }
    return [
        Variant(name=name, run=_with(run, vqvae=replace(vqvae, **sort), prior=prior)) for name, sort in sorts.items()
    ]


def _with(run: VqalattentRun, **parts: Any) -> VqalattentRun:
    return replace(run, model=replace(run.model, **parts))


def _has_prior(tokenizer: VqalattentTokenizer) -> bool:
    """Else it is still the VQ-VAE's stage."""
    return bool(int(tokenizer.model.prior_codebook))


def _classifier(run: VqalattentRun, manifests: Sequence[Path], out: Path) -> None:
    """One classifier judges all variants."""
    recordings = read_manifests(manifests, "train")
    find_classifier(out, recordings, run.model.image, "digit", out, seed=run.train.seed)


STUDIES = {"length": length, "codebooks": codebooks, "conditions": conditions, "sizes": sizes}

SUBJECT = Subject(
    name="VQalAttent",
    example="vqalattent-tiny",
    run=VqalattentRun,
    studies=STUDIES,
    evaluation=VqalattentPaper,
    columns=[column for column in COLUMNS if column.key in _SHOWN],
    ready=_has_prior,
    before=_classifier,
)
