"""One page to look at and to listen to, whole in one HTML file.

Sounds, pictures and style lie inside the page, it runs no script, and its content security policy forbids the
browser to fetch anything. Whatever it is told (file names may be hostile) is escaped.
"""

import base64
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from math import log2
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import MissingDependencyError
from vocable.features.spectrogram import spectra
from vocable.files import write_whole
from vocable.metrics.codebook import LevelUsage
from vocable.tokens import Tokens

Rows = tuple[tuple[str, str], ...]
_RANGE_DB = 80
_COLUMNS = 1500  # of a picture at most
_COLORS = "magma"


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
    loudest = max(float(_powers(report.recording.audio).max()), 1e-6)  # beside silence, hiss must not look loud
    draw = partial(_spectrogram, loudest=loudest)
    first, *others = report.versions
    sections = [
        "<header><p class=eyebrow>vocable: speech to tokens and back</p>"
        f"<h1>{_text(report.title)}</h1><p class=lead>{_text(report.lead)}</p></header>",
        f"<dl class=tiles>{''.join(map(_tile, report.tiles))}</dl>",
        '<section aria-labelledby=path><h2 id=path>From sound to tokens and back</h2><div class="card path">'
        f"{_sound(report.recording, draw)}{_token_picture(report.tokens)}{_sound(first, draw)}{_legend()}"
        "</div></section>",
        f"<section aria-labelledby=kept><h2 id=kept>What was kept</h2>{_table(report.table)}</section>",
    ]
    if others:
        cards = "".join(f"<div class=card>{_sound(sound, draw)}</div>" for sound in others)
        sections.append(
            "<section aria-labelledby=fewer><h2 id=fewer>The same tokens, fewer levels</h2><p>Each level refines the "
            f"ones before it; any first few of them decode.</p><div class=cards>{cards}</div></section>"
        )
    sections.append(f"<section aria-labelledby=use><h2 id=use>Codebook usage</h2>{_usage(report.usage)}</section>")
    blocks = (f"<section><h2>{_text(heading)}</h2>{_facts(rows)}</section>" for heading, rows in report.facts)
    sections.append(f"<div class=pair>{''.join(blocks)}</div>")
    return _PAGE.format(title=_text(report.title), style=_STYLE, body="\n".join(sections))


def _text(value: str) -> str:
    """Escaped for text and attributes; what no UTF-8 can hold (odd file names) becomes a question mark."""
    return escape(value.encode("utf-8", "replace").decode())


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _tile(pair: tuple[str, str]) -> str:
    name, value = pair
    number, *unit = value.split(maxsplit=1)
    small = f" <small>{_text(unit[0])}</small>" if unit else ""
    return f"<div><dt>{_text(name)}</dt><dd>{_text(number)}{small}</dd></div>"


def _facts(rows: Rows) -> str:
    inside = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in rows)
    return f'<dl class="facts card">{inside}</dl>'


def _table(table: Table) -> str:
    head = "".join(f"<th scope=col>{_text(name)}</th>" for name in table.head)
    rows = "".join(
        f"<tr><th scope=row>{_text(name)}</th>{''.join(f'<td>{_text(value)}</td>' for value in values)}</tr>"
        for name, *values in table.rows
    )
    notes = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in table.notes)
    return (
        f'<div class="card wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"<dl class=notes>{notes}</dl>"
    )


def _usage(levels: Sequence[LevelUsage]) -> str:
    names = ("Level", "Entries that occur", "Used", "Dead", "Perplexity", "Entropy, of a possible")
    head = "".join(f"<th scope=col>{name}</th>" for name in names)
    rows = []
    for level in levels:
        most = log2(level.codebook_size)
        share = level.entropy / most if most and level.frames else 0.0
        rows.append(
            f"<tr><th scope=row>{level.level}</th><td>{level.distinct:,} of {level.codebook_size:,}</td>"
            f"<td>{level.used:.1%}</td><td>{level.dead:,}</td><td>{level.perplexity:.1f}</td>"
            f"<td><span class=bar><i style='width:{share:.1%}'></i></span>"
            f"{level.entropy:.2f} of {most:.2f} bits</td></tr>"
        )
    reachable, frames = (levels[0].reachable, levels[0].frames) if levels else (0, 0)
    return (
        f'<div class="card wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div><p class=small>This clip alone: its {frames:,} frames can use at "
        f"most {reachable:,} entries of a codebook and show at most {log2(max(frames, 1)):.2f} bits of entropy.</p>"
    )


def _sound(sound: Sound, draw: "partial[str]") -> str:
    return (
        f"<figure><figcaption><b>{_text(sound.title)}</b> <span>{_text(sound.caption)}</span></figcaption>"
        f"{draw(sound)}<audio controls preload=metadata aria-label='{_text(sound.title)}' "
        f"src='{_data('audio/flac', _flac(sound.audio))}'></audio></figure>"
    )


def _flac(audio: Audio) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.flac"
        audio.write(path)
        return path.read_bytes()


def _powers(audio: Audio) -> Float[ndarray, "S F"]:
    """Power spectra in windows of about 32 ms, a quarter of that apart, or more where the clip is long.

    A sine of full scale has power 1.
    """
    n_fft = 2 ** round(log2(0.032 * audio.sample_rate))
    hop = n_fft // 4 * -(-audio.samples.size // (n_fft // 4 * _COLUMNS))
    padded = np.pad(audio.samples, (0, -audio.samples.size % hop))
    return np.square(np.abs(spectra(torch.from_numpy(padded)[None], n_fft, hop)[0].numpy()) * (4 / n_fft))


def _spectrogram(sound: Sound, loudest: float) -> str:
    level = 10 * np.log10(np.maximum(_powers(sound.audio) / loudest, 10 ** (-_RANGE_DB / 10)))
    picture = _png(level.T[::-1] / _RANGE_DB + 1, _COLORS)
    alt = f"Spectrogram of {sound.title}: time from left to right, frequency from bottom to top"
    top = sound.audio.sample_rate / 2000
    return _axes(picture, alt, "spectrogram", sound.audio.duration, [(y, y / top) for y in _steps(top, 5)], "kHz")


def _token_picture(tokens: Tokens) -> str:
    """Levels by frames. Ids have no order of their own: the commonest of a level is the darkest."""
    ids = tokens.ids[0].numpy()[::-1]  # level 1 below, as low frequencies are
    picture = _png(np.stack([_commonness(level) for level in ids]), "viridis")
    levels = tokens.spec.num_codebooks
    duration = int(tokens.samples[0]) / tokens.spec.sample_rate
    rows = [(float(level), (level - 0.5) / levels) for level in range(1, levels + 1)]
    alt = f"Picture of the tokens: {levels} levels, {ids.shape[1]} frames, one colour for each id"
    caption = f"{levels} levels × {ids.shape[1]:,} frames, a colour for each id, darker where the id is commoner"
    return (
        f"<figure><figcaption><b>Tokens</b> <span>{_text(caption)}</span></figcaption>"
        f"{_axes(picture, alt, 'tokens', duration, rows, 'level')}</figure>"
    )


