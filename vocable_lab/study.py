"""Studies: a question asked of a recipe by training variants of it and measuring them alike.

A study's folder holds a run for each variant, its evaluation in it, what all are judged by, and ``study.md`` and
``study.json``. One that was stopped goes on where it stood. Where variants are trained at several seeds, a second table
says what is left of a difference over seeds.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vocable.data.manifest import read_manifest
from vocable.errors import ConfigError
from vocable.evaluate.benchmark import evaluate
from vocable.evaluate.card import Column, Entry
from vocable.evaluate.curves import metric_names, plot_losses, plot_metrics, read_curve
from vocable.evaluate.draw import Named, write_pictures
from vocable.evaluate.plan import Plan
from vocable.files import make_folder, write_json, write_whole
from vocable.metrics.score import Figure
from vocable.systems import registry as hub
from vocable.train import checkpoint
from vocable.train.record import read_record
from vocable.train.run import fit
from vocable_lab.ctap import study as study_ctap
from vocable_lab.guided import study as study_guided
from vocable_lab.seeds import Measured, over_seeds, seeds_table, seeds_to_json
from vocable_lab.subjects import Subject, Variant
from vocable_lab.taste import study as study_taste
from vocable_lab.vqalattent import study as study_vqalattent

SUBJECTS = (study_vqalattent.SUBJECT, study_ctap.SUBJECT, study_taste.SUBJECT, study_guided.SUBJECT)
SEEDS = "over seeds"  # of ``study.json``: what stands in no row of its own
_LEARNT_FROM = "train"  # the split
_TRAIN, _EVALUATED = "train_", "train_evaluated_"  # what columns of the training begin with
_SIDES = (
    "Figures of training are of two kinds. *train …*: mean over the batches logged since the checkpoint before, with "
    "dropout and all else that makes training harder, while weights still changed. *train …, evaluated*: recordings of "
    "split train, as many as are judged, at equal steps through the split, heard by the checkpoint in evaluation mode; "
    "these alone are measured as what is judged is, and can be held beside it.\n"
)

_Log = list[dict[str, Any]]  # lines of ``log.jsonl``


def study(
    name: str, run: object, manifests: Sequence[str | os.PathLike[str]], out: Path, *, split: str | None = None,
    only: Sequence[str] = (), start: Any = None, fakes: int = 50, jobs: int = 1, quiet: bool = False,
    say: Callable[[str], None] = print,
) -> str:  # fmt: skip
    """Train and measure every variant of a study.

    Args:
        name: One of the studies of the recipe's system.
        run: The recipe that variants are made of.
        manifests: JSONL files; variants learn from split train.
        out: The study's folder.
        split: What they are judged on. By default dev of VQ-CTAP's and TASTE's where every manifest has it, else test,
            or all where there is no test.
        only: Names of the variants that are wanted; all by default.
        start: A trained model that every training begins from.
        fakes: Of each label, and recordings judged.
        jobs: Processes that measure.
        quiet: No progress bars of the trainings.
        say: Hears what is being done.

    Returns:
        The tables, in Markdown; they stand in ``study.md`` too.

    Raises:
        ConfigError: There is no such study, it is of another system than the recipe, or has no variant that is named.
    """
    subject = find_subject(name, run)
    paths = [Path(manifest) for manifest in manifests]
    variants = _wanted(subject.studies[name](run), only)
    make_folder(out)
    subject.before(run, paths, out)
    split = split or _split_of(subject, paths)
    found: dict[str, Entry] = {}
    seeded: list[Measured] = []
    for variant in variants:
        folder = out / variant.name
        say(f"{variant.name}: training")
        begins = hub.load(out / variants[0].name) if variant.shares else start
        there = (folder / "run.json").exists()
        fit(
            variant.run,
            manifests,
            folder,
            start=begins,
            find=hub.load,
            resume=there,
            quiet=quiet,
            say=lambda line: None,
        )
        steps = checkpoint.steps(folder / "checkpoints")
        log = read_record(folder).rows
        numbers = [0, *(int(model.name.rpartition("-")[2]) for model in steps)]
        on_its_way: dict[int, Entry] = {}
        for model, before, now in list(zip(steps, numbers, numbers[1:], strict=False))[0 if variant.every else -1 :]:
            if not subject.ready(hub.load(model)):
                continue
            label = variant.name if not variant.every else f"{variant.name} at {model.name}"
            say(f"{label}: measuring")
            seed = variant.run.train.seed
            plan = Plan(
                tokenizers=(str(model),), manifests=tuple(paths), split=split, limit=fakes, levels=variant.levels,
                seed=seed,
            )  # fmt: skip
            judged = _judged(subject, plan, folder / "evaluation" / model.name, jobs)
            trained = _logged([row for row in log if before < row["step"] <= now], subject)
            if variant.every and subject.learnt:
                same = replace(plan, split=_LEARNT_FROM, limit=judged[0].figures[subject.learnt[0]].n)
                learnt, *_ = _judged(subject, same, folder / "evaluation" / f"{model.name}-{_LEARNT_FROM}", jobs)
                trained |= {f"{_EVALUATED}{key}": learnt.figures[key] for key in subject.learnt}
            measured = {
                entry.name.replace(model.name, label): replace(entry, figures={**trained, **entry.figures})
                for entry in judged
            }
            found |= measured
            seeded += _seeded(variant, measured)
            on_its_way[now] = next(iter(measured.values()))
        if variant.every and subject.logged:
            _draw(_pictures(variant.name, log, on_its_way, subject), out, say)
    table, values = _table(found, subject.columns), {key: _plain(entry) for key, entry in found.items()}
    if any(key.startswith(_EVALUATED) for entry in found.values() for key in entry.figures):
        table += f"\n{_SIDES}"
    if seeded:
        rows = over_seeds(seeded, [column.key for column in subject.columns])
        table += f"\n{seeds_table(rows, subject.columns)}"
        values[SEEDS] = seeds_to_json(rows)
    write_whole(out / "study.md", lambda path: path.write_text(table, encoding="utf-8"))
    write_json(out / "study.json", values)
    return table


def find_subject(name: str, run: object) -> Subject:
    """What a study of this name can be made of.

    Raises:
        ConfigError: There is no such study, or it is of another system than the recipe.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> find_subject("rates", ctap.tiny()).name
        'VQ-CTAP'
    """
    known = list(dict.fromkeys(study for subject in SUBJECTS for study in subject.studies))
    if name not in known:
        raise ConfigError(f"there is no study '{name}'; there are {', '.join(known)}")
    asked = [subject for subject in SUBJECTS if name in subject.studies]
    for subject in asked:
        if isinstance(run, subject.run):
            return subject
    raise ConfigError(
        f"the study '{name}' is of {' and of '.join(subject.name for subject in asked)}: take one of its recipes, such "
        f"as {' or '.join(subject.example for subject in asked)}"
    )


def _judged(subject: Subject, plan: Plan, place: Path, jobs: int) -> list[Entry]:
    """What the subject's evaluation says of the plan's tokenizer, without anchors and others beside it."""
    card = evaluate(partial(subject.evaluation, plan, place), place, jobs=jobs)
    return [entry for entry in card.entries if entry.kind == "tokenizer"]


def _seeded(variant: Variant, measured: Mapping[str, Entry]) -> list[Measured]:
    """A variant's entries as those of its group at its seed; none where it has no group."""
    seed = variant.run.train.seed
    return [
        Measured(group=variant.group, part=name.removeprefix(variant.name), seed=seed, figures=entry.figures)
        for name, entry in measured.items() if variant.group
    ]  # fmt: skip


