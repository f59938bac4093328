"""Figures of a card as people read them."""

import math
from collections.abc import Sequence

from vocable.evaluate.card import Card, Column, Entry, ProbeRow
from vocable.metrics.score import Figure

_MAIN = (
    "pesq_wb", "stoi", "wer", "speaker_similarity", "f0_correlation", "log_mel_distance", "estoi", "visqol",
    "dnsmos_ovrl",
)  # fmt: skip
_FEW = 6
_COUNTED = ("bit_rate", "codebook_")
_SHARES = ("accuracy", "rate", "recall", "wer", "cer", "per")


def main_columns(card: Card) -> list[Column]:
    """The metrics to see first: those the card names, else the well-known, those that others report, all if few.

    Example:
        >>> columns = [Column(key=key, title=key, better="higher", caption="") for key in ("bit_rate", "stoi", "x")]
        >>> [column.key for column in main_columns(Card(title="", lead="", columns=columns, entries=[]))]
        ['stoi', 'x']
    """
    if card.main:
        return [column for column in card.columns if column.key in card.main]
    judged = [column for column in card.columns if not counted(column) and column.better != "neither"]
    reported = {key for entry in card.entries for key in entry.reported}
    by_name = {column.key.split("@")[0]: column for column in reversed(judged)}
    known = [by_name[name] for name in _MAIN if name in by_name]
    few = len(judged) <= _FEW
    return [*known, *(one for one in judged if (few or one.key in reported) and one not in known)] or judged[:_FEW]


def counted(column: Column) -> bool:
    """Whether it says what tokens cost rather than how they sound."""
    return column.key.startswith(_COUNTED)


def main_entry(card: Card) -> Entry | None:
    """What the card is about: the first tokenizer, or the first thing that is no anchor."""
    entries = [entry for entry in card.entries if entry.kind != "anchor"]
    return next((entry for entry in entries if entry.kind == "tokenizer"), entries[0] if entries else None)


def times(column: Column) -> float:
    """What a figure is multiplied by: shares are shown in percent."""
    return 100.0 if column.unit == "%" else 1.0


def shown(value: float, column: Column) -> str:
    """A figure in the column's format, without its unit.

    Example:
        >>> shown(0.1234, Column(key="wer", title="WER", unit="%", better="lower", caption="", form=".1f"))
        '12.3'
    """
    return "undefined" if math.isnan(value) else f"{times(column) * value:z{column.form}}".replace("-", "−")


def interval(figure: Figure, column: Column) -> str:
    """The 95 % interval; empty if there is none, or none to be seen.

    Example:
        >>> column = Column(key="pesq_wb", title="PESQ-WB", better="higher", caption="")
        >>> interval(Figure(mean=2.5, low=2.0, high=3.0, n=9), column)
        '2.00–3.00'
    """
    if math.isnan(figure.low) or math.isnan(figure.high):
        return ""
    low, high = shown(figure.low, column), shown(figure.high, column)
    return "" if low == high else f"{low}{' to ' if figure.low < 0 else '–'}{high}"


def arrow(column: Column) -> str:
    """Which way is better, in words for those who do not see it."""
    return {"higher": "↑ higher is better", "lower": "↓ lower is better", "neither": ""}[column.better]


def sign(column: Column) -> str:
    """The arrow alone."""
    return {"higher": "↑", "lower": "↓", "neither": ""}[column.better]


def head(column: Column) -> str:
    """Title and unit.

    Example:
        >>> head(Column(key="wer", title="WER", unit="%", better="lower", caption=""))
        'WER, %'
    """
    return f"{column.title}, {column.unit}" if column.unit and column.unit not in column.title else column.title


def best(card: Card, column: Column) -> set[str]:
    """Names of the entries whose figure no other one beats as far as the table shows; anchors do not compete.

    Example:
        >>> one = Figure(mean=1.001, low=1.0, high=1.1, n=2)
        >>> entries = [Entry(name=name, kind="codec", family=name, note="", figures={"x": one}) for name in "ab"]
        >>> column = Column(key="x", title="x", better="higher", caption="")
        >>> sorted(best(Card(title="", lead="", columns=[column], entries=entries), column))
        ['a', 'b']
    """
    if column.better == "neither" or column.key.startswith("bit_rate"):
        return set()
    means = {entry.name: entry.figures[column.key].mean for entry in card.entries
             if entry.kind != "anchor" and column.key in entry.figures}  # fmt: skip
    means = {name: mean for name, mean in means.items() if not math.isnan(mean)}
    if len(means) < 2:
        return set()
    top = shown((max if column.better == "higher" else min)(means.values()), column)
    return {name for name, mean in means.items() if shown(mean, column) == top}


def probe_column(row: ProbeRow) -> Column:
    """How a probe's figures are shown: accuracies and error rates in percent.

    Example:
        >>> figure = Figure(mean=0.5, low=0.4, high=0.6, n=9)
        >>> row = ProbeRow(entry="a", probe="gender", view="level 1", metric="top-1 accuracy", better="higher",
        ...                figure=figure, chance=0.5, majority=0.6, note="")
        >>> head(probe_column(row)), shown(row.chance, probe_column(row))
        ('top-1 accuracy, %', '50.0')
    """
    share = row.metric.lower().endswith(_SHARES)
    form = ".1f" if share else ".3f"
    return Column(key=row.metric, title=row.metric, unit="%" if share else "", better=row.better, caption="", form=form)


def reasons(figure: Figure) -> str:
    """Why clips have no figure, and how often."""
    return "; ".join(f"{count} × {reason}" for reason, count in figure.reasons.items())


def anchors_of(card: Card, column: Column) -> dict[str, float]:
    """Figures of what has no bit rate of its own, by name: the anchors, then what others decoded."""
    rateless: Sequence[Entry] = [entry for entry in card.entries if entry.kind == "anchor"]
    rateless = [*rateless, *(e for e in card.entries if e.kind != "anchor" and math.isnan(e.bit_rate))]
    return {entry.name: entry.figures[column.key].mean for entry in rateless if column.key in entry.figures}
