"""Report of an evaluation as one self-contained page, and as Markdown.

The page sorts tables and chooses metrics with one small script; without scripts every figure can still be read.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from vocable.audio import Audio
from vocable.evaluate.canvas import natural_key
from vocable.evaluate.card import Card, Column, Entry, ProbeRow, Sample
from vocable.evaluate.page import data_uri, encode_flac, render_template
from vocable.evaluate.pictures import peak_power, plot_spectrogram
from vocable.evaluate.rates import Family, find_families, plot_rates
from vocable.files import write_whole
from vocable.metrics.score import Figure

_MAX_SECONDS = 600.0  # of sound on a page: about 15 MB
_MIN_SECONDS = 3.0  # of each clip
_CHANGE = Column(key="change", title="change", unit="%", better="lower", caption="", form=".1f")
_Player = dict[
    str, str | None
]  # title, caption, length, HTML id, data URI (None if an earlier player has it), spectrogram
_GroupPanel = tuple[
    Column, list[str], list[tuple[str, list[Figure | None]]]
]  # names of entries, then value and figures
_LevelTable = tuple[Entry, list[str], list[tuple[int, list[Figure], tuple[float, float] | None]]]
_ProbeTable = tuple[dict[str, None], dict[tuple[str, ...], dict[str, ProbeRow]], dict[str, None]]


def write_report(path: Path, card: Card) -> None:
    """Write the page, whole or not at all; see :func:`render_report`."""
    page = render_report(card)
    write_whole(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))


def render_report(card: Card) -> str:
    """Render the page as HTML; the same card gives the same bytes.

    Raises:
        MissingDependencyError: If matplotlib is not installed.

    Example:
        >>> "<h1>a &amp; b</h1>" in render_report(Card(title="a & b", lead="No clips.", columns=[], entries=[]))
        True
    """
    families = find_families(card.entries)
    main, further = card.main_columns, card.further_columns
    fill = -len(main) % 3  # so many more panels fill the last row of three
    sounds = _Sounds(card)
    listed = dict.fromkeys(sample.reason for sample in card.samples if sample.is_listed)
    return render_template(
        "report.html.j2", title=card.title, card=card, families=families, sounds=sounds,
        main_plots=_plots(card, [*main, *further[:fill]], families),
        further_plots=_plots(card, further[fill:], families),
        columns=sorted(card.columns, key=lambda column: column.key not in ("levels", "bit_rate")),  # the price first
        column_n={column.key: usual_n(entry.figures.get(column.key) for entry in card.entries)
                  for column in card.columns},
        reported={key for entry in card.entries for key in entry.reported},
        groups=list(_groups(card, [*main, *further])), probes=_probe_tables(card.probes),
        stability=_level_tables(card.entries), usage=_widest_entries(card.entries),
        compared=[sample for sample in card.samples if not sample.is_listed],
        listed={reason: [sample for sample in card.samples if sample.reason == reason] for reason in listed},
        settings=json.dumps(card.settings, indent=2, ensure_ascii=False, default=str),
        change=_CHANGE, pictures=[(picture, data_uri("image/png", picture.png)) for picture in card.pictures],
        usual_n=usual_n, heat=_heat, log2=math.log2,
    )  # fmt: skip


def report_to_markdown(card: Card) -> str:
    """Render alarms, entries by main metrics, and probes as GitHub Markdown.

    Example:
        >>> figure = Figure(mean=2.5, low=2.4, high=2.6, n=80)
        >>> column = Column(key="pesq_wb", title="PESQ-WB", better="higher", caption="")
        >>> entry = Entry(name="guided-small", kind="tokenizer", family="guided-small", note="", bit_rate=4000.0,
        ...               figures={"pesq_wb": figure})
        >>> print(report_to_markdown(Card(title="T", lead="80 clips", columns=[column], entries=[entry])))
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
    columns = card.main_columns
    keys = {column.key for column in columns}
    counts = [figure.n for entry in card.entries for key, figure in entry.figures.items() if key in keys]
    return render_template(
        "report.md.j2", card=card, columns=columns, n=max(counts, default=0), md=_escape_markdown,
        token_columns=_token_columns(card),
    )  # fmt: skip


def _token_columns(card: Card) -> list[Column]:
    """Return the metrics of the tokens that a table of their own shows, where their stability or bits were modeled."""
    names = ("levels", "bit_rate", "token_change_", "bit_rate_4gram", "bit_rate_unigram", "codebook_perplexity")
    if not any(entry.by_level for entry in card.entries):
        return []
    return [column for column in card.columns if column.key.startswith(names) and column.key != "bit_rate_in_container"]


def usual_n(figures: Iterable[Figure | None]) -> int:
    """Return the number of clips that most figures have, so that a table states it once."""
    counts = Counter(figure.n for figure in figures if figure is not None)
    return max(counts, key=lambda n: (counts[n], n), default=0)


def longest_clip(durations: Iterable[float], budget: float) -> float:
    """Return the seconds to keep of each clip so that all stay within a budget; infinite if none must be cut.

    Example:
        >>> longest_clip([4.0, 30.0, 40.0], budget=40.0)
        18.0
    """
    rest, left = budget, sorted(durations)
    while left and left[0] <= rest / len(left):
        rest -= left.pop(0)
    return max(float(math.floor(rest / len(left))), _MIN_SECONDS) if left else math.inf


