"""The tables of a report card: all figures, figures by group, probes, codebook use."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from vocable.evaluate.card import Card, Column, Entry, ProbeRow
from vocable.evaluate.card_text import best, counted, head, interval, main_columns, probe_column, reasons, shown, sign
from vocable.evaluate.page import escaped, usage_table
from vocable.metrics.score import Figure

_NOTHING = "<td data-v='' class=none>–</td>"


def figures_table(card: Card) -> str:
    """Entries by metrics; what others reported stands beside what was measured."""
    columns = sorted(card.columns, key=lambda column: column.key != "bit_rate")  # the price first
    reported = {column.key for column in columns if any(column.key in entry.reported for entry in card.entries)}
    usual = {column.key: _usual(entry.figures.get(column.key) for entry in card.entries) for column in columns}
    heads = ["<th scope=col data-kind=text>Entry <span class=way></span></th>"]
    for column in columns:
        heads.append(_column_head(column, usual[column.key]))
        if column.key in reported:
            heads.append(_column_head(column, 0, " <span class=said>reported</span>"))
    winners = {column.key: best(card, column) for column in columns}
    rows = []
    for entry in card.entries:
        cells = [f"<th scope=row data-v='{escaped(entry.name)}'>{escaped(entry.name)}<small>{entry.kind}</small></th>"]
        for column in columns:
            figure = entry.figures.get(column.key)
            cells.append(_cell(figure, column, usual[column.key], entry.name in winners[column.key]))
            if column.key in reported:
                cells.append(_reported(entry, column))
        rows.append(f"<tr class={entry.kind}>{''.join(cells)}</tr>")
    return _table("All figures", "".join(heads), rows)


def group_tables(card: Card) -> list[tuple[str, str]]:
    """For each key of the manifest that groups clips: its name, and a panel for each metric."""
    keys = dict.fromkeys(key for entry in card.entries for key in entry.groups)
    first = main_columns(card)
    columns = [*first, *(column for column in card.columns if column not in first and not counted(column))]
    found = []
    for key in keys:
        entries = [entry for entry in card.entries if key in entry.groups]
        panels = [panel for column in columns if (panel := _group_panel(key, column, entries))]
        panels[:1] = [panel.replace("<details>", "<details open>", 1) for panel in panels[:1]]
        if panels:
            found.append((key, f"<div class=choice data-label=Metric>{''.join(panels)}</div>"))
    return found


def probe_tables(rows: Sequence[ProbeRow]) -> str:
    """For each tokenizer probes by views, beside what guessing gives."""
    parts = []
    for entry in dict.fromkeys(row.entry for row in rows):
        own = [row for row in rows if row.entry == entry]
        views = list(dict.fromkeys(row.view for row in own))
        lines: dict[tuple[str, str, str, str], dict[str, ProbeRow]] = {}
        for row in own:
            column = probe_column(row)
            guesses = shown(row.chance, column), shown(row.majority, column)
            lines.setdefault((row.probe, row.metric, *guesses), {})[row.view] = row
        names = ["Probe", *views, "Chance", "Majority", "n"]
        heads = "".join(f"<th scope=col>{escaped(name)}</th>" for name in names)
        body = [_probe_line(line, by_view, views) for line, by_view in lines.items()]
        notes = dict.fromkeys(f"{row.probe}: {row.note}" for row in own if row.note)
        parts.append(
            f"<h3>{escaped(entry)}</h3>{_table(f'Probes of {entry}', heads, body, 'matrix')}"
            f"<p class=small>{'<br>'.join(map(escaped, notes))}</p>"
        )
    return "".join(parts)


def usage_tables(entries: Iterable[Entry]) -> str:
    """How the codebooks are used; of each family the entry with the most levels, as the others are its first ones."""
    widest: dict[str, Entry] = {}
    for entry in entries:
        if entry.usage and (entry.family not in widest or len(entry.usage) > len(widest[entry.family].usage)):
            widest[entry.family] = entry
    return "".join(
        f"<h3>{escaped(entry.name)}</h3><div class=use>{usage_table(entry.usage)}</div>"
        f"<p class=small>Over all clips together: {entry.usage[0].frames:,} frames.</p>"
        for entry in widest.values()
    )


def _column_head(column: Column, usual: int, more: str = "") -> str:
    first = "ascending" if column.better == "lower" else "descending"
    count = f"<small>n {usual:,}</small>" if usual else ""
    return (
        f"<th scope=col data-first={first} title='{escaped(column.caption)}'>{escaped(head(column))}{more} "
        f"<span class=way>{sign(column)}</span>{count}</th>"
    )


def _usual(figures: Iterable[Figure | None]) -> int:
    """The n that most figures have, so that it is said once."""
    counts = Counter(figure.n for figure in figures if figure is not None)
    return max(counts, key=lambda n: (counts[n], n), default=0)


def _cell(figure: Figure | None, column: Column, usual: int, wins: bool = False) -> str:
    if figure is None:
        return _NOTHING
    why = f" title='{escaped(reasons(figure))}'" if figure.reasons else ""
    counts = [f"n {figure.n:,}"] if figure.n != usual else []
    counts += [f"{figure.excluded:,} left out"] if figure.excluded else []
    below = [part for part in (interval(figure, column), ", ".join(counts)) if part]
    small = "".join(f"<small>{escaped(part)}</small>" for part in below)
    if math.isnan(figure.mean):
        return f"<td data-v='' class=none{why}>undefined{small}</td>"
    value = escaped(shown(figure.mean, column))
    value = f"<b class=best>{value}<span class=unseen> best</span></b>" if wins else value
    return f"<td data-v='{_number(figure.mean)}'{why}>{value}{small}</td>"


def _number(value: float) -> str:
    """As the script reads it."""
    return repr(float(value)).replace("inf", "Infinity")


def _reported(entry: Entry, column: Column) -> str:
    if column.key not in entry.reported:
        return _NOTHING
    value, source = entry.reported[column.key]
    return (
        f"<td data-v='{_number(value)}' class=said>{escaped(shown(value, column))}<small>{escaped(source)}</small></td>"
    )


def _group_panel(key: str, column: Column, entries: Sequence[Entry]) -> str:
    """A metric by the values of a key, a column for each entry."""
    entries = [entry for entry in entries if any(column.key in figures for figures in entry.groups[key].values())]
    if not entries:
        return ""
    values = sorted({value for entry in entries for value in entry.groups[key]}, key=_natural)
    first = "ascending" if column.better == "lower" else "descending"
    named = [("data-kind=text", key), ("data-first=descending", "n")]
    named += [(f"data-first={first}", entry.name) for entry in entries]
    heads = "".join(f"<th scope=col {how}>{escaped(name)} <span class=way></span></th>" for how, name in named)
    rows = []
    for value in values:
        figures = [entry.groups[key].get(value, {}).get(column.key) for entry in entries]
        usual = _usual(figures)
        cells = f"<td data-v='{usual}'>{usual:,}</td>" + "".join(_cell(figure, column, usual) for figure in figures)
        rows.append(f"<tr><th scope=row data-v='{escaped(value)}'>{escaped(value)}</th>{cells}</tr>")
    title = f"{escaped(head(column))} {sign(column)}"
    return f"<details><summary>{title}</summary>{_table(f'{column.title} by {key}', heads, rows)}</details>"


def _probe_line(line: tuple[str, str, str, str], by_view: Mapping[str, ProbeRow], views: Sequence[str]) -> str:
    some = next(iter(by_view.values()))
    column = probe_column(some)
    usual = _usual(row.figure for row in by_view.values())
    name = f"{escaped(some.probe)}<small>{escaped(head(column))} {sign(column)}</small>"
    cells = []
    for view in views:
        row = by_view.get(view)
        cell = _cell(row.figure, column, usual) if row else _NOTHING
        cells.append(cell.replace("<td", f"<td style='--heat:{_heat(row):.2f}'", 1) if row else cell)
    guesses = "".join(f"<td>{text if text != 'undefined' else '–'}</td>" for text in line[2:])
    return f"<tr><th scope=row>{name}</th>{''.join(cells)}{guesses}<td>{usual:,}</td></tr>"


def _heat(row: ProbeRow) -> float:
    """How far a share is from guessing to perfect, in [0, 1]."""
    if probe_column(row).unit != "%" or math.isnan(row.figure.mean):
        return 0.0
    floor = 0.0 if math.isnan(row.chance) else row.chance
    share = (row.figure.mean - floor) / (1.0 - floor) if row.better == "higher" and floor < 1.0 else 1 - row.figure.mean
    return min(max(share, 0.0), 1.0)


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (10**9, name)


def _table(title: str, heads: str, rows: Sequence[str], look: str = "sortable") -> str:
    return (
        f"<div class='card wide' tabindex=0 role=region aria-label='{escaped(title)}'><table class={look}>"
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )
