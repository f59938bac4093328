"""The page of one clip: what was encoded, its tokens, what they decode to, and the figures of all that."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from vocable.audio import Audio
from vocable.evaluate.page import (
    Rows,
    axes,
    data_uri,
    escaped,
    flac,
    legend,
    loudest,
    png,
    shell,
    spectrogram,
    usage_table,
)
from vocable.files import write_whole
from vocable.metrics.codebook import LevelUsage
from vocable.tokens import Tokens


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Something to listen to.

    Attributes:
        title: What it is.
        caption: A line about it.
        audio: The sound.
    """

    title: str
    caption: str
    audio: Audio


@dataclass(frozen=True, kw_only=True)
class Table:
    """Figures side by side: the first column names the row.

    Attributes:
        head: Names of the columns.
        rows: As many texts in each as ``head`` has.
        notes: What the columns mean, as pairs of name and explanation.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: Rows


@dataclass(frozen=True, kw_only=True)
class Report:
    """What stands on the page, from top to bottom.

    Attributes:
        title: Of the page.
        lead: A sentence under it.
        tiles: The figures to see first, as pairs of name and value.
        recording: What was encoded.
        tokens: Of one clip.
        versions: Made again from the tokens; the first is shown large, under the recording and the tokens.
        table: Figures of every version.
        usage: Of each level's codebook.
        facts: More pairs of name and value, by heading.
    """

    title: str
    lead: str
    tiles: Rows
    recording: Sound
    tokens: Tokens
    versions: tuple[Sound, ...]
    table: Table
    usage: tuple[LevelUsage, ...]
    facts: tuple[tuple[str, Rows], ...]


def write_report(path: Path, report: Report) -> None:
    """Write the page, whole or not at all.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: The place cannot be written.
    """
    page = render(report)
    write_whole(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))


def render(report: Report) -> str:
    """The page as HTML.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    top = loudest(report.recording.audio)
    first, *others = report.versions
    sections = [
        "<header><p class=eyebrow>vocable: speech to tokens and back</p>"
        f"<h1>{escaped(report.title)}</h1><p class=lead>{escaped(report.lead)}</p></header>",
        f"<dl class=tiles>{''.join(map(_tile, report.tiles))}</dl>",
        '<section aria-labelledby=path><h2 id=path>From sound to tokens and back</h2><div class="card path">'
        f"{_sound(report.recording, top)}{_token_picture(report.tokens)}{_sound(first, top)}{legend()}"
        "</div></section>",
        f"<section aria-labelledby=kept><h2 id=kept>What was kept</h2>{_table(report.table)}</section>",
    ]
    if others:
        cards = "".join(f"<div class=card>{_sound(sound, top)}</div>" for sound in others)
        sections.append(
            "<section aria-labelledby=fewer><h2 id=fewer>The same tokens, fewer levels</h2><p>Each level refines the "
            f"ones before it; any first few of them decode.</p><div class=cards>{cards}</div></section>"
        )
    sections.append(f"<section aria-labelledby=use><h2 id=use>Codebook usage</h2>{_usage(report.usage)}</section>")
    blocks = (f"<section><h2>{escaped(heading)}</h2>{_facts(rows)}</section>" for heading, rows in report.facts)
    sections.append(f"<div class=pair>{''.join(blocks)}</div>")
    return shell(report.title, "\n".join(sections))


def _tile(pair: tuple[str, str]) -> str:
    name, value = pair
    number, *unit = value.split(maxsplit=1)
    small = f" <small>{escaped(unit[0])}</small>" if unit else ""
    return f"<div><dt>{escaped(name)}</dt><dd>{escaped(number)}{small}</dd></div>"


def _facts(rows: Rows) -> str:
    inside = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in rows)
    return f'<dl class="facts card">{inside}</dl>'


def _table(table: Table) -> str:
    head = "".join(f"<th scope=col>{escaped(name)}</th>" for name in table.head)
    rows = "".join(
        f"<tr><th scope=row>{escaped(name)}</th>{''.join(f'<td>{escaped(value)}</td>' for value in values)}</tr>"
        for name, *values in table.rows
    )
    notes = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in table.notes)
    return (
        f'<div class="card wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"<dl class=notes>{notes}</dl>"
    )


def _usage(levels: Sequence[LevelUsage]) -> str:
    reachable, frames = (levels[0].reachable, levels[0].frames) if levels else (0, 0)
    return (
        f"{usage_table(levels)}<p class=small>This clip alone: its {frames:,} frames can use at "
        f"most {reachable:,} entries of a codebook and show at most {log2(max(frames, 1)):.2f} bits of entropy.</p>"
    )


def _sound(sound: Sound, top: float) -> str:
    return (
        f"<figure><figcaption><b>{escaped(sound.title)}</b> <span>{escaped(sound.caption)}</span></figcaption>"
        f"{spectrogram(sound.audio, sound.title, top)}<audio controls preload=metadata "
        f"aria-label='{escaped(sound.title)}' src='{data_uri('audio/flac', flac(sound.audio))}'></audio></figure>"
    )


def _token_picture(tokens: Tokens) -> str:
    """Levels by frames. Ids have no order of their own: the commonest of a level is the darkest."""
    ids = tokens.ids[0].numpy()[::-1]  # level 1 below, as low frequencies are
    picture = png(np.stack([_commonness(level) for level in ids]), "viridis")
    levels = tokens.spec.num_codebooks
    duration = int(tokens.samples[0]) / tokens.spec.sample_rate
    rows = [(float(level), (level - 0.5) / levels) for level in range(1, levels + 1)]
    alt = f"Picture of the tokens: {levels} levels, {ids.shape[1]} frames, one colour for each id"
    caption = f"{levels} levels × {ids.shape[1]:,} frames, a colour for each id, darker where the id is commoner"
    return (
        f"<figure><figcaption><b>Tokens</b> <span>{escaped(caption)}</span></figcaption>"
        f"{axes(picture, alt, 'tokens', duration, rows, 'level')}</figure>"
    )


def _commonness(ids: Int[ndarray, " N"]) -> Float[ndarray, " N"]:
    """Each id's place in (0, 1) when all are lined up, the commonest first."""
    _, which, counts = np.unique(ids, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    middle = np.empty(counts.size)
    middle[order] = (np.cumsum(counts[order]) - counts[order] / 2) / ids.size
    return middle[which]
