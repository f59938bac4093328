"""Studies of VQ-CTAP: bit rates, kinds of codebooks, and the published objective beside that of the recipe.

All train the transcoder alone, as many steps as the recipe does, with schedules that fit into a shorter run.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vocable.quantizers.fsq import equal_levels
from vocable.systems.ctap.config import CodebookKind, CtapCodebookConfig, CtapLosses
from vocable.systems.ctap.recipe import CtapRun
from vocable.train.schedule import Weight
from vocable_lab.ctap.conversion import ConvertedCodes
from vocable_lab.shared.codes import COLUMNS, Codes
from vocable_lab.subjects import Subject, Variant, fit_schedules, over_seeds

_SIZES = (0.5, 1.0, 2.0)  # factors of the recipe's codebook size; 4096, 8192 and 16384 entries of the paper's
_KINDS: tuple[CodebookKind, ...] = ("ema", "gradient", "fsq")
_STRIDES = ((2, 2), (2, 4), (3, 4))  # 4, 8 and 12 spectra a token


def rates(run: CtapRun) -> list[Variant]:
    """Return variants with other codebook sizes and token rates; their windows have equal durations."""
    size = run.model.transcoder.codebook.size
    return [
        Variant(name=f"k{round(factor * size)}-r{first * second}",
                run=_with(run, _codebook(round(factor * size), run.model.transcoder.codebook.kind), (first, second)))
        for factor in _SIZES for first, second in _STRIDES
    ]  # fmt: skip


def quantizers(run: CtapRun) -> list[Variant]:
    """Return variants whose codebook learns by moving averages, by gradients, or is made of finite scalars."""
    size, strides = run.model.transcoder.codebook.size, run.model.transcoder.strides
    return [Variant(name=kind, run=_with(run, _codebook(size, kind), strides)) for kind in _KINDS]


def objectives(run: CtapRun) -> list[Variant]:
    """Return the recipe, the published objective in its sizes, and the recipe without one of its changes; three seeds.

    The published losses are the six that the paper lists, with the weights of ``ctap-paper`` and the recipe's steps.
    """
    run = _with(run, run.model.transcoder.codebook, run.model.transcoder.strides)
    published = CtapLosses()
    losses = {
        "commitment": published.commitment, "contrastive": _weigh(run.losses.contrastive, published.contrastive),
        "kl": _weigh(run.losses.kl, published.kl), "consistency": _weigh(run.losses.consistency, published.consistency),
        "phoneme_branch": Weight(value=0.0), "codebook_start": 0, "num_masks": 0, "vtlp_range": 0.0,
        "encoder_gradient": 1.0,
    }  # fmt: skip
    runs = {
        "recipe": run,
        "paper": _with_losses(_without_instance_norm(run), losses),
        "no-instance-norm": _without_instance_norm(run),
        "spectrum-to-encoder": _with_losses(run, {"encoder_gradient": 1.0}),
        "no-perturbation": _with_losses(run, {"vtlp_range": 0.0}),
    }
    return over_seeds([Variant(name=name, run=one) for name, one in runs.items()])


def _codebook(size: int, kind: CodebookKind) -> CtapCodebookConfig:
    if kind == "fsq":
        return CtapCodebookConfig(size=size, kind=kind, fsq_levels=equal_levels(size))
    return CtapCodebookConfig(size=size, kind=kind)


def _weigh(schedule: Weight, value: Weight) -> Weight:
    return replace(schedule, value=value.value)


def _with_losses(run: CtapRun, losses: Mapping[str, Any]) -> CtapRun:
    return replace(run, losses=replace(run.losses, **losses))


def _without_instance_norm(run: CtapRun) -> CtapRun:
    return replace(
        run, model=replace(run.model, transcoder=replace(run.model.transcoder, instance_norm=False))
    )  # fmt: skip


def _with(run: CtapRun, codebook: CtapCodebookConfig, strides: tuple[int, int]) -> CtapRun:
    """Return a run that trains a transcoder with this codebook as long as the recipe does, and no connector."""
    sizes = run.model.transcoder
    changed = replace(sizes, strides=strides, codebook=codebook)
    share = sizes.reduction / changed.reduction
    changed = replace(changed, window=round(sizes.window * share), margin=round(sizes.margin * share))
    steps = run.losses.second_stage_start(run.train.steps)
    changed_run = replace(
        run, model=replace(run.model, transcoder=changed), losses=replace(run.losses, transcoder_share=1.0),
        train=replace(run.train, steps=steps),
    )  # fmt: skip
    return fit_schedules(changed_run)


STUDIES = {"rates": rates, "quantizers": quantizers}
OBJECTIVES = {"objectives": objectives}

SUBJECT = Subject(
    name="VQ-CTAP",
    example="ctap-tiny",
    run=CtapRun,
    studies=STUDIES,
    evaluation=Codes,
    columns=COLUMNS,
    baselines={"per": "per_majority"},
    split="dev",
)

OBJECTIVE_SUBJECT = replace(
    SUBJECT, example="ctap-small", studies=OBJECTIVES, evaluation=ConvertedCodes, columns=ConvertedCodes.columns
)
