"""Studies of the guided codec: teachers, their weights and forms, pooling, and bit rates.

Studies run on a CPU, where an adversary costs four times as much as everything else, so they leave it out. Schedules
are shortened with the run: quantizing starts after at most a tenth of it. Teachers start after at most a fifth, when
their networks have learned to read the levels.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vocable.errors import ConfigError
from vocable.evaluate.card import Column
from vocable.systems.guided.config import SpectralConfig
from vocable.systems.guided.recipe import GuidedRun
from vocable.systems.guided.teachers import ACOUSTIC, SEMANTIC
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.train.schedule import Weight
from vocable_lab.guided.levels import COLUMNS, GuidedLevels
from vocable_lab.subjects import SEEDS, Subject, Variant, with_seed

_FACTORS = (0.2, 5.0)
_LEVELS = (1, 2, 3, 4)  # and all eight: 50, 100, 150, 200 and 400 tokens a second
_LONG_HOP, _LONG_HOP_LEVELS = 1.25, (3, 4, 5)  # 40 frames a second of 3, 4 and 5 levels: 120, 160 and 200 tokens
_CROP_FRAMES = 16  # longer frames in a multiple of 256 samples, which the losses on spectra need
_QUANTIZE_SHARE, _TEACHER_SHARE = 10, 5  # a schedule starts after at most 1 / share of the run
_OFF = Weight(value=0.0)
_LESSONS = {"reconstruction": (), "semantic": (SEMANTIC,), "acoustic": (ACOUSTIC,), "both": (SEMANTIC, ACOUSTIC)}


def compare_teachers(run: GuidedRun) -> list[Variant]:
    """Return variants without a teacher, with each alone, and with both, at three seeds.

    Variants of one seed begin with the same weights and see the same crops, because a teacher of weight 0 is still run.
    """
    run = _with_both_teachers(run)
    return [
        Variant(name=f"{name}-seed{seed}", group=name, run=with_seed(_keep_teachers(run, parts), seed))
        for seed in range(run.train.seed, run.train.seed + SEEDS) for name, parts in _LESSONS.items()
    ]  # fmt: skip


def compare_weights(run: GuidedRun) -> list[Variant]:
    """Return the recipe, and variants with the weight of one teacher at a fifth and at five times the recipe's."""
    run = _with_both_teachers(run)
    runs = {"recipe": run} | {
        f"{part}-{getattr(run.losses, part).value * factor:g}": _replace_losses(
            run, **{part: replace(getattr(run.losses, part), value=getattr(run.losses, part).value * factor)}
        ) for part in (SEMANTIC, ACOUSTIC) for factor in _FACTORS
    }  # fmt: skip
    return [Variant(name=name, run=variant) for name, variant in runs.items()]


def compare_forms(run: GuidedRun) -> list[Variant]:
    """Return variants of the semantic teacher's layers, loss and targets, and of the acoustic teacher's levels."""
    run = _with_both_teachers(run)
    semantic, acoustic = run.semantic, run.acoustic
    assert semantic is not None
    assert acoustic is not None
    runs = {
        "recipe": run,
        "layer-last": _with_layers(run, (-1,)),
        "layers-mean": _with_layers(run, ()),
        "cosine": replace(run, semantic=replace(semantic, form="cosine")),
        "d-axis": replace(run, semantic=replace(semantic, form="d_axis")),
        "standardised": replace(run, semantic=replace(semantic, standardize=True)),
        "frames-as-they-are": replace(run, semantic=replace(semantic, standardize=False)),
        "level-2-alone": replace(run, acoustic=replace(acoustic, levels="2")),
    }
    return [Variant(name=name, run=variant) for name, variant in runs.items() if name == "recipe" or variant != run]


def compare_pooling(run: GuidedRun) -> list[Variant]:
    """Return variants with the align layer's attention and with a plain mean before the acoustic loss."""
    run = _with_both_teachers(run)
    acoustic = run.acoustic
    assert acoustic is not None
    attention, mean = replace(acoustic, pooling="attention"), replace(acoustic, pooling="mean")
    return [
        Variant(name="attention", run=replace(run, acoustic=attention)),
        Variant(name="mean", run=replace(run, acoustic=mean)),
    ]


