"""Selection of clips to listen to, and their decoded versions."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from vocable.audio import Audio
from vocable.errors import VocableError
from vocable.evaluate.card import Column, Sample
from vocable.evaluate.codecs.base import Codec
from vocable.evaluate.plan import as_scored
from vocable.evaluate.runner import ResultRow

_LISTED = 10  # worst and best clips of each tokenizer


def choose_samples(
    rows: Mapping[str, Sequence[ResultRow]], column: Column, entries: Sequence[str]
) -> Iterator[tuple[str, str, list[str]]]:
    """Choose an average, a good and a bad clip to compare, then the worst and the best clips of each tokenizer.

    Args:
        rows: Result rows by entry.
        column: Metric that ranks the clips.
        entries: Names of the entries, tokenizers first.

    Yields:
        Key of the clip, reason for its choice, and names of the entries whose versions are shown.
    """
    for place, entry in enumerate(name for name in entries if name in rows):
        ranked = _rank_clips(rows[entry], column)
        if place == 0 and ranked:
            end = len(ranked) - 1
            marks = {len(ranked) // 2: "average", round(0.9 * end): "near the best", round(0.1 * end): "near the worst"}
            for at, name in marks.items():
                yield ranked[at], f"{column.title} of {entry}: {name}", list(entries)
        count = min(_LISTED, len(ranked) // 2)
        for side, clips in (("worst", ranked[:count]), ("best", ranked[::-1][:count])):
            for clip in clips:
                yield clip, f"{side} {column.title} of {entry}", [entry]


def make_sample(
    item: str, reason: str, recording: Audio, codecs: Sequence[Codec], labels: Mapping[str, str],
    caption: Callable[[str, str], str],
) -> Sample:  # fmt: skip
    """Code a clip with each codec, in the order of the page; codecs that refuse it are left out.

    ``caption`` maps the name of an entry and the key of a clip to a line with figures.
    """
    versions = {}
    for codec in codecs:
        try:
            versions[codec.name] = (as_scored(codec.code(recording, item).audio), caption(codec.name, item))
        except VocableError:
            continue
    return Sample(utterance=item, reason=reason, labels=labels, recording=as_scored(recording), versions=versions)


def _rank_clips(rows: Sequence[ResultRow], column: Column) -> list[str]:
    """Return the keys of clips from the worst to the best, without those that have no figure."""
    scored = [row for row in rows if column.key in row.scores and row.scores[column.key].defined]
    sign = -1.0 if column.better == "lower" else 1.0
    return [row.item for row in sorted(scored, key=lambda row: sign * row.scores[column.key].value)]
