"""Studies: train variants of a recipe and evaluate them in the same way.

A study's folder holds the run of each variant with its evaluations, what these share, ``study.md`` and ``study.json``.
A study that was stopped resumes. Where variants are trained at several seeds, a second table holds means and
differences over seeds.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vocable.data.manifest import read_manifest
from vocable.device import check_device
from vocable.errors import ConfigError
from vocable.evaluate.benchmark import evaluate
from vocable.evaluate.card import Column, Entry
from vocable.evaluate.curves import metric_names, plot_losses, plot_metrics, read_curve
from vocable.evaluate.draw import Named, write_pictures
from vocable.evaluate.plan import Plan
from vocable.files import exists, make_folder, write_json, write_whole
from vocable.metrics.score import Figure, point_figure
from vocable.schema import read_object
from vocable.systems.registry import load
from vocable.train import checkpoint
from vocable.train.record import read_record
from vocable.train.run import fit
from vocable_lab.ctap import study as study_ctap
from vocable_lab.guided import study as study_guided
from vocable_lab.seeds import Measured, figure_to_json, over_seeds, seeds_table, seeds_to_json
from vocable_lab.subjects import Subject, Variant
from vocable_lab.supervised import study as study_supervised
from vocable_lab.taste import study as study_taste
from vocable_lab.vqalattent import study as study_vqalattent

SUBJECTS = (
    study_vqalattent.SUBJECT, study_ctap.SUBJECT, study_ctap.OBJECTIVE_SUBJECT, study_taste.SUBJECT,
    study_guided.SUBJECT, study_supervised.SUBJECT,
)  # fmt: skip
SEEDS = "over seeds"
"""Key in ``study.json`` of the means and differences over seeds."""

_TRAIN_SPLIT = "train"
_TRAIN, _EVALUATED = "train_", "train_evaluated_"  # prefixes of columns of training figures
_NOTE = (
    "Figures of training are of two kinds. *train …*: mean over the batches logged since the previous checkpoint, with "
    "dropout and all else that makes training harder, while weights still changed. *train …, evaluated*: recordings of "
    "split train, as many as are evaluated, at equal steps through the split, by the checkpoint in evaluation mode; "
    "these alone can be compared with the figures of the evaluated split.\n"
)

_Log = list[dict[str, Any]]  # lines of ``log.jsonl``


def study(
    name: str, run: object, manifests: Sequence[str | os.PathLike[str]], out: Path, *, split: str | None = None,
    only: Sequence[str] = (), start: Any = None, fakes: int = 50, jobs: int = 1, quiet: bool = False,
    device: str | None = None, say: Callable[[str], None] = print,
) -> str:  # fmt: skip
    """Train and evaluate every variant of a study.

    Args:
        name: Name of a study of the recipe's system.
        run: Recipe that the variants are made of.
        manifests: Paths of JSONL manifests; variants are trained on split train.
        out: Folder of the study.
        split: Split to evaluate on. By default that of the system where every manifest has it (dev for VQ-CTAP and
            TASTE), else test, or all where there is no test.
        only: Names of the variants to train; all by default.
        start: Trained model that every training begins from. Variants of other sizes than the recipe's are left out.
        fakes: Fakes of each label, and recordings, to evaluate.
        jobs: Processes that evaluate.
        quiet: Whether to hide the progress bars of the trainings.
        device: Torch device of trainings and evaluations. By default, trainings take a GPU where torch sees one.
        say: Function that gets a line about each step.

    Returns:
        The tables in Markdown, as in ``study.md``.

    Raises:
        ConfigError: If there is no such study, it is of another system than the recipe, or a variant is unknown.
    """
    subject = find_subject(name, run)
    if device is not None:
        check_device(device)
    paths = [Path(manifest) for manifest in manifests]
    variants = subject.studies[name](run)
    if start is not None:
        variants = _keep_sizes(variants, say)
    variants = _select_variants(variants, only)
    make_folder(out)
    subject.prepare(variants, paths, out)
    chosen = split or _default_split(subject, paths)
    evaluator = _Evaluator(subject, paths, chosen, fakes, jobs, say, device or "cpu")
    entries: dict[str, Entry] = {}
    seeded: list[Measured] = []
    for variant in variants:
        folder = out / variant.name
        say(f"{variant.name}: training")
        begin = load(out / variant.begins_from) if variant.begins_from else start
        resume = exists(folder / "run.json")
        fit(
            variant.run, manifests, folder, start=begin, find=load, resume=resume, quiet=quiet, device=device,
            say=lambda line: None,
        )  # fmt: skip
        log = read_record(folder).rows
        by_step = evaluator.evaluate_run(variant, folder, log)
        for found in by_step.values():
            entries |= found
            seeded += _group_results(variant, found)
        if variant.every_checkpoint and subject.logged:
            firsts = {step: next(iter(found.values())) for step, found in by_step.items()}
            _write_pictures(_curves(variant.name, log, firsts, subject), out, say)
    columns, saturated = _informative(entries.values(), subject)
    table, values = _table(entries, columns), {key: _to_json(entry) for key, entry in entries.items()}
    if any(key.startswith(_EVALUATED) for entry in entries.values() for key in entry.figures):
        table += f"\n{_NOTE}"
    if seeded:
        rows = over_seeds(seeded, [column.key for column in columns])
        table += f"\n{seeds_table(rows, columns)}"
        values[SEEDS] = seeds_to_json(rows)
    table += "".join(f"\n{line}\n" for line in (*saturated, *_unanswered(entries, subject), *evaluator.left_out))
    write_whole(out / "study.md", lambda path: path.write_text(table, encoding="utf-8"))
    write_json(out / "study.json", values)
    return table


def find_subject(name: str, run: object) -> Subject:
    """Return what the studies of one system share: its recipes, measures and split.

    Args:
        name: Name of the study.
        run: Recipe that its variants are to be made of.

    Raises:
        ConfigError: If there is no such study, or it is of another system than the recipe.

    Example:
        >>> from vocable.systems.ctap import recipe as ctap
        >>> find_subject("rates", ctap.tiny()).name
        'VQ-CTAP'
    """
    names = list(dict.fromkeys(study for subject in SUBJECTS for study in subject.studies))
    if name not in names:
        raise ConfigError(f"there is no study '{name}'; there are {', '.join(names)}")
    subjects = [subject for subject in SUBJECTS if name in subject.studies]
    for subject in subjects:
        if isinstance(run, subject.run):
            return subject
    raise ConfigError(
        f"the study '{name}' is of {' and of '.join(subject.name for subject in subjects)}: take one of its recipes, "
        f"such as {' or '.join(subject.example for subject in subjects)}"
    )


@dataclass(frozen=True)
class _Evaluator:
    """Evaluation of the checkpoints of a study's runs.

    Attributes:
        subject: Subject of the study.
        manifests: Paths of the manifests.
        split: Split to evaluate on.
        limit: Fakes of each label, and recordings, to evaluate.
        jobs: Processes.
        say: Function that gets a line about each checkpoint.
        device: Torch device of tokenizers and scorers.
        left_out: Lines on what could not be measured, each once.
    """

    subject: Subject
    manifests: Sequence[Path]
    split: str | None
    limit: int
    jobs: int
    say: Callable[[str], None]
    device: str
    left_out: list[str] = field(default_factory=list)

    def evaluate_run(self, variant: Variant, folder: Path, log: _Log) -> dict[int, dict[str, Entry]]:
        """Evaluate the last checkpoint of a run, or each; return the entries by name, by step."""
        models = checkpoint.steps(folder / "checkpoints")
        steps = [0, *(int(model.name.rpartition("-")[2]) for model in models)]
        found = {}
        for model, previous, step in list(zip(models, steps, steps[1:], strict=False)):
            if (model != models[-1] and not variant.every_checkpoint) or not self.subject.is_ready(load(model)):
                continue
            label = variant.name if not variant.every_checkpoint else f"{variant.name} at {model.name}"
            self.say(f"{label}: measuring")
            logged = _mean_logged([row for row in log if previous < row["step"] <= step], self.subject)
            logged |= _last_logged([row for row in log if row["step"] <= step], self.subject)
            found[step] = self._evaluate(variant, model, folder / "evaluation", label, logged)
        return found

    def _evaluate(
        self, variant: Variant, model: Path, place: Path, label: str, logged: Mapping[str, Figure]
    ) -> dict[str, Entry]:
        """Evaluate one checkpoint; return its entries by name, with the figures of its training."""
        plan = Plan(
            tokenizers=(str(model),), manifests=tuple(self.manifests), split=self.split, limit=self.limit,
            levels=variant.levels, seed=variant.run.train.seed, device=self.device,
        )  # fmt: skip
        entries = self._entries(plan, place / model.name)
        figures = dict(logged) | self._cost(model, place / model.name / "cost.json")
        columns = self.subject.train_columns
        if variant.every_checkpoint and columns:
            train_plan = replace(plan, split=_TRAIN_SPLIT, limit=entries[0].figures[columns[0]].n)
            trained, *_ = self._entries(train_plan, place / f"{model.name}-{_TRAIN_SPLIT}")
            figures |= {f"{_EVALUATED}{key}": trained.figures[key] for key in columns}
        return {
            entry.name.replace(model.name, label): replace(entry, figures={**figures, **entry.figures})
            for entry in entries
        }

    def _entries(self, plan: Plan, place: Path) -> list[Entry]:
        """Return the entries of the plan's tokenizer, without anchors."""
        card = evaluate(partial(self.subject.evaluation, plan, place), place, jobs=self.jobs)
        self.left_out.extend(line for line in card.left_out if line not in self.left_out)
        return [entry for entry in card.entries if entry.kind == "tokenizer"]

    def _cost(self, model: Path, file: Path) -> dict[str, Figure]:
        """Return what a model costs to use: measured once, and kept, so that a study that goes on has equal figures."""
        if not exists(file):
            write_json(file, self.subject.cost(load(model)))
        values = read_object(file, advice="remove it: it is measured again")
        return {key: point_figure(float(value), 1) for key, value in values.items()}