def compare_rates(run: GuidedRun) -> list[Variant]:
    """Return trainings to be measured at several numbers of levels, which give several rates.

    A recipe without teachers is trained with longer frames, too, so that the rates cover 120 to 220 tokens a second,
    as the seed's last check asks. Teachers' features follow the recipe's frames, so a taught recipe is trained once, as
    is one that begins from a model.
    """
    run = _shorten(run)
    longer = _with_longer_frames(run)
    more = (
        []
        if longer is None
        else [Variant(name="longer-frames", levels=_LONG_HOP_LEVELS, run=longer, has_other_sizes=True)]
    )
    return [Variant(name="run", levels=_LEVELS, run=run), *more]


def _with_longer_frames(run: GuidedRun) -> GuidedRun | None:
    """Return the run with frames a quarter longer and crops of the same seconds; None where that cannot be."""
    backbone = run.model.backbone
    if not isinstance(backbone, SpectralConfig) or run.semantic is not None or run.acoustic is not None:
        return None
    sizes = {name: round(getattr(backbone, name) * _LONG_HOP) for name in ("hop", "spectrum_hop", "n_fft")}
    crop = max(1, round(run.batches.frames / _LONG_HOP / _CROP_FRAMES)) * _CROP_FRAMES
    batches = replace(run.batches, frames=crop)
    return replace(run, model=replace(run.model, backbone=replace(backbone, **sizes)), batches=batches)


def _shorten(run: GuidedRun) -> GuidedRun:
    """Return a run without an adversary, whose schedules start early enough for few steps."""
    quantize_from, teach_from = (run.train.steps // share for share in (_QUANTIZE_SHARE, _TEACHER_SHARE))
    losses = replace(
        run.losses, adversarial=_OFF, feature=_OFF, quantize_from=min(run.losses.quantize_from, quantize_from),
        semantic=_start_by(run.losses.semantic, teach_from), acoustic=_start_by(run.losses.acoustic, teach_from),
    )  # fmt: skip
    return replace(run, adversary=None, losses=losses)


def _start_by(weight: Weight, step: int) -> Weight:
    return replace(weight, start=min(weight.start, step), ramp=min(weight.ramp, step))


def _with_both_teachers(run: GuidedRun) -> GuidedRun:
    """Return the run with teachers that begin early, after checking that it has both.

    Raises:
        ConfigError: If the recipe lacks a teacher.
    """
    for part in (SEMANTIC, ACOUSTIC):
        if getattr(run, part) is None or not getattr(run.losses, part).value:
            raise ConfigError(
                f"this recipe has no {part} teacher, which the study compares: take guided-small-taught, and name its "
                "teachers with --teacher semantic=FOLDER --teacher acoustic=resemblyzer"
            )
    return _shorten(run)


def _keep_teachers(run: GuidedRun, parts: Sequence[str]) -> GuidedRun:
    return _replace_losses(run, **{part: _OFF for part in (SEMANTIC, ACOUSTIC) if part not in parts})


def _with_layers(run: GuidedRun, layers: tuple[int, ...]) -> GuidedRun:
    """Return the run with other layers of the semantic teacher, cached in a folder of their own."""
    assert run.semantic is not None
    if layers == run.semantic.layers:
        return run
    suffix = "-".join(map(str, layers)) or "all"
    cache = None if run.cache is None else str(Path(run.cache) / f"layers{suffix}")
    return replace(run, semantic=replace(run.semantic, layers=layers), cache=cache)


def _replace_losses(run: GuidedRun, **losses: Weight) -> GuidedRun:
    changes: dict[str, Any] = losses
    return replace(run, losses=replace(run.losses, **changes))


def _has_codebooks(tokenizer: GuidedTokenizer) -> bool:
    """Return whether the codec quantizes yet, rather than being a plain autoencoder."""
    return all(book.is_initialized for book in tokenizer.model.quantizer.codebooks)


_TRAIN_COLUMNS = [
    Column(key="train_semantic", title="train semantic loss", better="lower", form=".3f",
           caption="Semantic distillation loss of level 1 in training: mean over the batches logged since the "
           "checkpoint before."),
    Column(key="train_acoustic", title="train acoustic loss", better="lower", form=".3f",
           caption="Acoustic distillation loss of the levels after the first, likewise."),
]  # fmt: skip

STUDIES = {
    "lessons": compare_teachers, "weights": compare_weights, "teachers": compare_forms, "pooling": compare_pooling,
    "rates": compare_rates,
}  # fmt: skip

SUBJECT = Subject(
    name="the guided codec",
    example="guided-small-taught",
    run=GuidedRun,
    studies=STUDIES,
    evaluation=GuidedLevels,
    columns=[*COLUMNS, *_TRAIN_COLUMNS],
    is_ready=_has_codebooks,
    logged={"generator/semantic": SEMANTIC, "generator/acoustic": ACOUSTIC},
)