def _wanted(variants: Sequence[Variant], only: Sequence[str]) -> list[Variant]:
    """Those that are named, and what they share: the first one trains what others begin from."""
    known = [variant.name for variant in variants]
    if unknown := [name for name in only if name not in known]:
        raise ConfigError(f"the study has no variant '{unknown[0]}'; it has {', '.join(known)}")
    found = [variant for variant in variants if not only or variant.name in only]
    return [variants[0], *found] if any(one.shares for one in found) and variants[0] not in found else found


def _split_of(subject: Subject, manifests: Sequence[Path]) -> str | None:
    """The subject's own split, where every manifest has it."""
    there = all(any(one.split == subject.split for one in read_manifest(path)) for path in manifests)
    return subject.split if there else None


def _logged(rows: _Log, subject: Subject) -> dict[str, Figure]:
    """What these lines of a log say of what is measured, on average: of batches in training, with dropout."""
    curves = {column: read_curve(rows, name)[1] for name, column in subject.logged.items()}
    return {
        f"{_TRAIN}{column}": Figure(mean=float(values.mean()), low=math.nan, high=math.nan, n=values.size)
        for column, values in curves.items()
        if values.size
    }


def _pictures(name: str, log: _Log, measured: Mapping[int, Entry], subject: Subject) -> Iterator[Named]:
    """A training's losses and figures, with what was measured on its way."""
    held = [
        {"step": step} | {
            f"{kind}/{key.rpartition('/')[2]}": entry.figures[of + column].mean
            for key, column in subject.logged.items()
            for kind, of in (("validation", ""), ("evaluated", _EVALUATED)) if of + column in entry.figures
        } for step, entry in measured.items()
    ]  # fmt: skip
    if log:
        yield f"{name}-losses", plot_losses([*log, *held], title=f"{name}: losses")
    if metric_names(log):
        yield f"{name}-figures", plot_metrics([*log, *held], title=f"{name}: figures")


def _draw(pictures: Iterator[Named], out: Path, say: Callable[[str], None]) -> None:
    if find_spec("matplotlib") is None:
        say("no pictures: they need matplotlib; run pip install 'vocable[evaluate]'")
        return
    for path, picture in write_pictures(pictures, out):
        say(f"{path}: {picture.title}")


def _table(found: Mapping[str, Entry], columns: Sequence[Column]) -> str:
    columns = [column for column in columns if any(column.key in entry.figures for entry in found.values())]
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
    return {
        key: {"mean": figure.mean, "n": figure.n}
        | ({"interval": [figure.low, figure.high]} if figure.low == figure.low else {})
        for key, figure in finite.items()
    } | {"note": entry.note}
