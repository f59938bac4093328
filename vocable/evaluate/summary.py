"""Rows to figures: means with intervals, groups, rates and codebook use, whether the anchors stand, and the files."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from vocable.errors import VocableError
from vocable.evaluate.card import Card, Column, Entry
from vocable.evaluate.measures import Measure
from vocable.evaluate.page.report import report_to_markdown, write_report
from vocable.evaluate.runner import Row
from vocable.files import write_json, write_whole
from vocable.metrics.codebook import LevelUsage, bit_rates, codebook_usage
from vocable.metrics.score import Figure, Score, summarise
from vocable.tokens import Tokens

BIT_RATE = Column(
    key="bit_rate", title="bit/s", unit="bit/s", better="lower", form=",.0f",
    caption="Bits of the coded signal per second of speech, counted from the bytes, without the container.",
)  # fmt: skip
CONTAINER = Column(
    key="bit_rate_in_container", title="bit/s in a file", unit="bit/s", better="lower", form=",.0f",
    caption="The same with the file around it: headers, page tables, checksums. Short clips pay most.",
)  # fmt: skip
ENTROPY = Column(
    key="bit_rate_entropy_coded", title="bit/s, entropy-coded", unit="bit/s", better="lower", form=",.0f",
    caption="With an ideal entropy coder for each level that knows how often each id occurs in these very clips.",
)  # fmt: skip
USED = Column(
    key="codebook_used", title="codebook used", unit="%", better="higher", form=".1f",
    caption="Share of the codebooks' entries that occur in these clips, mean over levels.",
)  # fmt: skip
PERPLEXITY = Column(
    key="codebook_perplexity", title="perplexity", better="higher", form=".0f",
    caption="2 to the entropy of the ids, mean over levels: how many equally common entries would be as varied.",
)  # fmt: skip
COUNTED = (BIT_RATE, CONTAINER, ENTROPY, USED, PERPLEXITY)


def figures(rows: Sequence[Row], columns: Iterable[Column], seed: int) -> dict[str, Figure]:
    """One entry's figures: of each metric, over the rows that have a score of it, defined or not."""
    scored = {column.key: [row.scores[column.key] for row in rows if column.key in row.scores] for column in columns}
    found = {key: summarise(scores, seed=seed) for key, scores in scored.items() if scores}
    for column, parts in ((BIT_RATE, ("payload_bits",)), (CONTAINER, ("payload_bits", "container_bits"))):
        coded = [row.facts for row in rows if all(part in row.facts for part in parts)]
        if coded:
            rates = [
                Score(sum(facts[part] for part in parts) / facts["seconds"], weight=facts["seconds"]) for facts in coded
            ]
            found[column.key] = summarise(rates, seed=seed)
    return found


def groups(
    rows: Sequence[Row], columns: Iterable[Column], seed: int, value_of: Callable[[str], Mapping[str, str]]
) -> dict[str, dict[str, dict[str, Figure]]]:
    """One entry's figures for each value of each key that ``value_of`` gives for an item."""
    columns = list(columns)
    parts: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        for key, value in value_of(row.item).items():
            parts.setdefault(key, {}).setdefault(value, []).append(row)
    return {
        key: {value: figures(some, columns, seed) for value, some in sorted(by_value.items())}
        for key, by_value in parts.items()
        if len(by_value) > 1
    }


def usage(clips: Iterable[Tokens], levels: int) -> tuple[LevelUsage, ...]:
    """How the first levels' codebooks are used by clips of one tokenizer together."""
    rows = [tokens.keep_levels(levels).ids[0, :, : int(tokens.lengths[0])] for tokens in clips]
    ids = torch.cat(rows, dim=1)[None]
    spec = next(iter(clips)).spec
    return codebook_usage(ids, torch.tensor([ids.shape[2]]), spec.codebook_size)


def usage_figures(levels: Sequence[LevelUsage], frame_rate: float, n: int) -> dict[str, Figure]:
    """Codebook use as figures; counted over all clips at once, so there is no interval."""

    def counted(value: float) -> Figure:
        return Figure(mean=value, low=math.nan, high=math.nan, n=n)

    return {
        USED.key: counted(sum(level.used for level in levels) / len(levels)),
        PERPLEXITY.key: counted(sum(level.perplexity for level in levels) / len(levels)),
        ENTROPY.key: counted(bit_rates(levels, frame_rate).entropy_coded),
    }


