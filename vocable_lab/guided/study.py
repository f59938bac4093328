"""Studies of the guided codec: what each teacher adds, how much and how it should, and what each level is worth.

The adversary is left out of all of them: they are for a CPU, where it costs four times as much as everything else. What
a recipe begins late begins within a short run: quantizing after a tenth, teachers after a fifth, when what they hear
with has learnt to read the levels.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vocable.errors import ConfigError
from vocable.evaluate.card import Column
from vocable.systems.guided.recipe import GuidedRun
from vocable.systems.guided.teachers import ACOUSTIC, SEMANTIC
from vocable.systems.guided.tokenizer import GuidedTokenizer
from vocable.train.schedule import Weight
from vocable_lab.guided.levels import COLUMNS, GuidedLevels
from vocable_lab.subjects import Subject, Variant

_SEEDS = 3
_TIMES = (0.2, 5.0)
_LEVELS = (1, 2, 4)  # and all eight: 50, 100, 200 and 400 tokens a second
_QUANTIZED, _TAUGHT = 10, 5  # a run's share before which that has begun: one in so many steps
_OFF = Weight(value=0.0)
_LESSONS = {"reconstruction": (), "semantic": (SEMANTIC,), "acoustic": (ACOUSTIC,), "both": (SEMANTIC, ACOUSTIC)}


def lessons(run: GuidedRun) -> list[Variant]:
    """No teacher, each of them alone, and both, at three seeds: the paper's claim, and what is left of it over seeds.

    Of one seed all begin with the same weights and hear the same crops: who does not teach is heard all the same.
    """
    run = _taught(run)
    return [
        Variant(name=f"{name}-seed{seed}", group=name, run=_seeded(_taught_by(run, parts), seed))
        for seed in range(run.train.seed, run.train.seed + _SEEDS) for name, parts in _LESSONS.items()
    ]  # fmt: skip


def weights(run: GuidedRun) -> list[Variant]:
    """λ of one teacher a fifth of the recipe's and five times as much, beside the recipe; the other as it is."""
    run = _taught(run)
    made = {"recipe": run} | {
        f"{part}-{getattr(run.losses, part).value * times:g}": _with(
            run, **{part: replace(getattr(run.losses, part), value=getattr(run.losses, part).value * times)}
        ) for part in (SEMANTIC, ACOUSTIC) for times in _TIMES
    }  # fmt: skip
    return [Variant(name=name, run=one) for name, one in made.items()]


def teachers(run: GuidedRun) -> list[Variant]:
    """The semantic teacher's layers, loss and frames; level 2 alone for the acoustic one."""
    run = _taught(run)
    semantic, acoustic = run.semantic, run.acoustic
    assert semantic is not None
    assert acoustic is not None
    made = {
        "recipe": run,
        "layer-last": _heard_at(run, (-1,)),
        "layers-mean": _heard_at(run, ()),
        "cosine": replace(run, semantic=replace(semantic, form="cosine")),
        "d-axis": replace(run, semantic=replace(semantic, form="d_axis")),
        "standardised": replace(run, semantic=replace(semantic, standardize=True)),
        "frames-as-they-are": replace(run, semantic=replace(semantic, standardize=False)),
        "level-2-alone": replace(run, acoustic=replace(acoustic, levels="2")),
    }
    return [Variant(name=name, run=one) for name, one in made.items() if name == "recipe" or one != run]


def pooling(run: GuidedRun) -> list[Variant]:
    """The align layer's attention against a plain mean before the acoustic comparison."""
    run = _taught(run)
    acoustic = run.acoustic
    assert acoustic is not None
    attention, mean = replace(acoustic, pooling="attention"), replace(acoustic, pooling="mean")
    return [
        Variant(name="attention", run=replace(run, acoustic=attention)),
        Variant(name="mean", run=replace(run, acoustic=mean)),
    ]


def rates(run: GuidedRun) -> list[Variant]:
    """One training, measured at one, two, four and all levels; with the recipe's teachers or without."""
    return [Variant(name="run", levels=_LEVELS, run=_plain(run))]


def _plain(run: GuidedRun) -> GuidedRun:
    """Without an adversary, and with everything begun after a fifth of the run."""
    quantized, taught = (run.train.steps // share for share in (_QUANTIZED, _TAUGHT))
    losses = replace(
        run.losses, adversarial=_OFF, feature=_OFF, quantize_from=min(run.losses.quantize_from, quantized),
        semantic=_sooner(run.losses.semantic, taught), acoustic=_sooner(run.losses.acoustic, taught),
    )  # fmt: skip
    return replace(run, adversary=None, losses=losses)


def _sooner(weight: Weight, soonest: int) -> Weight:
    return replace(weight, start=min(weight.start, soonest), ramp=min(weight.ramp, soonest))


def _taught(run: GuidedRun) -> GuidedRun:
    """As :func:`_plain`.

    Raises:
        ConfigError: The recipe lacks a teacher.
    """
    for part in (SEMANTIC, ACOUSTIC):
        if getattr(run, part) is None or not getattr(run.losses, part).value:
            raise ConfigError(
                f"this recipe has no {part} teacher, which the study asks about: take guided-small-taught, and name "
                "its teachers with --teacher semantic=FOLDER --teacher acoustic=resemblyzer"
            )
    return _plain(run)


def _taught_by(run: GuidedRun, parts: Sequence[str]) -> GuidedRun:
    return _with(run, **{part: _OFF for part in (SEMANTIC, ACOUSTIC) if part not in parts})


def _seeded(run: GuidedRun, seed: int) -> GuidedRun:
    return replace(run, train=replace(run.train, seed=seed), batches=replace(run.batches, seed=seed))


def _heard_at(run: GuidedRun, layers: tuple[int, ...]) -> GuidedRun:
    """With other layers of the semantic teacher, kept in a place of their own unless they are the recipe's."""
    assert run.semantic is not None
    if layers == run.semantic.layers:
        return run
    named = "-".join(map(str, layers)) or "all"
    cache = None if run.cache is None else str(Path(run.cache) / f"layers{named}")
    return replace(run, semantic=replace(run.semantic, layers=layers), cache=cache)


def _with(run: GuidedRun, **losses: Weight) -> GuidedRun:
    changed: dict[str, Any] = losses
    return replace(run, losses=replace(run.losses, **changed))


def _quantizes(tokenizer: GuidedTokenizer) -> bool:
    """Else it is still a plain autoencoder."""
    return all(book.started for book in tokenizer.model.quantizer.books)


_TRAIN = [
    Column(key="train_semantic", title="train semantic loss", better="lower", form=".3f",
           caption="Of level 1 with the semantic teacher, in training: mean over the batches logged since the "
           "checkpoint before."),
    Column(key="train_acoustic", title="train acoustic loss", better="lower", form=".3f",
           caption="Of the levels that the acoustic teacher hears, likewise."),
]  # fmt: skip

STUDIES = {"lessons": lessons, "weights": weights, "teachers": teachers, "pooling": pooling, "rates": rates}

SUBJECT = Subject(
    name="the guided codec",
    example="guided-small-taught",
    run=GuidedRun,
    studies=STUDIES,
    evaluation=GuidedLevels,
    columns=[*COLUMNS, *_TRAIN],
    ready=_quantizes,
    logged={"generator/semantic": SEMANTIC, "generator/acoustic": ACOUSTIC},
)
