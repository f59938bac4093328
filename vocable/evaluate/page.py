"""What pages are made of: their frame, text that stays text, sounds, pictures with axes, tables.

A page is whole in one HTML file: sounds, pictures and style lie inside it, and its content security policy forbids
the browser to fetch anything or to run any script but the one whose digest it names. Whatever it is told (file names
may be hostile) is escaped.
"""

import base64
import hashlib
import io
import tempfile
from collections.abc import Sequence
from html import escape
from math import log2
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.errors import MissingDependencyError
from vocable.features.spectrogram import spectra
from vocable.metrics.codebook import LevelUsage

Rows = tuple[tuple[str, str], ...]
_RANGE_DB = 80
_COLORS = "magma"


def shell(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole page around its body.

    Args:
        title: Of the page, as it is.
        body: HTML.
        style: Put after the style that all pages have.
        script: The only one that may run; the policy names its digest.

    Example:
        >>> page = shell("<b>", "<p>1 &lt; 2", script="document.title = 'seen'")
        >>> "<title>&lt;b&gt;</title>" in page, "script-src 'sha256-" in page
        (True, True)
    """
    allowed = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        allowed += f"; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        body += f"\n<script>{script}</script>"
    return _PAGE.format(title=escaped(title), policy=allowed, style=_STYLE + style, body=body)


def escaped(value: str) -> str:
    """Escaped for text and attributes; what no UTF-8 can hold (odd file names) becomes a question mark.

    Example:
        >>> escaped("<Tom & 'Jerry'>")
        '&lt;Tom &amp; &#x27;Jerry&#x27;&gt;'
    """
    return escape(value.encode("utf-8", "replace").decode())


def data_uri(kind: str, content: bytes) -> str:
    """Bytes as an address that needs no network.

    Example:
        >>> data_uri("image/png", b"PNG")
        'data:image/png;base64,UE5H'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def flac(audio: Audio) -> bytes:
    """A sound as every browser plays it, without loss at 16 bits.

    Example:
        >>> from vocable.testing import speechlike
        >>> flac(speechlike(800))[:4]
        b'fLaC'
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.flac"
        audio.write(path)
        return path.read_bytes()


def usage_table(levels: Sequence[LevelUsage]) -> str:
    """How each level's codebook is used, a row each, with bars of the entropy.

    Example:
        >>> use = LevelUsage(level=1, codebook_size=8, frames=9, distinct=4, entropy=1.5, top_share=0.5)
        >>> "4 of 8</td><td>50.0%</td><td>4</td><td>2.8</td>" in usage_table([use])
        True
    """
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
    return f'<div class="card wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def powers(audio: Audio, columns: int = 1500) -> Float[ndarray, "S F"]:
    """Power spectra in windows of about 32 ms, a quarter of that apart, or more where the clip is long.

    A sine of full scale has power 1.

    Args:
        audio: Of any rate.
        columns: Of a picture, at most: so many spectra.

    Example:
        >>> from vocable.testing import speechlike
        >>> powers(speechlike(16_000)).shape
        (125, 257)
    """
    n_fft = 2 ** round(log2(0.032 * audio.sample_rate))
    hop = n_fft // 4 * -(-audio.samples.size // (n_fft // 4 * columns))
    padded = np.pad(audio.samples, (0, -audio.samples.size % hop))
    return np.square(np.abs(spectra(torch.from_numpy(padded)[None], n_fft, hop)[0].numpy()) * (4 / n_fft))


def loudest(audio: Audio) -> float:
    """The power that 0 dB stands for beside this recording: beside silence, hiss must not look loud."""
    return max(float(powers(audio).max()), 1e-6)


def spectrogram(audio: Audio, title: str, top: float, columns: int = 1500) -> str:
    """A spectrogram with its axes.

    Args:
        audio: Of any rate.
        title: What is heard, for those who do not see it.
        top: Power of 0 dB; see :func:`loudest`.
        columns: Of the picture, at most.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    level = 10 * np.log10(np.maximum(powers(audio, columns) / top, 10 ** (-_RANGE_DB / 10)))
    picture = png(level.T[::-1] / _RANGE_DB + 1, _COLORS)
    alt = f"Spectrogram of {title}: time from left to right, frequency from bottom to top"
    height = audio.sample_rate / 2000
    return axes(picture, alt, "spectrogram", audio.duration, [(y, y / height) for y in steps(height, 5)], "kHz")


def axes(
    picture: bytes, alt: str, kind: str, duration: float, rows: Sequence[tuple[float, float]], unit: str
) -> str:  # fmt: skip
    """A picture with its axes as text, which keeps its size and follows the page's colours.

    Args:
        picture: PNG.
        alt: What it shows, for those who do not see it.
        kind: ``spectrogram`` or ``tokens``.
        duration: In seconds, of the horizontal axis.
        rows: Numbers beside the picture and their height in [0, 1].
        unit: Of the vertical axis.
    """
    left = "".join(f"<i style='bottom:{at:.2%}'>{value:g}</i>" for value, at in rows)
    below = "".join(f"<i style='left:{value / duration:.2%}'>{value:g}</i>" for value in steps(duration, 8))
    return (
        f"<div class='axes {kind}'><span class=unit aria-hidden=true>{unit}</span>"
        f"<div class=y aria-hidden=true>{left}</div>"
        f"<img src='{data_uri('image/png', picture)}' alt='{escaped(alt)}'>"
        f"<div class=x aria-hidden=true>{below}<b>s</b></div></div>"
    )


def steps(limit: float, most: int) -> list[float]:
    """Round numbers from 0 to the limit, few enough to be read.

    Example:
        >>> steps(8.0, 5), steps(0.33, 5)
        ([0.0, 2.0, 4.0, 6.0, 8.0], [0.0, 0.1, 0.2, 0.3])
    """
    step = next(
        step for power in range(-7, 8) for mantissa in (1, 2, 5)
        if limit / (step := mantissa * 10.0**power) <= most
    )  # fmt: skip
    return [float(f"{index * step:.6g}") for index in range(int(limit / step + 1e-9) + 1)]


def legend(of: str = "the recording") -> str:
    """What the colours of spectrograms mean; 0 dB is the loudest point of this."""
    picture = png(np.linspace(0, 1, 256)[None], _COLORS)
    return (
        f"<p class=legend>−{_RANGE_DB} dB "
        f"<img src='{data_uri('image/png', picture)}' alt='Colour scale from dark to light'> "
        f"0 dB: the loudest point of {of}, in every spectrogram of this page</p>"
    )


def png(values: Float[ndarray, "row column"], colors: str) -> bytes:
    """Values in [0, 1] as a picture, the first row on top.

    Args:
        values: Clipped to their range.
        colors: Name of a matplotlib map.

    Raises:
        MissingDependencyError: matplotlib is not installed.

    Example:
        >>> png(np.eye(2), "magma")[1:4]
        b'PNG'
    """
    try:
        from matplotlib import colormaps
        from PIL import Image  # comes with matplotlib
    except ImportError as error:
        raise MissingDependencyError("pictures need matplotlib; run pip install matplotlib") from error
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
  content="{policy}">
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