def off_anchor(measures: Iterable[Measure], entries: Sequence[Entry]) -> list[str]:
    """What says that metrics of this run are not to be trusted: identity under the ceiling, noise over the floor."""
    by_name = {entry.name: entry for entry in entries}
    alarms = []
    for measure in measures:
        column = measure.column
        sign = -1.0 if column.better == "lower" else 1.0
        for name, bound, side in (("identity", measure.ceiling, 1.0), ("noise", measure.floor, -1.0)):
            figure = by_name[name].figures.get(column.key) if name in by_name else None
            if bound is None or figure is None or math.isnan(figure.mean):
                continue
            if (figure.mean - bound) * sign * side < 0:
                where = ("at least", "at most") if sign * side > 0 else ("at most", "at least")
                alarms.append(
                    f"anchor off: {name} has {column.title} {figure.mean:.4g}, {where[0]} {bound:g} is expected; "
                    "do not trust this metric here"
                )
    return alarms


def to_json(card: Card) -> dict[str, dict[str, dict[str, Any]]]:
    """The object of ``summary.json``: entry → metric → mean, interval, n, excluded, reasons, settings."""
    columns = {column.key: column for column in card.columns}
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in card.entries:
        cells = {key: _cell(figure, columns[key]) for key, figure in entry.figures.items()}
        for key, (value, source) in entry.reported.items():
            cells[key] |= {"reported": value, "reported_by": source}
        summary[entry.name] = cells
    for row in card.probes:
        key = f"probe/{row.probe}/{row.view}/{row.metric}"
        column = Column(key=key, title=key, better=row.better, caption=row.note)
        anchors = {"chance": _number(row.chance), "majority": _number(row.majority)}
        summary.setdefault(row.entry, {})[key] = _cell(row.figure, column) | anchors
    return summary


def write_results(card: Card, out: Path) -> None:
    """``summary.json``, ``report.md`` and ``report.html``.

    Raises:
        OutputError: One of them cannot be written.
    """
    write_json(out / "summary.json", to_json(card))
    markdown = report_to_markdown(card)
    write_whole(out / "report.md", lambda temporary: temporary.write_text(markdown, encoding="utf-8"))
    write_report(out / "report.html", card)


def finish(card: Card) -> None:
    """Raise if the run is not to be trusted.

    Raises:
        VocableError: An anchor is off.
    """
    if card.alarms:
        raise VocableError("; ".join(card.alarms))


def _cell(figure: Figure, column: Column) -> dict[str, Any]:
    low, high = _number(figure.low), _number(figure.high)
    return {
        "mean": _number(figure.mean),
        "interval": None if low is None else [low, high],
        "n": figure.n,
        "excluded": figure.excluded,
        "reasons": dict(figure.reasons),
        "unit": column.unit,
        "better": column.better,
        "settings": column.caption,
    } | ({"counts": dict(figure.counts)} if figure.counts else {})


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def summed(
    rows: Sequence[Row], columns: Sequence[Column], speakers: Mapping[str, str], seed: int,
    over_items: tuple[str, ...] = (),
) -> dict[str, Figure]:  # fmt: skip
    """Figures of one entry's scores, with intervals over speakers.

    Args:
        rows: Of one entry.
        columns: Those that are wanted; where no row has a score there is no figure.
        speakers: Who speaks, by item.
        seed: Of the intervals.
        over_items: How the keys begin whose intervals are over items: batches, sentences.
    """
    found = {}
    for column in columns:
        scored = [row for row in rows if column.key in row.scores]
        if scored:
            each = bool(over_items) and column.key.startswith(over_items)
            groups = None if each else [speakers.get(row.item, row.item) for row in scored]
            found[column.key] = summarise([row.scores[column.key] for row in scored], seed=seed, groups=groups)
    return found


def usage_figure(clips: Sequence[Int[Tensor, " _"]], codebook_size: int, seed: int, rounds: int = 1000) -> Figure:
    """Share of the codebook that occurs in clips.

    Args:
        clips: Ids of each.
        codebook_size: K.
        seed: Of the bootstrap over clips.
        rounds: Of it.

    Returns:
        With the bootstrap's interval moved onto the figure: a resample holds 63 % of the clips, so fewer entries.

    Example:
        >>> usage_figure([torch.tensor([0, 1]), torch.tensor([1, 2])], 4, seed=0).mean
        0.75
    """
    present = np.zeros((len(clips), codebook_size), dtype=bool)
    for row, ids in zip(present, clips, strict=True):
        row[ids.numpy()] = True
    mean = float(present.any(0).mean())
    if len(clips) < 2:
        return Figure(mean=mean, low=math.nan, high=math.nan, n=len(clips))
    random = np.random.default_rng(seed)
    drawn = [present[np.unique(random.integers(len(clips), size=len(clips)))].any(0).mean() for _ in range(rounds)]
    low, high = np.percentile(drawn, [2.5, 97.5]) - np.mean(drawn) + mean
    return Figure(mean=mean, low=max(0.0, float(low)), high=min(1.0, float(high)), n=len(clips))


def counted(value: float, n: int) -> Figure:
    """A figure of all clips at once: there is no interval."""
    return Figure(mean=float(value), low=math.nan, high=math.nan, n=n)
