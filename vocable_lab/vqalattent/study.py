"""Studies of VQalAttent: training length, codebooks, conditions, attributes of speakers, and number of ids.

Every variant is trained at three seeds. TopP&R's bandwidth is a distance to the 160th sample, so with some hundred
fakes every fake lies near recordings: studies need 150 fakes of each label, and show TopP&R with 8 projections, too.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vocable.data.manifest import read_manifests
from vocable.errors import ConfigError
from vocable.systems.vqalattent.recipe import VqalattentRun, unconditional
from vocable.systems.vqalattent.tokenizer import VqalattentTokenizer
from vocable_lab.shared.pictures import column
from vocable_lab.subjects import Subject, Variant, over_seeds
from vocable_lab.vqalattent.classifier import find_classifier
from vocable_lab.vqalattent.fakes import why_not_told
from vocable_lab.vqalattent.figures import ATTRIBUTES, COLUMNS
from vocable_lab.vqalattent.paper import VqalattentPaper

_POINTS = 5  # checkpoints of a training-length curve
_TIMED = 20  # utterances that are sampled to measure time
_SHOWN = (
    "voice_real_accuracy", "reconstruction_accuracy", "conditional_accuracy", "picture_error", "voice_picture_error",
    "codebook_used",
    "codebook_perplexity", "fidelity", "diversity", "f1", "fidelity_8", "diversity_8", "f1_8", "precision",
    "perplexity", "labels_heard", "variety",
    *(f"{key}_{part}" for key in ATTRIBUTES for part in ("recordings", "heard")),
)  # fmt: skip
_COST = (
    column("trained_picture_error", "image error in training", "lower",
           "Mean squared error of the last logged batch of the VQ-VAE's training.", "", ".4f"),
    column("prior_parameters", "prior, M", "lower", "Parameters of the prior in millions.", "", ".2f"),
    column("sampling_ms", "ms a fake", "lower", "CPU time of sampling one of 20 utterances together, with a cache, "
           "without guidance.", "", ".1f"),
    column("cache_mb", "cache, MB a fake", "lower", "Keys and values of one utterance in float32.", "", ".2f"),
    column("train_seconds", "training, s", "lower", "Wall time of the training, beside whatever else ran.", "", ".0f"),
)  # fmt: skip
_CEILING = 0.995  # of shares, above which a study tells nothing apart


def length(run: VqalattentRun) -> list[Variant]:
    """Return priors with and without a label, each evaluated at several checkpoints."""
    first, steps = run.losses.prior_from(run.train.steps), run.train.steps
    interval = max(1, (steps - first) // _POINTS)
    run = replace(run, train=replace(run.train, save_every=interval, keep=_POINTS))
    kinds = {"conditional": _with_prior(run, label_dropout=0.0), "unconditional": unconditional(run)}
    return over_seeds([Variant(name=name, run=kind, every_checkpoint=True) for name, kind in kinds.items()])


def codebooks(run: VqalattentRun) -> list[Variant]:
    """Return ways to learn a codebook, and further ways to initialize its entries."""
    kinds: dict[str, dict[str, Any]] = {name: {"codebook": name} for name in ("ema", "gradient", "stochastic")}
    kinds |= {f"ema-{init}": {"codebook_init": init} for init in ("data", "normal", "uniform")}
    variants = {name: _with(run, vqvae=replace(run.model.vqvae, **kind)) for name, kind in kinds.items()}
    soft = variants["stochastic"]
    variants["stochastic-soft"] = replace(soft, losses=replace(soft.losses, selection="soft"))
    return over_seeds([Variant(name=name, run=variant) for name, variant in variants.items()])


def conditions(run: VqalattentRun) -> list[Variant]:
    """Return priors without a label, with shared or separate label ids, and with the speaker, too."""
    variants: dict[str, dict[str, Any]] = {
        "none": {"conditions": (), "label_dropout": 0.0},
        "shared-id": {"conditions": ("digit",), "label_ids": "shared", "label_dropout": 0.0},
        "own-id": {"conditions": ("digit",), "label_dropout": 0.0},
        "prefix": {"conditions": ("digit", "speaker"), "label_dropout": 0.0},
    }
    return _sharing_vqvae({name: _with_prior(run, **changes) for name, changes in variants.items()})


def attribute(key: str, run: VqalattentRun) -> list[Variant]:
    """Return priors that are told the digit alone, and an attribute of the speaker, too."""
    variants = {"digit": ("digit",), f"digit-{key}": ("digit", key)}
    return _sharing_vqvae({
        name: _with_prior(run, conditions=keys, label_dropout=0.0) for name, keys in variants.items()
    })  # fmt: skip


def sizes(run: VqalattentRun) -> list[Variant]:
    """Return other numbers of ids and entries, each with and without a label: the paper's rows and two pairs more."""
    run = _with_prior(run, label_dropout=run.model.prior.label_dropout or 0.2)
    variants: dict[str, dict[str, Any]] = {
        "cr16-256": {"strides": (2, 2)},
        "cr4-256": {"strides": (2, 1)},
        "cr16-64": {"codebook_size": 64},
        "cr16-1024": {"codebook_size": 1024},
    }
    return over_seeds([
        Variant(name=name, run=_with(run, vqvae=replace(run.model.vqvae, **changes)))
        for name, changes in variants.items()
    ])  # fmt: skip