def _group_results(variant: Variant, entries: Mapping[str, Entry]) -> list[Measured]:
    """Label a variant's figures with its group and seed; return an empty list if it has no group."""
    seed = variant.run.train.seed
    return [
        Measured(group=variant.group, part=name.removeprefix(variant.name), seed=seed, figures=entry.figures)
        for name, entry in entries.items() if variant.group
    ]  # fmt: skip


def _informative(entries: Iterable[Entry], subject: Subject) -> tuple[list[Column], list[str]]:
    """Return the columns that can tell variants apart, and a line about each that cannot: all are at its ceiling."""
    columns, lines = [], []
    for column in subject.columns:
        values = [entry.figures[column.key] for entry in entries if column.key in entry.figures]
        values = [value for value in values if not math.isnan(value.mean)]
        ceiling = subject.ceilings.get(column.key, math.inf)
        if values and all(value.mean >= ceiling or value.high >= ceiling for value in values):
            lowest = min(value.mean for value in values)
            lines.append(
                f"{column.title}: not shown. It is at its ceiling for every variant (lowest {lowest:.3f}), so at "
                "this size it tells none from another; evaluate more fakes, or a harder corpus."
            )
        else:
            columns.append(column)
    return columns, lines


def _unanswered(entries: Mapping[str, Entry], subject: Subject) -> Iterator[str]:
    """Yield a line for each column with a baseline that some variants do not clearly beat: by their whole interval."""
    columns = {column.key: column for column in subject.columns}
    for key, baseline in subject.baselines.items():
        measured = {name: entry.figures for name, entry in entries.items() if {key, baseline} <= entry.figures.keys()}
        lower = columns[key].better == "lower"
        weak = [
            name for name, figures in measured.items()
            if not (figures[key].high < figures[baseline].mean if lower else figures[key].low > figures[baseline].mean)
        ]  # fmt: skip
        if weak:
            named = "every variant" if len(weak) == len(measured) else ", ".join(weak)
            yield (
                f"{columns[key].title}: not clearly better than *{columns[baseline].title}*: {named}. The study cannot "
                "answer what these cost; train longer, or on more speech."
            )


