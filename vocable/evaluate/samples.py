"""Which clips to listen to, and what each codec made of them."""

from collections.abc import Callable, Mapping, Sequence

from vocable.audio import Audio
from vocable.errors import VocableError
from vocable.evaluate.card import Column, Sample
from vocable.evaluate.codecs.base import Codec
from vocable.evaluate.runner import Row

_EXTREMES = 10  # clips on either end


def choose(
    rows: Mapping[str, Sequence[Row]], column: Column, entries: Sequence[str]
) -> list[tuple[str, str, list[str]]]:
    """The clips to listen to: an ordinary, a good and a bad one of everything, then each tokenizer's worst and best.

    Args:
        rows: By entry.
        column: The metric that says which are worst and best.
        entries: Tokenizers first.

    Returns:
        For each: the item, why it is shown, and whose speech it is shown with.
    """
    chosen = []
    for place, entry in enumerate(name for name in entries if name in rows):
        order = _from_worst(rows[entry], column)
        if not order:
            continue
        if place == 0:
            middle, end = len(order) // 2, len(order) - 1
            marks = {middle: "middle", round(0.9 * end): "near the best", round(0.1 * end): "near the worst"}
            chosen += [(order[at], f"{column.title} of {entry}: {name}", list(entries)) for at, name in marks.items()]
        ten = min(_EXTREMES, len(order) // 2)
        for side, items in (("worst", order[:ten]), ("best", order[::-1][:ten])):
            chosen += [(item, f"{side} {column.title} of {entry}", [entry]) for item in items]
    return chosen


def make(
    item: str, why: str, recording: Audio, codecs: Sequence[Codec], facts: Mapping[str, str],
    filed: Callable[[Audio], Audio], caption: Callable[[str, str], str],
) -> Sample:  # fmt: skip
    """A clip with what these codecs make of it; one that refuses it is left away.

    Args:
        item: The clip's key.
        why: It is shown.
        recording: Of any rate.
        codecs: In the order of the page.
        facts: Of the clip.
        filed: Turns audio into what was scored.
        caption: Line for an entry and the item: its figures.
    """
    made = {}
    for codec in codecs:
        try:
            made[codec.name] = (filed(codec.code(recording, item).audio), caption(codec.name, item))
        except VocableError:
            continue
    return Sample(utterance=item, why=why, facts=facts, recording=filed(recording), made=made)


def _from_worst(rows: Sequence[Row], column: Column) -> list[str]:
    """Items from the worst to the best; those without a figure are left away."""
    scored = [row for row in rows if column.key in row.scores and row.scores[column.key].defined]
    sign = -1.0 if column.better == "lower" else 1.0
    return [row.item for row in sorted(scored, key=lambda row: sign * row.scores[column.key].value)]
