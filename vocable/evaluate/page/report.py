"""Report of an evaluation as one self-contained page, and as Markdown.

The page sorts tables and chooses metrics with one small script; without scripts every figure can still be read.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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
_LISTED = ("worst ", "best ")  # beginning of ``Sample.reason`` for clips that are listed without spectrograms
_GroupPanel = tuple[Column, list[str], list[tuple[str, int, list[Figure | None]]]]  # names, then value, n and figures
_ProbeLine = tuple[ProbeRow, int, dict[str, ProbeRow]]  # any of its rows, n, rows by view


@dataclass(frozen=True, kw_only=True)
class Player:
    """A sound on the page; a sound that occurs twice is inlined once.

    Attributes:
        place: HTML id of the player that holds the sound.
        source: Data URI of the sound, or None if an earlier player holds it.
        title: Name of the sound.
        caption: Line about it.
        spectrogram: Data URI of the spectrogram, or None.
    """

    place: str
    source: str | None
    title: str
    caption: str
    spectrogram: str | None = None


def write_report(path: Path, card: Card) -> None:
    """Write the page, whole or not at all.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
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
    sounds = _SoundTable(card)
    return render_template(
        "report.html.j2", title=card.title, card=card, families=families,
        main_plots=_plots(card, [*main, *further[:fill]], families),
        further_plots=_plots(card, further[fill:], families),
        columns=sorted(card.columns, key=lambda column: column.key != "bit_rate"),  # the price first
        column_n={column.key: usual_n(entry.figures.get(column.key) for entry in card.entries)
                  for column in card.columns},
        reported={key for entry in card.entries for key in entry.reported},
        groups=list(_groups(card, [*main, *further])), probes=list(_probe_tables(card.probes)),
        usage=_widest_entries(card.entries), compared=list(sounds.compared()), listed=list(sounds.listed()),
        seconds=sounds.limit, settings=json.dumps(card.settings, indent=2, ensure_ascii=False, default=str),
        pictures=[(picture, data_uri("image/png", picture.png)) for picture in card.pictures],
        reasons=_join_reasons, sort_value=_sort_value, heat=_heat, log2=math.log2,
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
    counts = [
        entry.figures[column.key].n for entry in card.entries for column in columns if column.key in entry.figures
    ]
    return render_template("report.md.j2", card=card, columns=columns, n=max(counts, default=0), md=_escape_markdown)


def usual_n(figures: Iterable[Figure | None]) -> int:
    """Return the number of clips that most figures have, so that a table states it once.

    Example:
        >>> usual_n([Figure(mean=1.0, low=1.0, high=1.0, n=n) for n in (80, 80, 77)] + [None])
        80
    """
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


class _SoundTable:
    """Players of a card's samples.

    Attributes:
        limit: Seconds of each clip on the page.
    """

    def __init__(self, card: Card) -> None:
        self._card = card
        sounds = [sound for sample in card.samples
                  for sound in (sample.recording, *(audio for audio, _ in sample.versions.values()))]  # fmt: skip
        distinct = {sound.samples.tobytes(): sound.duration for sound in sounds}
        self.limit = longest_clip(distinct.values(), _MAX_SECONDS)
        self._places: dict[str, str] = {}

    def compared(self) -> Iterator[tuple[Sample, list[Player]]]:
        """Yield the samples to compare; the recording, the subject and the nearest codec have spectrograms."""
        for sample in self._card.samples:
            if not sample.reason.startswith(_LISTED):
                yield sample, self._players(sample, self._drawn(sample))

    def listed(self) -> Iterator[tuple[str, list[tuple[Sample, list[Player]]]]]:
        """Yield each list of worst or best clips with its samples."""
        reasons = dict.fromkeys(sample.reason for sample in self._card.samples if sample.reason.startswith(_LISTED))
        for reason in reasons:
            yield reason, [(sample, self._players(sample)) for sample in self._card.samples if sample.reason == reason]

    def _players(self, sample: Sample, drawn: Sequence[str] | None = None) -> list[Player]:
        peak = peak_power(self._cut(sample.recording)) if drawn is not None else None
        players = [self._player(sample.recording, "Recording", "", peak)]
        for name in dict.fromkeys([*(drawn or ()), *sample.versions]):
            audio, caption = sample.versions[name]
            players.append(self._player(audio, name, caption, peak if drawn and name in drawn else None))
        return players

    def _player(self, audio: Audio, title: str, caption: str, peak: float | None) -> Player:
        audio = self._cut(audio)
        content = encode_flac(audio)
        digest = hashlib.sha256(content).hexdigest()
        source = None if digest in self._places else data_uri("audio/flac", content)
        place = self._places.setdefault(digest, f"sound-{len(self._places) + 1}")
        picture = None if peak is None else data_uri("image/svg+xml", plot_spectrogram(audio, peak))
        return Player(place=place, source=source, title=title, caption=caption, spectrogram=picture)

    def _cut(self, audio: Audio) -> Audio:
        if audio.duration <= self.limit:
            return audio
        return Audio(audio.samples[: int(self.limit * audio.sample_rate)], audio.sample_rate)

    def _drawn(self, sample: Sample) -> list[str]:
        """Return the names of the versions that have a spectrogram: all of a lone sample, else two."""
        if len(self._card.samples) == 1:
            return list(sample.versions)
        by_name = {entry.name: entry for entry in self._card.entries if entry.name in sample.versions}
        subject = self._card.subject
        if subject is None or subject.name not in by_name:
            return list(sample.versions)[:2]
        codecs = [entry for entry in by_name.values() if entry.kind == "codec"]
        rest = codecs or [entry for entry in by_name.values() if entry is not subject]
        nearest = sorted(rest, key=partial(_rate_distance, subject))[:1]
        return [subject.name, *(entry.name for entry in nearest)]


def _rate_distance(a: Entry, b: Entry) -> float:
    rates = [rate for rate in (a.bit_rate, b.bit_rate) if rate > 0]
    return abs(math.log(rates[0] / rates[1])) if len(rates) == 2 else math.inf


def _plots(card: Card, columns: Sequence[Column], families: Sequence[Family]) -> list[tuple[Column, str]]:
    plots = ((column, plot_rates(card, column, families)) for column in columns)
    return [(column, data_uri("image/svg+xml", svg)) for column, svg in plots if svg is not None]


def _groups(card: Card, columns: Sequence[Column]) -> Iterator[tuple[str, list[_GroupPanel]]]:
    """Yield each manifest key that groups clips, with a panel for each metric that some entry has."""
    for key in dict.fromkeys(key for entry in card.entries for key in entry.groups):
        panels: list[_GroupPanel] = []
        for column in columns:
            entries = [entry for entry in card.entries
                       if any(column.key in figures for figures in entry.groups.get(key, {}).values())]  # fmt: skip
            values = sorted({value for entry in entries for value in entry.groups[key]}, key=natural_key)
            rows = {value: [entry.groups[key].get(value, {}).get(column.key) for entry in entries] for value in values}
            if entries:
                panels.append((column, [entry.name for entry in entries],
                               [(value, usual_n(figures), figures) for value, figures in rows.items()]))  # fmt: skip
        if panels:
            yield key, panels


def _probe_tables(rows: Sequence[ProbeRow]) -> Iterator[tuple[str, list[str], list[_ProbeLine], list[str]]]:
    """Yield each tokenizer with its views, a line for each probe, and the notes."""
    for entry in dict.fromkeys(row.entry for row in rows):
        own = [row for row in rows if row.entry == entry]
        lines: dict[tuple[str, ...], dict[str, ProbeRow]] = {}
        for row in own:
            anchors = row.column.format(row.chance), row.column.format(row.majority)
            lines.setdefault((row.probe, row.metric, *anchors), {})[row.view] = row
        notes = list(dict.fromkeys(f"{row.probe}: {row.note}" for row in own if row.note))
        found = [(next(iter(line.values())), usual_n(row.figure for row in line.values()), line)
                 for line in lines.values()]  # fmt: skip
        yield entry, list(dict.fromkeys(row.view for row in own)), found, notes


def _widest_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entry with the most levels of each family; the others use the first of its levels."""
    widest: dict[str, Entry] = {}
    for entry in entries:
        if entry.usage and (entry.family not in widest or len(entry.usage) > len(widest[entry.family].usage)):
            widest[entry.family] = entry
    return list(widest.values())


def _join_reasons(figure: Figure) -> str:
    return "; ".join(f"{count} × {reason}" for reason, count in figure.reasons.items())


def _sort_value(value: float) -> str:
    """Return a number as the script reads it; empty if it is undefined."""
    return "" if math.isnan(value) else repr(float(value)).replace("inf", "Infinity")


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
