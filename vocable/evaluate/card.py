"""Report card: the result of one evaluation, before it is written as JSON, Markdown or a page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vocable.audio import Audio
from vocable.metrics.codebook import LevelUsage
from vocable.metrics.score import Figure

Better = Literal["higher", "lower", "neither"]

_MAIN_METRICS = ("pesq_wb", "stoi", "wer", "speaker_similarity", "f0_correlation", "log_mel_distance", "estoi",
                 "visqol", "dnsmos_ovrl")  # fmt: skip
_MAX_UNNAMED = 6  # metrics that count as "few": all of them are main metrics then
_COST_KEYS = ("levels", "bit_rate", "codebook_", "token_change_")
_PERCENT_METRICS = ("accuracy", "rate", "recall", "wer", "cer", "per")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One metric, and the way its figures are written.

    Attributes:
        key: Key in ``summary.json``, such as ``pesq_wb`` or ``wer@pocketsphinx-5.1.1``.
        title: Title in tables, such as ``PESQ-WB`` or ``WER``.
        unit: Unit, such as ``dB``; empty for a pure number. ``%`` marks a share, which is shown multiplied by 100.
        better: Direction of improvement.
        caption: Definition of the metric with its model and settings, a sentence or two.
        form: Format specification of a figure.
    """

    key: str
    title: str
    unit: str = ""
    better: Better
    caption: str
    form: str = ".2f"

    @property
    def factor(self) -> float:
        """Factor from a figure to the number shown: 100 for shares."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def heading(self) -> str:
        """Title and unit.

        Example:
            >>> Column(key="wer", title="WER", unit="%", better="lower", caption="").heading
            'WER, %'
        """
        return f"{self.title}, {self.unit}" if self.unit and self.unit not in self.title else self.title

    @property
    def arrow(self) -> str:
        """Arrow in the direction of improvement, or an empty text."""
        return {"higher": "↑", "lower": "↓", "neither": ""}[self.better]

    @property
    def is_cost(self) -> bool:
        """True for metrics of the tokens (bit rate, codebook usage), false for metrics of the sound."""
        return self.key.startswith(_COST_KEYS)

    def format(self, value: float) -> str:
        """Format a figure without its unit.

        Example:
            >>> Column(key="wer", title="WER", unit="%", better="lower", caption="", form=".1f").format(0.1234)
            '12.3'
        """
        return "undefined" if math.isnan(value) else f"{self.factor * value:z{self.form}}".replace("-", "−")

    def format_interval(self, figure: Figure) -> str:
        """Format the 95 % interval; empty if there is none, or if both ends round to the same number.

        Example:
            >>> column = Column(key="pesq_wb", title="PESQ-WB", better="higher", caption="")
            >>> column.format_interval(Figure(mean=2.5, low=2.0, high=3.0, n=9))
            '2.00–3.00'
        """
        if math.isnan(figure.low) or math.isnan(figure.high):
            return ""
        low, high = self.format(figure.low), self.format(figure.high)
        return "" if low == high else f"{low}{' to ' if figure.low < 0 else '–'}{high}"


@dataclass(frozen=True, kw_only=True)
class LevelFigures:
    """Stability and modelability of one level of a codec.

    Attributes:
        level: Number of the level, from 1.
        changes: Share of the ids that change, by the title of the perturbation; empty if it was not measured.
        perplexities: Perplexity of an id under an n-gram and under a unigram; None if it was not measured.
    """

    level: int
    changes: Mapping[str, Figure]
    perplexities: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the card: a tokenizer at a number of levels, a codec, an anchor, or a folder of decoded audio.

    Attributes:
        name: Name in ``summary.json``, such as ``guided-small``, ``guided-small@4`` (4 levels) or ``Opus 6k``.
        kind: Kind of the entry.
        family: Name of the curve in rate-quality plots to which the entry belongs.
        note: Version, settings and digest in one line.
        bit_rate: Payload in bits per second, counted from the bytes; NaN where nothing is coded.
        figures: Figures by column key.
        groups: Figures by a manifest key (``speaker``, ``gender``), then by its value, then by column key.
        usage: Usage of each level's codebook over all clips; empty where there are no tokens.
        by_level: Stability and modelability of each level; empty where they were not measured.
        reported: Published figures of this entry by column key, each a value and its source.
    """

    name: str
    kind: Literal["tokenizer", "codec", "anchor", "decoded"]
    family: str
    note: str
    bit_rate: float = math.nan
    figures: Mapping[str, Figure] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Mapping[str, Figure]]] = field(default_factory=dict)
    usage: Sequence[LevelUsage] = ()
    by_level: Sequence[LevelFigures] = ()
    reported: Mapping[str, tuple[float, str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A clip to listen to: the recording and its decoded versions.

    Attributes:
        utterance: Key of the clip in the manifest.
        reason: Reason for its choice, such as ``worst PESQ-WB of guided-small``. Samples whose reason begins with
            ``worst`` or ``best`` are listed under it; the others are shown large, with spectrograms.
        labels: Labels such as speaker, gender and text.
        recording: The recording as it was scored.
        versions: Decoded audio by entry name, each with a caption that holds its figures.
    """

    utterance: str
    reason: str
    labels: Mapping[str, str]
    recording: Audio
    versions: Mapping[str, tuple[Audio, str]]

    @property
    def is_listed(self) -> bool:
        """True if the sample is one of a list of worst or best clips, which have no spectrograms."""
        return self.reason.startswith(("worst ", "best "))


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture: the bytes of a PNG file, with a title and a caption in full sentences."""

    title: str
    caption: str
    png: bytes


@dataclass(frozen=True, kw_only=True)
class ProbeRow:
    """Result of one probe: a small model that predicts a label from frozen tokens.

    Attributes:
        entry: Name of the tokenizer.
        probe: Name of the label, such as ``speaker`` or ``characters``.
        view: Input of the probe: ``level 1``, ``levels 2 to 8``, ``all levels`` or ``voice vector``.
        metric: Name of the metric, such as ``top-1 accuracy`` or ``WER``.
        better: Direction of improvement.
        figure: Result on speakers or clips outside the probe's training set.
        chance: Result of a uniform random guess; NaN where that is undefined.
        majority: Result of always predicting the most frequent label; NaN where that is undefined.
        note: Split, seeds and sizes.
    """

    entry: str
    probe: str
    view: str
    metric: str
    better: Better
    figure: Figure
    chance: float
    majority: float
    note: str

    @property
    def column(self) -> Column:
        """Column that formats the figures: accuracies and error rates in percent."""
        share = self.metric.lower().endswith(_PERCENT_METRICS)
        return Column(key=self.metric, title=self.metric, unit="%" if share else "", better=self.better, caption="",
                      form=".1f" if share else ".3f")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Card:
    """Result of one evaluation.

    Attributes:
        title: Title of the page.
        lead: One sentence with the data, the number of clips and the date.
        columns: Metrics in the order of the table.
        entries: Rows in the order of the table; the first tokenizer is the subject of the page.
        samples: Clips to compare first, then the worst and the best clips of each tokenizer.
        probes: Results of probes; see ``vocable.evaluate.probes``.
        alarms: Reasons not to trust the run, such as an anchor outside its range; empty if there are none.
        quarantined: Clips left out for every entry, with the reason.
        left_out: Lines about metrics and codecs that could not be measured on this machine, with the remedy.
        settings: Settings needed to repeat the run.
        pictures: Further pictures.
        main: Keys of the main metrics; the well-known ones by default.
        findings: Conclusions, a sentence each.
    """

    title: str
    lead: str
    columns: Sequence[Column]
    entries: Sequence[Entry]
    samples: Sequence[Sample] = ()
    probes: Sequence[ProbeRow] = ()
    alarms: Sequence[str] = ()
    quarantined: Mapping[str, str] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    main: Sequence[str] = ()
    findings: Sequence[str] = ()

    @property
    def subject(self) -> Entry | None:
        """Entry that the page is about: the first tokenizer, or else the first entry that is no anchor."""
        entries = [entry for entry in self.entries if entry.kind != "anchor"]
        return next((entry for entry in entries if entry.kind == "tokenizer"), entries[0] if entries else None)

    @property
    def main_columns(self) -> list[Column]:
        """Main metrics: those in ``main``, else the well-known and the reported ones; all of them if they are few."""
        if self.main:
            return [column for column in self.columns if column.key in self.main]
        scored = [column for column in self.columns if not column.is_cost and column.better != "neither"]
        reported = {key for entry in self.entries for key in entry.reported}
        by_name = {column.key.split("@")[0]: column for column in reversed(scored)}
        main = [by_name[name] for name in _MAIN_METRICS if name in by_name]
        few = len(scored) <= _MAX_UNNAMED
        others = [one for one in scored if (few or one.key in reported) and one not in main]
        return [*main, *others] or scored[:_MAX_UNNAMED]

    @property
    def further_columns(self) -> list[Column]:
        """Metrics of the sound that are not main metrics."""
        main = self.main_columns
        return [column for column in self.columns if column not in main and not column.is_cost]

    def best_entries(self, column: Column) -> set[str]:
        """Return the names of the entries with the best figure, as rounded in the table; anchors do not compete."""
        means = {entry.name: entry.figures[column.key].mean for entry in self.entries
                 if entry.kind != "anchor" and column.key in entry.figures
                 and not math.isnan(entry.figures[column.key].mean)}  # fmt: skip
        if len(means) < 2 or column.better == "neither" or column.key.startswith("bit_rate"):
            return set()
        top = column.format((max if column.better == "higher" else min)(means.values()))
        return {name for name, mean in means.items() if column.format(mean) == top}