def _commonness(ids: Int[ndarray, " N"]) -> Float[ndarray, " N"]:
    """Each id's place in (0, 1) when all are lined up, the commonest first."""
    _, which, counts = np.unique(ids, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    middle = np.empty(counts.size)
    middle[order] = (np.cumsum(counts[order]) - counts[order] / 2) / ids.size
    return middle[which]


def _axes(
    picture: bytes, alt: str, kind: str, duration: float, rows: Sequence[tuple[float, float]], unit: str
) -> str:  # fmt: skip
    """A picture with its axes as text, which keeps its size and follows the page's colours."""
    left = "".join(f"<i style='bottom:{at:.2%}'>{value:g}</i>" for value, at in rows)
    below = "".join(f"<i style='left:{value / duration:.2%}'>{value:g}</i>" for value in _steps(duration, 8))
    return (
        f"<div class='axes {kind}'><span class=unit aria-hidden=true>{unit}</span>"
        f"<div class=y aria-hidden=true>{left}</div>"
        f"<img src='{_data('image/png', picture)}' alt='{_text(alt)}'>"
        f"<div class=x aria-hidden=true>{below}<b>s</b></div></div>"
    )


def _steps(limit: float, most: int) -> list[float]:
    """Round numbers from 0 to the limit, few enough to be read."""
    step = next(
        step for power in range(-7, 8) for mantissa in (1, 2, 5)
        if limit / (step := mantissa * 10.0**power) <= most
    )  # fmt: skip
    return [float(f"{index * step:.6g}") for index in range(int(limit / step + 1e-9) + 1)]


def _legend() -> str:
    picture = _png(np.linspace(0, 1, 256)[None], _COLORS)
    return (
        f"<p class=legend>−{_RANGE_DB} dB "
        f"<img src='{_data('image/png', picture)}' alt='Colour scale from dark to light'> "
        "0 dB: the loudest point of the recording, in every spectrogram of this page</p>"
    )


def _png(values: Float[ndarray, "row column"], colors: str) -> bytes:
    """Values in [0, 1] as a picture, the first row on top."""
    try:
        from matplotlib import colormaps
        from PIL import Image  # comes with matplotlib
    except ImportError as error:
        raise MissingDependencyError("the page's pictures need matplotlib; run pip install 'vocable[demo]'") from error
    picture = Image.fromarray(np.round(255 * values.clip(0.0, 1.0)).astype(np.uint8))
    picture.putpalette(np.round(255 * colormaps[colors](np.arange(256))[:, :3]).astype(np.uint8).tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


_PAGE = """<!doctype html>
<html lang=en>
<head>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<meta name=color-scheme content="light dark">
<meta http-equiv=Content-Security-Policy
  content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<link rel=icon href="data:,">
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

_STYLE = """
:root { --page: #f6f5f3; --card: #fff; --ink: #1d1b22; --soft: #68646f; --line: #e3e0dc; --accent: #a3307f;
  color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --page: #131217; --card: #1c1a22; --ink: #eceaf0; --soft: #a19cab; --line: #312e3a; --accent: #f08a6b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif;
  -webkit-text-size-adjust: 100%; }
main { max-width: 68rem; margin: 0 auto; padding: clamp(1.25rem, 4vw, 3.5rem) clamp(1rem, 4vw, 2rem); }
h1 { font-size: clamp(1.6rem, 4.5vw, 2.5rem); line-height: 1.15; letter-spacing: -.02em; margin: 0 0 .6rem;
  text-wrap: balance; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; letter-spacing: -.01em; margin: 2.75rem 0 .75rem; }
p { margin: .25rem 0 .9rem; }
.eyebrow { color: var(--accent); font-size: .85rem; font-weight: 600; margin: 0 0 .6rem; }
.lead { font-size: 1.1rem; color: var(--soft); max-width: 46rem; overflow-wrap: anywhere; }
.small, .legend, .notes { font-size: .85rem; color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.1rem; }
.tiles { display: grid; grid-template-columns: repeat(6, 1fr); gap: 1px; margin: 1.75rem 0 0;
  background: var(--line); border: 1px solid var(--line); border-radius: 14px; overflow: hidden; }
.tiles div { background: var(--card); padding: .9rem 1rem; }
.tiles dt { font-size: .8rem; color: var(--soft); }
.tiles dd { margin: .1rem 0 0; font-size: 1.5rem; line-height: 1.3; font-weight: 650; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.tiles small { font-size: .9rem; font-weight: 400; letter-spacing: 0; color: var(--soft); }
figure { margin: 0; } figure + figure { margin-top: 1.5rem; }
figcaption { margin-bottom: .5rem; overflow-wrap: anywhere; } figcaption span { color: var(--soft); font-size: .9rem; }
.cards figcaption span { display: block; }
.axes { display: grid; grid-template-columns: 2.4rem minmax(0, 1fr); font-size: .75rem; color: var(--soft);
  font-variant-numeric: tabular-nums; position: relative; }
.axes i { position: absolute; font-style: normal; } .axes img { width: 100%; display: block; border-radius: 4px; }
.unit { grid-column: 1 / -1; margin-bottom: .4rem; line-height: 1.2; } .y { position: relative; }
.y i { right: .5rem; transform: translateY(50%); line-height: 1; }
.x { grid-column: 2; position: relative; height: 1.5rem; margin-right: 1.1rem; }
.x i { top: .2rem; transform: translateX(-50%); }
.x b { position: absolute; right: -1.1rem; top: .2rem; font-weight: 400; }
.spectrogram img { height: 13rem; } .cards .spectrogram img { height: 8rem; }
.tokens img { height: 11rem; image-rendering: pixelated; }
audio { width: 100%; height: 2.6rem; margin-top: .35rem; display: block; }
.legend { margin: 1rem 0 0; } .legend img { width: 7rem; height: .7rem; border-radius: 3px; vertical-align: -.05rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: 1rem; }
.wide { overflow-x: auto; padding: .35rem 1.1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .93rem; }
th, td { text-align: right; padding: .55rem .6rem; border-top: 1px solid var(--line); }
th:first-child { text-align: left; padding-left: 0; font-weight: 600; }
td:last-child, th:last-child { padding-right: 0; }
thead th, thead th:first-child { border: 0; color: var(--soft); font-weight: 500; font-size: .82rem; }
.bar { display: inline-block; width: 6rem; height: .5rem; border-radius: 4px; background: var(--line);
  margin-right: .7rem; overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--accent); }
.notes { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: .5rem 2rem;
  margin: .9rem 0 0; }
.notes dt { display: inline; font-weight: 600; color: var(--ink); } .notes dd { display: inline; margin: 0 0 0 .35rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 0 1rem; }
.facts { margin: 0; display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .35rem 1.2rem;
  font-size: .93rem; }
@media (max-width: 60rem) { .tiles { grid-template-columns: repeat(3, 1fr); } }
@media (max-width: 40rem) {
  .tiles { grid-template-columns: repeat(2, 1fr); } .bar { display: none; } .card { padding: .9rem; }
  .wide { padding: .2rem .9rem; }
  table { font-size: .78rem; } thead th { font-size: .72rem; } th, td { padding: .5rem .18rem; } }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
"""
