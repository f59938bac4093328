"""Studies of VQalAttent: training length, codebooks, conditions, and number of ids."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vocable.data.manifest import read_manifests
from vocable.systems.vqalattent.recipe import VqalattentRun
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable_lab.subjects import Subject, Variant
from vocable_lab.vqalattent.classifier import find_classifier
from vocable_lab.vqalattent.figures import COLUMNS
from vocable_lab.vqalattent.paper import VqalattentPaper

_POINTS = 5  # checkpoints of a training-length curve
_SHOWN = ("reconstruction_accuracy", "conditional_accuracy", "fidelity", "diversity", "f1", "labels_heard", "variety")


def length(run: VqalattentRun) -> list[Variant]:
    """Return one run whose prior is evaluated at several checkpoints."""
    first, steps = run.losses.prior_from(run.train.steps), run.train.steps
    interval = max(1, (steps - first) // _POINTS)
    train = replace(run.train, save_every=interval, keep=_POINTS)
    return [Variant(name="run", run=replace(run, train=train), every_checkpoint=True)]


def codebooks(run: VqalattentRun) -> list[Variant]:
    """Return three ways to learn a codebook, and three more ways to initialize its entries."""
    kinds: list[dict[str, Any]] = [{"codebook": kind} for kind in ("ema", "gradient", "stochastic")]
    kinds += [{"codebook_init": init} for init in ("data", "normal", "uniform")]
    return [
        Variant(name="-".join(kind.values()), run=_with(run, vqvae=replace(run.model.vqvae, **kind))) for kind in kinds
    ]


def conditions(run: VqalattentRun) -> list[Variant]:
    """Return priors without a label, with shared or separate label ids, and with the speaker, too."""
    prior = run.model.prior
    variants: dict[str, dict[str, Any]] = {
        "none": {"conditions": (), "label_dropout": 0.0},
        "shared-id": {"conditions": ("digit",), "label_ids": "shared", "label_dropout": 0.0},
        "own-id": {"conditions": ("digit",), "label_dropout": 0.0},
        "prefix": {"conditions": ("digit", "speaker"), "label_dropout": 0.0},
    }
    return [
        Variant(name=name, run=_with(run, prior=replace(prior, **changes)), shares_first=index > 0)
        for index, (name, changes) in enumerate(variants.items())
    ]


def sizes(run: VqalattentRun) -> list[Variant]:
    """Return other numbers of ids and entries, each with and without a label: the paper's rows and two pairs more."""
    vqvae, prior = run.model.vqvae, replace(run.model.prior, label_dropout=run.model.prior.label_dropout or 0.2)
    variants: dict[str, dict[str, Any]] = {
        "cr16-256": {"strides": (2, 2)},
        "cr4-256": {"strides": (2, 1)},
        "cr16-64": {"codebook_size": 64},
        "cr16-1024": {"codebook_size": 1024},
    }
    return [
        Variant(name=name, run=_with(run, vqvae=replace(vqvae, **changes), prior=prior))
        for name, changes in variants.items()
    ]


def _with(run: VqalattentRun, **parts: Any) -> VqalattentRun:
    return replace(run, model=replace(run.model, **parts))


def _has_prior(tokenizer: VqalattentTokenizer) -> bool:
    return tokenizer.model.has_prior


def _classifier(run: VqalattentRun, manifests: Sequence[Path], out: Path) -> None:
    """Train one classifier for all variants."""
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
    is_ready=_has_prior,
    prepare=_classifier,
)