def _keep_sizes(variants: Sequence[Variant], say: Callable[[str], None]) -> list[Variant]:
    """Return the variants of the recipe's sizes, after naming the others."""
    for variant in variants:
        if variant.has_other_sizes:
            say(f"{variant.name}: left out: its sizes are not those of the model to begin from")
    return [variant for variant in variants if not variant.has_other_sizes]


def _select_variants(variants: Sequence[Variant], only: Sequence[str]) -> list[Variant]:
    """Return the named variants, by their names or those of their groups, and those that they begin from."""
    names = [variant.name for variant in variants]
    groups = list(dict.fromkeys(variant.group for variant in variants if variant.group))
    if unknown := [name for name in only if name not in names and name not in groups]:
        raise ConfigError(f"the study has no variant '{unknown[0]}'; it has {', '.join(groups or names)}")
    selected = [variant for variant in variants if not only or {variant.name, variant.group} & set(only)]
    needed = {variant.begins_from for variant in selected} | {variant.name for variant in selected}
    return [variant for variant in variants if variant.name in needed]


def _default_split(subject: Subject, manifests: Sequence[Path]) -> str | None:
    """Return the subject's split if every manifest has it."""
    in_all = all(any(line.split == subject.split for line in read_manifest(path)) for path in manifests)
    return subject.split if in_all else None


