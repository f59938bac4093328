"""Studies of TASTE: which layers, how text and speech are joined, what keeps it on a plateau, how it learns.

And what more speech would give it: :func:`hours`, :func:`speeds`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from vocable.features.whisper import WhisperEncoder
from vocable.systems.taste.recipe import TasteRun
from vocable.train.schedule import Weight
from vocable_lab.subjects import Subject, Variant
from vocable_lab.taste.units import COLUMNS, TasteUnits

_EPOCHS = 10  # of the seed
_WEAK = 0.1  # times as long as what is heard is in the recipe, to begin with
_SHORTER = 8  # times fewer subwords, so that a text has more of them
_LEAST = 64  # subwords: a table holds every letter, at a word's beginning and inside
_PADDED = round(30 * WhisperEncoder.frame_rate)  # frames that Whisper pads to
_SHARES = {"quarter": 0.25, "half": 0.5, "all": 1.0}
_SPEEDS = {"as-recorded": (1.0,), "three-speeds": (0.9, 1.0, 1.1)}  # of Ko et al.
_OFF = Weight(value=0.0)
_LEARNT = ("loss", "top1", "top5")
_TRAIN = [
    replace(column, key=f"{key}_{column.key}", title=title.format(column.title), caption=f"{column.caption} {caption}")
    for column in COLUMNS if column.key in _LEARNT
    for key, title, caption in (
        ("train", "train {}", "Here in training: mean over the batches logged since the checkpoint before."),
        ("train_evaluated", "train {}, evaluated", "Here of recordings that are learnt from, in evaluation mode."),
    )
]  # fmt: skip


def layers(run: TasteRun) -> list[Variant]:
    """Deep or shallow keys, deep or shallow values, and text alone: what the seed takes for granted of its layers."""
    deep, shallow = run.model.aggregator.key_layer, run.model.aggregator.value_layer
    named = {"deep": deep, "shallow": shallow}
    variants = [
        Variant(name=f"{key}-{value}", run=_heard_at(run, named[key], named[value]))
        for key, value in (("deep", "shallow"), ("deep", "deep"), ("shallow", "deep"), ("shallow", "shallow"))
    ]
    alone = replace(_with(run, fusion="none"), losses=replace(run.losses, speech_from=run.train.steps))
    return [*variants, Variant(name="text-only", run=alone)]


def fusion(run: TasteRun) -> list[Variant]:
    """Added, added through a gate, or both normalised and weighed."""
    return [Variant(name=kind, run=_with(run, fusion=kind)) for kind in ("add", "gated", "weighted")]


def causes(run: TasteRun) -> list[Variant]:
    """What may keep a run on a plateau, each alone beside the recipe.

    Padding that is taken for speech, up to 30 s as Whisper has it. A weak z: speech that is added, and the same begun
    at a tenth of its length; and a unit model that stays at random. Text in capitals where its subwords are another
    model's (learnt ones are alike in any case), and shorter subwords, which is what capitals come to. No clock, no loss
    of the alignment, and neither, which is the seed's own form.
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
        "shorter-pieces": replace(run, size=min(run.size, max(_LEAST, run.size // _SHORTER))),
        "no-clock": _with(run, lm=relative),
        "no-alignment-loss": free,
        "seed-form": _with(free, lm=relative),
    }
    return [Variant(name=name, run=one) for name, one in made.items() if name == "recipe" or one != run]


def epochs(run: TasteRun) -> list[Variant]:
    """One training, measured ten times on its way: the seed's table 2.

    Validation is in evaluation mode, on dev; on the split test it is the seed's own protocol, which watched test-clean
    epoch by epoch. What stands beside it of the training is, as there, of batches with dropout; and, since that is no
    measure of generalisation, the same of as many recordings that are learnt from, in evaluation mode.
    """
    apart = max(1, run.train.steps // _EPOCHS)
    return [Variant(name="run", every=True, run=replace(run, train=replace(run.train, save_every=apart, keep=_EPOCHS)))]


def hours(run: TasteRun) -> list[Variant]:
    """A quarter and half of the recordings, and all: the same steps, fewer speakers, each part inside the next.

    Subwords are learnt from all texts, so that tokens are of the same subwords. If the figures still rise from half to
    all, more speech would help.
    """
    return [
        Variant(name=name, run=replace(run, batches=replace(run.batches, share=share)))
        for name, share in _SHARES.items()
    ]


def speeds(run: TasteRun) -> list[Variant]:
    """Recordings as they are, and played a tenth slower and faster too: the same steps, three times the rows."""
    return [
        Variant(name=name, run=replace(run, batches=replace(run.batches, speeds=speeds)))
        for name, speeds in _SPEEDS.items()
    ]


def _with(run: TasteRun, **sizes: Any) -> TasteRun:
    return replace(run, model=replace(run.model, **sizes))


def _heard_at(run: TasteRun, key: int, value: int) -> TasteRun:
    """With other layers, which are kept in a place of their own unless they are the recipe's."""
    asks = replace(run.model.aggregator, key_layer=key, value_layer=value)
    if asks == run.model.aggregator:
        return run
    return replace(_with(run, aggregator=asks), cache=str(Path(run.cache) / f"layers-{key}-{value}"))


STUDIES = {"layers": layers, "fusion": fusion, "causes": causes, "epochs": epochs, "hours": hours, "speeds": speeds}

SUBJECT = Subject(
    name="TASTE",
    example="taste-tiny",
    run=TasteRun,
    studies=STUDIES,
    evaluation=TasteUnits,
    columns=[*_TRAIN, *COLUMNS],
    split="dev",
    logged={"taste/units": "loss", "top1": "top1", "top5": "top5"},
    learnt=_LEARNT,
)
