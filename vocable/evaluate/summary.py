"""Figures of an evaluation: means with intervals, groups, bit rates, codebook use, anchors, and the files."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vocable.errors import VocableError
from vocable.evaluate.card import Card, Column, Entry
from vocable.evaluate.measures import Measure
from vocable.evaluate.page.report import report_to_markdown, write_report
from vocable.evaluate.runner import ResultRow
from vocable.files import write_json, write_whole
from vocable.metrics.codebook import LevelUsage, bit_rates, codebook_usage
from vocable.metrics.score import Figure, Score, point_figure, summarize
from vocable.tokens import BEAM, Tokens

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
LEVELS = Column(
    key="levels", title="levels", better="neither", form=",.0f",
    caption="Number of ids of a frame that the speech was decoded from.",
)  # fmt: skip
COUNTED = (LEVELS, BIT_RATE, CONTAINER, ENTROPY, USED, PERPLEXITY)


def entry_figures(rows: Sequence[ResultRow], columns: Iterable[Column], seed: int) -> dict[str, Figure]:
    """Return the figures of one entry: of each metric that has a score in its rows, and the bit rates."""
    counts = {int(row.extra["levels"]) for row in rows if "levels" in row.extra}
    scores = {column.key: [row.scores[column.key] for row in rows if column.key in row.scores] for column in columns}
    figures = {key: summarize(some, seed=seed) for key, some in scores.items() if some}
    for column, parts in ((BIT_RATE, ("payload_bits",)), (CONTAINER, ("payload_bits", "container_bits"))):
        coded = [row.extra for row in rows if all(part in row.extra for part in parts)]
        if coded:
            rates = [
                Score(sum(extra[part] for part in parts) / extra["seconds"], weight=extra["seconds"]) for extra in coded
            ]
            figures[column.key] = summarize(rates, seed=seed)
    if len(counts) == 1:
        figures[LEVELS.key] = point_figure(float(counts.pop()), len(rows))
    return figures


def group_figures(
    rows: Sequence[ResultRow], columns: Iterable[Column], seed: int, groups_of: Callable[[str], Mapping[str, str]]
) -> dict[str, dict[str, dict[str, Figure]]]:
    """Return the figures of one entry by key, such as ``gender``, and value; keys with a single value are left out.

    ``groups_of`` returns the value of each key for an item.
    """
    columns = list(columns)
    parts: dict[str, dict[str, list[ResultRow]]] = {}
    for row in rows:
        for key, value in groups_of(row.item).items():
            parts.setdefault(key, {}).setdefault(value, []).append(row)
    return {
        key: {value: entry_figures(some, columns, seed) for value, some in sorted(by_value.items())}
        for key, by_value in parts.items()
        if len(by_value) > 1
    }


def speaker_figures(
    rows: Sequence[ResultRow], columns: Sequence[Column], speakers: Mapping[str, str], seed: int,
    over_items: tuple[str, ...] = (),
) -> dict[str, Figure]:  # fmt: skip
    """Return the figures of one entry with intervals over speakers.

    Args:
        rows: Rows of the entry.
        columns: Metrics; one that has no score in the rows has no figure.
        speakers: Speaker of each item.
        seed: Seed of the intervals.
        over_items: Prefixes of the keys whose intervals are over items, such as batches or sentences.
    """
    figures = {}
    for column in columns:
        scored = [row for row in rows if column.key in row.scores]
        if scored:
            by_item = bool(over_items) and column.key.startswith(over_items)
            groups = None if by_item else [speakers.get(row.item, row.item) for row in scored]
            figures[column.key] = summarize([row.scores[column.key] for row in scored], seed=seed, groups=groups)
    return figures


def level_usage(clips: Iterable[Tokens], levels: int) -> tuple[LevelUsage, ...]:
    """Return the use of the codebooks of the first levels by clips of one tokenizer together."""
    clips = list(clips)
    rows = [tokens.keep_levels(levels).ids[0, :, : int(tokens.lengths[0])] for tokens in clips]
    ids = torch.cat(rows, dim=1)[None]
    return codebook_usage(ids, torch.tensor([ids.shape[2]]), clips[0].spec.codebook_size)


def usage_figures(levels: Sequence[LevelUsage], frame_rate: float, n: int) -> dict[str, Figure]:
    """Return codebook use as figures, counted on all n clips at once and therefore without an interval."""
    return {
        USED.key: point_figure(sum(level.used for level in levels) / len(levels), n),
        PERPLEXITY.key: point_figure(sum(level.perplexity for level in levels) / len(levels), n),
        ENTROPY.key: point_figure(bit_rates(levels, frame_rate).entropy_coded, n),
    }


def check_anchors(measures: Iterable[Measure], entries: Sequence[Entry]) -> list[str]:
    """Return an alarm for each metric that fails on an anchor: identity below its ceiling, or noise above its floor."""
    by_name = {entry.name: entry for entry in entries}
    alarms = []
    for measure in measures:
        column = measure.column
        direction = -1.0 if column.better == "lower" else 1.0
        for name, bound, side in (("identity", measure.ceiling, 1.0), ("noise", measure.floor, -1.0)):
            figure = by_name[name].figures.get(column.key) if name in by_name else None
            if bound is None or figure is None or math.isnan(figure.mean):
                continue
            sign = direction * side
            if (figure.mean - bound) * sign < 0:
                alarms.append(
                    f"anchor off: {name} has {column.title} {figure.mean:.4g}, {'at least' if sign > 0 else 'at most'} "
                    f"{bound:g} is expected; do not trust this metric here"
                )
    return alarms


def raise_alarms(card: Card) -> None:
    """Raise a :class:`VocableError` if an anchor of a run is off: its results must not be trusted."""
    if card.alarms:
        raise VocableError("; ".join(card.alarms))


# ---- files ----------------------------------------------------------------------------------------------------------


def to_json(card: Card) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the content of ``summary.json``: by entry and metric, mean, interval, n, excluded, reasons, settings."""
    columns = {column.key: column for column in card.columns}
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    beam = card.settings.get(BEAM, 1)
    searched = {entry.name: f" {BEAM}: {beam}" for entry in card.entries if entry.kind == "tokenizer" and beam != 1}
    for entry in card.entries:
        cells = {key: _cell(figure, columns[key]) for key, figure in entry.figures.items()}
        for cell in cells.values():
            cell["settings"] += searched.get(entry.name, "")
        for key, (value, source) in entry.reported.items():
            cells[key] |= {"reported": value, "reported_by": source}
        summary[entry.name] = cells
    for row in card.probes:
        key = f"probe/{row.probe}/{row.view}/{row.metric}"
        column = Column(key=key, title=key, better=row.better, caption=row.note + searched.get(row.entry, ""))
        anchors = {"chance": _finite(row.chance), "majority": _finite(row.majority)}
        summary.setdefault(row.entry, {})[key] = _cell(row.figure, column) | anchors
    return summary


def write_results(card: Card, out: Path) -> None:
    """Write ``summary.json``, ``report.md`` and ``report.html``."""
    write_json(out / "summary.json", to_json(card))
    markdown = report_to_markdown(card)
    write_whole(out / "report.md", lambda temporary: temporary.write_text(markdown, encoding="utf-8"))
    write_report(out / "report.html", card)


def _cell(figure: Figure, column: Column) -> dict[str, Any]:
    low, high = _finite(figure.low), _finite(figure.high)
    return {
        "mean": _finite(figure.mean),
        "interval": None if low is None else [low, high],
        "n": figure.n,
        "excluded": figure.excluded,
        "reasons": dict(figure.reasons),
        "unit": column.unit,
        "better": column.better,
        "settings": column.caption,
    } | ({"counts": dict(figure.counts)} if figure.counts else {})


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