def _mean_logged(rows: _Log, subject: Subject) -> dict[str, Figure]:
    """Return the means of logged statistics, as figures of training."""
    curves = {column: read_curve(rows, name)[1] for name, column in subject.logged.items()}
    return {
        f"{_TRAIN}{column}": Figure(mean=float(values.mean()), low=math.nan, high=math.nan, n=values.size)
        for column, values in curves.items()
        if values.size
    }


def _last_logged(rows: _Log, subject: Subject) -> dict[str, Figure]:
    """Return the last logged values, as figures of training."""
    last = {column: [row[name] for row in rows if name in row][-1:] for name, column in subject.final.items()}
    return {column: point_figure(float(values[0]), 1) for column, values in last.items() if values}


def _curves(name: str, log: _Log, entries: Mapping[int, Entry], subject: Subject) -> Iterator[Named]:
    """Draw the losses and statistics of a training, with the figures of its checkpoints."""
    evaluated = [
        {"step": step} | {
            f"{kind}/{key.rpartition('/')[2]}": entry.figures[prefix + column].mean
            for key, column in subject.logged.items()
            for kind, prefix in (("validation", ""), ("evaluated", _EVALUATED)) if prefix + column in entry.figures
        } for step, entry in entries.items()
    ]  # fmt: skip
    if log:
        yield f"{name}-losses", plot_losses([*log, *evaluated], title=f"{name}: losses")
    if metric_names(log):
        yield f"{name}-figures", plot_metrics([*log, *evaluated], title=f"{name}: figures")


def _write_pictures(pictures: Iterator[Named], out: Path, say: Callable[[str], None]) -> None:
    if find_spec("matplotlib") is None:
        say("no pictures: they need matplotlib; run pip install 'vocable[evaluate]'")
        return
    for path, picture in write_pictures(pictures, out):
        say(f"{path}: {picture.title}")


def _table(entries: Mapping[str, Entry], columns: Sequence[Column]) -> str:
    """Return the figures of all entries as a table in Markdown."""
    columns = [column for column in columns if any(column.key in entry.figures for entry in entries.values())]
    lines = [
        "| variant | " + " | ".join(column.title for column in columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for name, entry in entries.items():
        cells = [
            entry.figures[c.key].text(c.form if c.unit != "%" else ".3f") if c.key in entry.figures else ""
            for c in columns
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _to_json(entry: Entry) -> dict[str, Any]:
    figures = {key: figure_to_json(figure, "n") for key, figure in entry.figures.items() if not math.isnan(figure.mean)}
    return {**figures, "note": entry.note}
