"""Studies of TASTE: layers, fusion of text and speech, causes of a plateau, training curves, and amount of speech."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from vocable.errors import ConfigError
from vocable.features.whisper import WhisperEncoder
from vocable.systems.taste.recipe import TasteRun
from vocable.train.schedule import Weight
from vocable_lab.subjects import Subject, Variant
from vocable_lab.taste.units import COLUMNS, TasteUnits

_EPOCHS = 10  # checkpoints that are evaluated
_WEAK = 0.1  # initial scale of the speech vectors
_SMALLER = 8  # divisor of the number of subwords, which makes them shorter
_MIN_SUBWORDS = 64  # every letter, at the start of a word and inside
_PADDED = round(30 * WhisperEncoder.frame_rate)  # frames of Whisper's window
_SHARES = {"quarter": 0.25, "half": 0.5, "all": 1.0}
_SPEEDS = {"as-recorded": (1.0,), "three-speeds": (0.9, 1.0, 1.1)}  # of Ko et al.
_OFF = Weight(value=0.0)
_LEARNT = ("loss", "top1", "top5")
_TRAIN = [
    replace(column, key=f"{key}_{column.key}", title=title.format(column.title), caption=f"{column.caption} {caption}")
    for column in COLUMNS if column.key in _LEARNT
    for key, title, caption in (
        ("train", "train {}", "Here in training: mean over the batches logged since the previous checkpoint."),
        ("train_evaluated", "train {}, evaluated", "Here of training recordings, in evaluation mode."),
    )
]  # fmt: skip


def layers(run: TasteRun) -> list[Variant]:
    """Return variants that take keys and values from deep or shallow encoder layers, and one of text alone."""
    deep, shallow = run.model.aggregator.key_layer, run.model.aggregator.value_layer
    named = {"deep": deep, "shallow": shallow}
    variants = [
        Variant(name=f"{key}-{value}", run=_with_layers(run, named[key], named[value]))
        for key, value in (("deep", "shallow"), ("deep", "deep"), ("shallow", "deep"), ("shallow", "shallow"))
    ]
    alone = replace(_with(run, fusion="none"), losses=replace(run.losses, speech_from=run.train.steps))
    return [*variants, Variant(name="text-only", run=alone)]


def fusion(run: TasteRun) -> list[Variant]:
    """Return three fusions of text and speech: added, added through a gate, or normalized and weighted."""
    return [Variant(name=kind, run=_with(run, fusion=kind)) for kind in ("add", "gated", "weighted")]


def causes(run: TasteRun) -> list[Variant]:
    """Return possible causes of a plateau, one by one, beside the recipe.

    Padding that counts as speech, up to Whisper's 30 s. Weak speech vectors: added ones, and added ones that begin at a
    tenth of their length. A unit model with frozen random weights. Text in other case, and shorter subwords, which is
    the effect of upper case. Relative positions, no alignment loss, and both, which is the form of the paper.
    """
    sizes = run.model
    unmasked = replace(sizes.aggregator, mask_padding=False, padded_to=_PADDED)
    relative = replace(sizes.lm, positions="relative")
    added = _with(run, fusion="add")
    free = replace(run, losses=replace(run.losses, alignment=_OFF))
    made = {
        "recipe": run,
        "unmasked-padding": _with(run, aggregator=unmasked),
        "added": added,
        "added-weak": replace(added, initial_scale=_WEAK),
        "random-unit-model": _with(run, freeze_lm=True),
        "case-lower": replace(run, case="lower"),
        "case-as-is": replace(run, case="as_is"),
        "shorter-pieces": replace(run, size=min(run.size, max(_MIN_SUBWORDS, run.size // _SMALLER))),
        "no-clock": _with(run, lm=relative),
        "no-alignment-loss": free,
        "seed-form": _with(free, lm=relative),
    }
    return [Variant(name=name, run=one) for name, one in made.items() if name == "recipe" or one != run]


def epochs(run: TasteRun) -> list[Variant]:
    """Return one training that is evaluated ten times, as in table 2 of the seed.

    Validation is in evaluation mode on dev; the seed validated on test-clean. Training figures are of batches with
    dropout, as in the seed, and of as many training recordings in evaluation mode, which can be compared with them.
    """
    apart = max(1, run.train.steps // _EPOCHS)
    return [
        Variant(
            name="run",
            every_checkpoint=True,
            run=replace(run, train=replace(run.train, save_every=apart, keep=_EPOCHS)),
        )
    ]


def hours(run: TasteRun) -> list[Variant]:
    """Return a quarter, half and all of the recordings, for the same number of steps; each part contains the previous.

    Subwords are learned from all texts, so that they are the same. Figures that still rise from half to all suggest
    that more speech helps.
    """
    return [
        Variant(name=name, run=replace(run, batches=replace(run.batches, share=share)))
        for name, share in _SHARES.items()
    ]


def speeds(run: TasteRun) -> list[Variant]:
    """Return recordings at their speed alone, and 10 % slower and faster, too, for the same number of steps."""
    return [
        Variant(name=name, run=replace(run, batches=replace(run.batches, speeds=speeds)))
        for name, speeds in _SPEEDS.items()
    ]


def aggregation(run: TasteRun) -> list[Variant]:
    """Return the recipe, with values of several layers, with finite scalars in place of residual codebooks, with both.

    Source:
        TASLA, arXiv:2510.14934.
    """
    quantizer = run.model.quantizer
    if quantizer is None:
        raise ConfigError("the recipe has no quantizer; take one that makes tokens, such as taste-small")
    others = [layer for layer in range(run.model.encoder.depth + 1) if layer not in run.model.layers]
    mixed, scalars = _mix_layers(run, tuple(others)), replace(quantizer, kind="fsq")
    return [
        Variant(name=name, run=one)
        for name, one in {
            "recipe": run, "mixed-layers": mixed, "fsq": _with(run, quantizer=scalars),
            "mixed-layers-fsq": _with(mixed, quantizer=scalars),
        }.items()
    ]  # fmt: skip


def _with(run: TasteRun, **sizes: Any) -> TasteRun:
    return replace(run, model=replace(run.model, **sizes))


def _with_layers(run: TasteRun, key: int, value: int) -> TasteRun:
    """Return a run with other encoder layers, which get a cache of their own unless they are the recipe's."""
    asks = replace(run.model.aggregator, key_layer=key, value_layer=value)
    if asks == run.model.aggregator:
        return run
    return replace(_with(run, aggregator=asks), cache=str(Path(run.cache) / f"layers-{key}-{value}"))


def _mix_layers(run: TasteRun, layers: tuple[int, ...]) -> TasteRun:
    """Return a run whose values are of more encoder layers, in a cache of their own."""
    changed = _with(run, aggregator=replace(run.model.aggregator, mixed_layers=layers))
    return replace(changed, cache=str(Path(run.cache) / "layers-mixed"))


STUDIES = {
    "layers": layers, "fusion": fusion, "causes": causes, "epochs": epochs, "hours": hours, "speeds": speeds,
    "aggregation": aggregation,
}  # fmt: skip

SUBJECT = Subject(
    name="TASTE",
    example="taste-tiny",
    run=TasteRun,
    studies=STUDIES,
    evaluation=TasteUnits,
    columns=[*_TRAIN, *COLUMNS],
    split="dev",
    logged={"taste/units": "loss", "top1": "top1", "top5": "top5"},
    train_columns=_LEARNT,
)