def _sharing_vqvae(runs: Mapping[str, VqalattentRun]) -> list[Variant]:
    """Return variants that begin from the VQ-VAE of the first one of their seed."""
    first = next(iter(runs))
    return over_seeds([
        Variant(name=name, run=run, begins_from="" if name == first else first) for name, run in runs.items()
    ])  # fmt: skip


def _with(run: VqalattentRun, **parts: Any) -> VqalattentRun:
    return replace(run, model=replace(run.model, **parts))


def _with_prior(run: VqalattentRun, **changes: Any) -> VqalattentRun:
    return _with(run, prior=replace(run.model.prior, **changes))


def _has_prior(tokenizer: VqalattentTokenizer) -> bool:
    return tokenizer.model.has_prior


def _prepare(variants: Sequence[Variant], manifests: Sequence[Path], out: Path) -> None:
    """Train one classifier of each label for all variants.

    Raises:
        ConfigError: If an attribute of speakers cannot be told from the speakers.
    """
    recordings = read_manifests(manifests, "train")
    asked = {key for variant in variants for key in variant.run.model.prior.conditions}
    for key in (key for key in ATTRIBUTES if key in asked):
        if reason := why_not_told(recordings, key):
            raise ConfigError(f"this study cannot be answered on these recordings: {reason}")
    run = variants[0].run
    for key in ("digit", *(key for key in ATTRIBUTES if key in asked)):
        find_classifier(out, recordings, run.model.image, key, out, seed=run.train.seed)


def _measure_cost(tokenizer: VqalattentTokenizer) -> dict[str, float]:
    """Return parameters, cache and CPU time of sampling from a prior."""
    prior, sizes = tokenizer.model.prior, tokenizer.config.prior
    labels = [{key: values[0] for key, values in tokenizer.labels.items()}] * _TIMED
    start = time.process_time()
    tokenizer.sample(labels, guidance=0.0)
    seconds = time.process_time() - start
    positions = tokenizer.config.frames + 1 + len(sizes.conditions)
    return {
        "prior_parameters": sum(part.numel() for part in prior.parameters()) / 1e6,
        "sampling_ms": 1e3 * seconds / _TIMED,
        "cache_mb": 2 * sizes.blocks * positions * sizes.width * 4 / 1e6,
    }


STUDIES = {"length": length, "codebooks": codebooks, "conditions": conditions, "sizes": sizes} | {
    key: partial(attribute, key) for key in ATTRIBUTES
}

SUBJECT = Subject(
    name="VQalAttent",
    example="vqalattent-tiny",
    run=VqalattentRun,
    studies=STUDIES,
    evaluation=VqalattentPaper,
    columns=[*(column for column in COLUMNS if column.key in _SHOWN), *_COST],
    is_ready=_has_prior,
    prepare=_prepare,
    cost=_measure_cost,
    ceilings={"fidelity": _CEILING, "diversity": _CEILING, "f1": _CEILING},
    final={"vqvae/picture": "trained_picture_error", "seconds": "train_seconds"},
)
