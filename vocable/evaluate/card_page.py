"""A report card as one page to look at, to sort and to listen to, and as Markdown.

The page fetches nothing, and runs one small script that its policy names by digest: it sorts tables, chooses a metric
and lets one player sound at a time. Without it every figure can still be read.
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from vocable.evaluate.card import Card, Column, Entry
from vocable.evaluate.card_look import SCRIPT, STYLE
from vocable.evaluate.card_plots import families, key, plot
from vocable.evaluate.card_sounds import samples_sections
from vocable.evaluate.card_tables import figures_table, group_tables, probe_tables, usage_tables
from vocable.evaluate.card_text import (
    anchors_of,
    counted,
    head,
    interval,
    main_columns,
    main_entry,
    probe_column,
    reasons,
    shown,
    sign,
)
from vocable.evaluate.page import data_uri, escaped, shell
from vocable.files import write_whole
from vocable.metrics.score import Figure

_TILES = 6


def write_card(path: Path, card: Card) -> None:
    """Write the page, whole or not at all.

    Raises:
        MissingDependencyError: There are clips to show, and matplotlib is not installed.
        OutputError: The place cannot be written.
    """
    page = render_card(card)
    write_whole(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))


def render_card(card: Card) -> str:
    """The page as HTML; the same card gives the same bytes.

    Raises:
        MissingDependencyError: There are clips to show, and matplotlib is not installed.

    Example:
        >>> "<h1>a &amp; b</h1>" in render_card(Card(title="a & b", lead="Nothing yet.", columns=[], entries=[]))
        True
    """
    compared, listed = samples_sections(card)
    sections = [
        ("findings", "What the figures say", _list("", map(escaped, card.findings))),
        ("quality", "Quality by bit rate", _plots(card)),
        ("figures", "All figures", _figures(card)),
        *((f"by-{place}", f"By {name}", html) for place, (name, html) in enumerate(group_tables(card))),
        ("probes", "What probes read out of the tokens", _probes(card)),
        ("codebooks", "Codebook use", usage_tables(card.entries)),
        ("compare", "Compare by ear and eye", compared),
        ("extremes", "The worst and the best", listed),
        ("pictures", "Pictures", _pictures(card)),
        ("missing", "Left out", _missing(card)),
        ("settings", "What was measured, and how", _settings(card)),
    ]
    there = [section for section in sections if section[2]]
    links = "".join(f"<a href='#{place}'>{escaped(name)}</a>" for place, name, _ in there)
    body = [
        f"<header><p class=eyebrow>vocable: what do these tokens keep?</p><h1>{escaped(card.title)}</h1>"
        f"<p class=lead>{escaped(card.lead)}</p></header>",
        _alarms(card.alarms),
        _tiles(card),
        f"<nav aria-label='On this page'>{links}</nav>",
        *(
            f"<section aria-labelledby={place}><h2 id={place}>{escaped(name)}</h2>{html}</section>"
            for place, name, html in there
        ),
    ]
    return shell(card.title, "\n".join(body), style=STYLE, script=SCRIPT)


def card_to_markdown(card: Card) -> str:
    """Alarms, entries by main metrics, and probes, as GitHub shows them.

    Example:
        >>> figure = Figure(mean=2.5, low=2.4, high=2.6, n=80)
        >>> column = Column(key="pesq_wb", title="PESQ-WB", better="higher", caption="")
        >>> entry = Entry(name="guided-small", kind="tokenizer", family="guided-small", note="", bit_rate=4000.0,
        ...               figures={"pesq_wb": figure})
        >>> print(card_to_markdown(Card(title="T", lead="80 clips", columns=[column], entries=[entry])))
        # T
        <BLANKLINE>
        80 clips
        <BLANKLINE>
        | Entry | bit/s ↓ | PESQ-WB ↑ |
        | --- | ---: | ---: |
        | guided-small | 4,000 | 2.50 (2.40–2.60) |
        <BLANKLINE>
        Means over clips, with 95 % intervals in brackets; n = 80.
        <BLANKLINE>
    """
    columns = main_columns(card)
    figures = [entry.figures[column.key] for entry in card.entries for column in columns if column.key in entry.figures]
    usual = max((figure.n for figure in figures), default=0)
    heads = ["Entry", "bit/s ↓", *(f"{head(column)} {sign(column)}".strip() for column in columns)]
    rows = []
    for entry in card.entries:
        rows.append([entry.name, _rate(entry), *(_brief(entry.figures.get(c.key), c, usual) for c in columns)])
        if entry.reported:
            said = (shown(entry.reported[c.key][0], c) if c.key in entry.reported else "" for c in columns)
            rows.append(["as reported", "", *said])
    parts = [f"# {_marked(card.title)}", _marked(card.lead)]
    if card.alarms:
        alarms = "\n".join(f"> - {_marked(alarm)}" for alarm in card.alarms)
        parts.append(f"> [!WARNING]\n> Do not trust this run.\n>\n{alarms}")
    parts.append(_markdown_table(heads, rows))
    parts.append(f"Means over clips, with 95 % intervals in brackets; n = {usual:,}.")
    if card.probes:
        found = []
        for row in card.probes:
            column = probe_column(row)
            chance, majority = ("–" if math.isnan(x) else shown(x, column) for x in (row.chance, row.majority))
            name = f"{head(column)} {sign(column)}".strip()
            found.append([row.entry, row.probe, row.view, name, _brief(row.figure, column), chance, majority])
        parts += [
            "## Probes",
            _markdown_table(["Entry", "Probe", "View", "Metric", "", "Chance", "Majority"], found, 4),
        ]
    if card.findings:
        parts += ["## What the figures say", "\n".join(f"- {_marked(line)}" for line in card.findings)]
    left = [*(f"{name}: {why}" for name, why in card.quarantined.items()), *card.left_out]
    if left:
        parts += ["## Left out", "\n".join(f"- {_marked(line)}" for line in left)]
    return "\n\n".join(parts) + "\n"


def _alarms(alarms: Sequence[str]) -> str:
    items = "".join(f"<li>{escaped(alarm)}</li>" for alarm in alarms)
    return f"<div class=alarm role=alert><h2>Do not trust this run</h2><ul>{items}</ul></div>" if alarms else ""


def _tiles(card: Card) -> str:
    """The main figures of what the card is about."""
    entry = main_entry(card)
    if entry is None:
        return ""
    rate = [] if math.isnan(entry.bit_rate) else [("Bit rate", _rate(entry), "bit/s", "")]
    tiles = rate + [
        (f"{column.title} {sign(column)}", shown(figure.mean, column), column.unit, interval(figure, column))
        for column in main_columns(card)
        if (figure := entry.figures.get(column.key)) is not None
    ]
    inside = "".join(
        f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)} <small>{escaped(unit)}</small></dd>"
        f"<dd class=range>{escaped(between)}</dd></div>"
        for name, value, unit, between in tiles[:_TILES]
    )
    about = f"<p class=about><b>{escaped(entry.name)}</b> <span class=small>{escaped(entry.note)}</span></p>"
    return f"{about}<dl class=tiles>{inside}</dl>"


def _plots(card: Card) -> str:
    of = families(card.entries)
    first = main_columns(card)
    rest = [column for column in card.columns if column not in first and not counted(column)]
    full = -len(first) % 3  # so many more fill the last row of three
    first, rest = [*first, *rest[:full]], rest[full:]
    main, more = (
        "".join(plot(column, of, anchors_of(card, column)) for column in columns) for columns in (first, rest)
    )
    if not main + more:
        return ""
    more = f"<details><summary>More metrics</summary><div class=plots>{more}</div></details>" if more else ""
    return (
        f"{key(of)}<div class=plots>{main}</div>{more}<p class=small>Bars: 95 % intervals. Dotted: the recording "
        "itself (identity), noise, and whatever has no bit rate. Bits per second are counted from the bytes, on a "
        "logarithmic scale.</p>"
    )


def _figures(card: Card) -> str:
    if not card.entries or not card.columns:
        return ""
    notes = "".join(f"<dt>{escaped(entry.name)}</dt><dd>{escaped(entry.note)}</dd>" for entry in card.entries)
    return (
        f"{figures_table(card)}<p class=small>Means over clips with their 95 % intervals; n counts clips that have a "
        "figure, “left out” those that have none, with the reason under the pointer. ★ marks the best entry that is no "
        "anchor. <span class=hint>Press a column’s head to sort by it.</span></p>"
        f"<details><summary>What the entries are</summary><dl class='facts card'>{notes}</dl></details>"
    )


def _probes(card: Card) -> str:
    if not card.probes:
        return ""
    return (
        "<p>A small model is fitted on frozen tokens; what it reads there, on speakers or clips it was not fitted on, "
        f"is in them. The stronger the colour, the further from guessing.</p>{probe_tables(card.probes)}"
    )


def _pictures(card: Card) -> str:
    figures = "".join(
        f"<figure class=card><figcaption><b>{escaped(picture.title)}</b> <span>{escaped(picture.caption)}</span>"
        f"</figcaption><img src='{data_uri('image/png', picture.png)}' alt='{escaped(picture.title)}'></figure>"
        for picture in card.pictures
    )
    return f"<div class=pictures>{figures}</div>" if figures else ""


def _missing(card: Card) -> str:
    clips = [f"<code>{escaped(name)}</code>: {escaped(why)}" for name, why in card.quarantined.items()]
    single = [
        escaped(f"{entry.name}, {column.title}: {reasons(figure)}")
        for entry in card.entries
        for column in card.columns
        if (figure := entry.figures.get(column.key)) is not None and figure.reasons
    ]
    own = f"<details><summary>Clips without a figure</summary>{_list('', single)}</details>" if single else ""
    lacking = _list("What could not be measured", map(escaped, card.left_out))
    return _list("Clips, for every entry", clips) + lacking + own


def _list(title: str, items: Iterable[str]) -> str:
    inside = "".join(f"<li>{item}</li>" for item in items)
    heading = f"<h3>{title}</h3>" if title else ""
    return f"{heading}<ul class=plain>{inside}</ul>" if inside else ""


def _settings(card: Card) -> str:
    captions = "".join(
        f"<dt>{escaped(head(column))}<br><code>{escaped(column.key)}</code></dt><dd>{escaped(column.caption)} "
        f"{sign(column)}</dd>"
        for column in card.columns
    )
    metrics = f"<details><summary>The metrics</summary><dl class='facts card'>{captions}</dl></details>"
    text = json.dumps(card.settings, indent=2, ensure_ascii=False, default=str)
    settings = f"<details><summary>The settings</summary><pre tabindex=0>{escaped(text)}</pre></details>"
    return (metrics if captions else "") + (settings if card.settings else "")


def _rate(entry: Entry) -> str:
    return "–" if math.isnan(entry.bit_rate) else f"{entry.bit_rate:,.0f}"


def _brief(figure: Figure | None, column: Column, usual: int = 0) -> str:
    """A figure in a cell of Markdown; n where it is not the usual one."""
    if figure is None:
        return "–"
    between = interval(figure, column)
    more = f" ({between})" if between else ""
    more += f", n = {figure.n:,}" if figure.n != usual else ""
    more += f", {figure.excluded:,} left out" if figure.excluded else ""
    return shown(figure.mean, column) + more


def _marked(text: str) -> str:
    """Text that Markdown takes for text."""
    plain = " ".join(text.encode("utf-8", "replace").decode().split())
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def _markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table whose first columns are words, the others figures."""
    lines = [list(map(_marked, heads)), ["---"] * words + ["---:"] * (len(heads) - words)]
    lines += [list(map(_marked, row)) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