class _Sounds:
    """Players of a card's samples; a sound that occurs twice is inlined once.

    Attributes:
        limit: Seconds of each clip on the page.
    """

    def __init__(self, card: Card) -> None:
        self._card = card
        sounds = [sound for sample in card.samples
                  for sound in (sample.recording, *(audio for audio, _ in sample.versions.values()))]  # fmt: skip
        distinct = {sound.samples.tobytes(): sound.duration for sound in sounds}
        self.limit = longest_clip(distinct.values(), _MAX_SECONDS)
        self._places: dict[bytes, str] = {}

    def players(self, sample: Sample) -> list[_Player]:
        """Return the players of a sample, those with a spectrogram first."""
        drawn = [] if sample.is_listed else [None, *self._drawn(sample)]  # None is the recording
        peak = peak_power(self._cut(sample.recording)) if drawn else 1.0
        players: list[_Player] = []
        for name in dict.fromkeys([None, *drawn, *sample.versions]):
            audio, caption = (sample.recording, "") if name is None else sample.versions[name]
            length = f"{audio.duration:.1f} s"
            audio = self._cut(audio)
            content = encode_flac(audio)
            source = None if content in self._places else data_uri("audio/flac", content)
            place = self._places.setdefault(content, f"sound-{len(self._places) + 1}")
            svg = data_uri("image/svg+xml", plot_spectrogram(audio, peak)) if name in drawn else None
            players.append({"title": "Recording" if name is None else name, "caption": caption, "length": length,
                            "place": place, "source": source, "spectrogram": svg})  # fmt: skip
        return players

    def _cut(self, audio: Audio) -> Audio:
        return Audio(audio.samples[: round(min(self.limit, audio.duration) * audio.sample_rate)], audio.sample_rate)

    def _drawn(self, sample: Sample) -> list[str]:
        """Return the versions that have a spectrogram: all of a lone sample, else the tokenizers and the nearest codec.

        The nearest codec is the one whose bit rate is most like that of the first tokenizer.
        """
        if len(self._card.samples) == 1:
            return list(sample.versions)
        entries = [entry for entry in self._card.entries if entry.name in sample.versions]
        subject = self._card.subject
        if subject is None or subject not in entries:
            return list(sample.versions)[:2]

        def distance(entry: Entry) -> float:
            rates = [rate for rate in (subject.bit_rate, entry.bit_rate) if rate > 0]
            return abs(math.log(rates[0] / rates[1])) if len(rates) == 2 else math.inf

        tokenizers = [entry for entry in entries if entry.kind == "tokenizer"] or [subject]
        others = [entry for entry in entries if entry.kind == "codec" and entry not in tokenizers]
        others = others or [entry for entry in entries if entry not in tokenizers]
        return [entry.name for entry in (*tokenizers, *sorted(others, key=distance)[:1])]


def _plots(card: Card, columns: Sequence[Column], families: Sequence[Family]) -> list[tuple[Column, str]]:
    plots = ((column, plot_rates(card, column, families)) for column in columns)
    return [(column, data_uri("image/svg+xml", svg)) for column, svg in plots if svg is not None]


def _groups(card: Card, columns: Sequence[Column]) -> Iterator[tuple[str, list[_GroupPanel]]]:
    """Yield each manifest key that groups clips, with a panel for each metric that some entry has."""
    for key in dict.fromkeys(key for entry in card.entries for key in entry.groups):
        panels: list[_GroupPanel] = []
        for column in columns:
            entries = {entry.name: entry.groups[key] for entry in card.entries
                       if any(column.key in figures for figures in entry.groups.get(key, {}).values())}  # fmt: skip
            values = sorted({*chain.from_iterable(entries.values())}, key=natural_key)
            rows = [(value, [groups.get(value, {}).get(column.key) for groups in entries.values()]) for value in values]
            if entries:
                panels.append((column, list(entries), rows))
        if panels:
            yield key, panels


def _probe_tables(rows: Sequence[ProbeRow]) -> dict[str, _ProbeTable]:
    """Return for each tokenizer the views, the rows of each line by view, and the notes."""
    tables: dict[str, _ProbeTable] = {}
    for row in rows:
        views, lines, notes = tables.setdefault(row.entry, ({}, {}, {}))
        views[row.view] = None
        anchors = row.column.format(row.chance), row.column.format(row.majority)
        lines.setdefault((row.probe, row.metric, *anchors), {})[row.view] = row
        if row.note:
            notes[f"{row.probe}: {row.note}"] = None
    return tables


def _level_tables(entries: Sequence[Entry]) -> list[_LevelTable]:
    """Return for each entry with figures by level the titles of the perturbations, and the rows of its levels."""
    return [
        (entry, list(entry.by_level[0].changes),
         [(level.level, list(level.changes.values()), level.perplexities) for level in entry.by_level])
        for entry in entries if entry.by_level
    ]  # fmt: skip


def _widest_entries(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entry with the most levels of each family; the others use the first of its levels."""
    families = dict.fromkeys(entry.family for entry in entries if entry.usage)
    return [max((entry for entry in entries if entry.family == family), key=lambda entry: len(entry.usage))
            for family in families]  # fmt: skip


def _heat(row: ProbeRow) -> float:
    """Return the position of a share between chance and perfect, in [0, 1]."""
    if row.column.unit != "%" or math.isnan(row.figure.mean):
        return 0.0
    floor = 0.0 if math.isnan(row.chance) else row.chance
    share = (row.figure.mean - floor) / (1.0 - floor) if row.better == "higher" and floor < 1.0 else 1 - row.figure.mean
    return min(max(share, 0.0), 1.0)


def _escape_markdown(text: object) -> str:
    plain = " ".join(str(text).encode("utf-8", "replace").decode().split())
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
