"""Alignments made by others: Praat's TextGrid as MFA writes it, Kaldi's CTM, and CSV.

A parser of our own, as a TextGrid is but numbers and quoted texts in a fixed order: what the packages for it add
(editing, drawing) is not needed, and none of them bounds what a hostile file may ask for.
"""

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from vocable.data.alignment.record import Alignment, Segment
from vocable.errors import AlignmentError
from vocable.text.phonemes import SILENCE

_LARGEST = 64 << 20  # bytes of one file
_PAUSES = frozenset({"", "sil", "sp", "pau", "#", "<eps>", "<sil>", "<p:>"})  # in lower case, of several aligners
_UNKNOWN = "spn"  # MFA and Kaldi: somebody speaks, but the word is not in the dictionary
_PLACE = re.compile(r"_[BIES]$")  # of a phone in its word, which Kaldi writes behind it
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(![^\n]*)|([^\s"]+)')  # a text, a comment, a number or a word to pass over
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_OURS = ("utterance", "start", "end", "symbol")  # columns
_MFA = ("begin", "end", "label", "type")


def read_textgrid(path: Path, tier: str = "phones") -> Alignment:
    """The alignment in a TextGrid, long or short, in UTF-8 or UTF-16.

    Args:
        path: A file.
        tier: Name of the tier; case and a final s do not count, nor does a speaker before it, as in ``anna - phones``.

    Returns:
        From 0 to the end of the tier; intervals without a label are silence.

    Raises:
        AlignmentError: The file cannot be read, is no TextGrid, or has no such tier, or more than one.
    """
    where = str(path)
    values = _Values(_read(path), where)
    if values.text("file type") != "ooTextFile" or values.text("object class") != "TextGrid":
        raise AlignmentError(f"{where}: this is no TextGrid written as text; save it again in Praat as a text file")
    values.number("its start"), values.number("its end")
    tiers = [_tier(values) for _ in range(values.count("of tiers"))]
    wanted = [one for one in tiers if _plain(one.name) == _plain(tier) and one.segments is not None]
    if len(wanted) != 1:
        names = ", ".join(repr(one.name[:40]) for one in tiers) or "none"
        raise AlignmentError(
            f"{where}: {len(wanted) or 'no'} tiers of intervals are named {tier!r}; there are {names}; "
            f"name one of them {tier!r}"
        )
    return _alignment(wanted[0].segments or [], where)


def read_ctm(path: Path) -> dict[str, Alignment]:
    """The alignments in a CTM, by utterance: lines of utterance, channel, start, duration, symbol, and confidence.

    Raises:
        AlignmentError: The file cannot be read, or a line is not like that; file and line are named.
    """
    found: dict[str, list[Segment]] = {}
    for number, line in enumerate(_read(path).split("\n"), start=1):
        fields = line.split()
        if not fields or fields[0].startswith(";;"):
            continue
        where = f"{path}, line {number}"
        if len(fields) not in (5, 6):
            raise AlignmentError(
                f"{where}: {len(fields)} fields; it wants utterance, channel, start, duration, symbol [, confidence]"
            )
        start, duration = (_time(field, where) for field in fields[2:4])
        found.setdefault(fields[0], []).append(Segment(_symbol(fields[4], where), start, start + duration))
    return _alignments(found, path)


def read_csv(path: Path) -> dict[str, Alignment]:
    """The alignments in a CSV, by utterance.

    Either with the columns utterance, start, end, symbol, or as MFA exports it, Begin, End, Label, Type, Speaker, one
    file an utterance: its name is then that of the file.

    Raises:
        AlignmentError: The file cannot be read, its header is another, or a line has no times; the line is named.
    """
    rows = _rows(path)
    header = [name.strip().lower() for name in next(rows, (0, []))[1]]
    columns = next((names for names in (_OURS, _MFA) if set(names) <= set(header)), None)
    if columns is None:
        raise AlignmentError(
            f"{path}: the header is {','.join(header)[:80]!r}; it wants utterance,start,end,symbol "
            "or MFA's Begin,End,Label,Type,Speaker"
        )
    found: dict[str, list[Segment]] = {}
    for number, row in rows:
        where = f"{path}, line {number}"
        if len(row) != len(header):
            raise AlignmentError(f"{where}: {len(row)} fields, but the header has {len(header)}")
        values = dict(zip(header, row, strict=True))
        if columns is _MFA:
            if values["type"].strip().lower() != "phones":
                continue
            values = {"utterance": path.stem, "start": values["begin"], "end": values["end"], "symbol": values["label"]}
        start, end = _time(values["start"], where), _time(values["end"], where)
        found.setdefault(values["utterance"], []).append(Segment(_symbol(values["symbol"], where), start, end))
    return _alignments(found, path)


TEXTGRID = ".textgrid"
LISTS: Mapping[str, Callable[[Path], dict[str, Alignment]]] = MappingProxyType({".ctm": read_ctm, ".csv": read_csv})
"""What reads files with alignments of many utterances, by their suffix in lower case."""


@dataclass(frozen=True)
class _Tier:
    name: str
    segments: list[Segment] | None  # None: a tier of points


class _Values:
    """The numbers and texts of a Praat file in order; all else in it is there for people to read."""

    def __init__(self, content: str, where: str) -> None:
        self._found = _values(content)
        self._where = where

    def text(self, what: str) -> str:
        value = next(self._found, None)
        if not isinstance(value, str):
            raise AlignmentError(f"{self._where}: {what} is {value}, not a text; the TextGrid is cut short or altered")
        return value

    def number(self, what: str) -> float:
        value = next(self._found, None)
        if not isinstance(value, float) or not math.isfinite(value):
            shown = repr(value)[:40]
            raise AlignmentError(
                f"{self._where}: {what} is {shown}, not a number; the TextGrid is cut short or altered"
            )
        return value

    def count(self, what: str) -> int:
        value = self.number(f"the number {what}")
        if value < 0 or value != int(value):
            raise AlignmentError(f"{self._where}: the number {what} is {value:g}; the TextGrid is altered")
        return int(value)


def _values(content: str) -> Iterator[str | float]:
    for match in _TOKEN.finditer(content):
        text, _, word = match.groups()
        if text is not None:
            yield text.replace('""', '"')
        elif word is not None and _NUMBER.fullmatch(word):
            yield float(word)


def _tier(values: _Values) -> _Tier:
    kind, name = values.text("the class of a tier"), values.text("the name of a tier")
    where = f"tier {name[:40]!r}"
    values.number(f"{where}: its start"), values.number(f"{where}: its end")
    count = values.count(f"of {where}")
    if kind != "IntervalTier":
        for _ in range(count):
            values.number(f"{where}: a time"), values.text(f"{where}: a mark")
        return _Tier(name, None)
    segments = []
    for number in range(1, count + 1):
        start, end = (values.number(f"{where}, interval {number}: a time") for _ in range(2))
        segments.append(Segment(values.text(f"{where}, interval {number}: the label"), start, end))
    return _Tier(name, segments)


def _plain(name: str) -> str:
    """A tier's name, without the speaker's."""
    return name.rsplit(" - ", 1)[-1].strip().lower().removesuffix("s")


def _symbol(label: str, where: str) -> str:
    """A phone as it is called here."""
    symbol = _PLACE.sub("", label.strip())
    if symbol.lower() in _PAUSES:
        return SILENCE
    if symbol.lower() == _UNKNOWN:
        raise AlignmentError(
            f"{where}: 'spn' is speech the aligner had no word for; add it to the aligner's dictionary"
        )
    return symbol


def _time(field: str, where: str) -> float:
    try:
        return float(field)
    except ValueError:
        raise AlignmentError(f"{where}: {field[:20]!r} is no time in seconds") from None


def _alignments(found: Mapping[str, Sequence[Segment]], path: Path) -> dict[str, Alignment]:
    if not found:
        raise AlignmentError(f"{path}: no phones in it; export the alignment again")
    return {
        name: _alignment(sorted(segments, key=lambda one: one.start), f"{path}, utterance {name[:60]}")
        for name, segments in found.items()
    }


def _alignment(segments: Sequence[Segment], where: str) -> Alignment:
    try:
        return Alignment(tuple(Segment(_symbol(one.symbol, where), one.start, one.end) for one in segments))
    except AlignmentError as error:
        message = str(error)
        raise AlignmentError(message if message.startswith(where) else f"{where}: {message}") from error


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines of a CSV that are not empty, with their numbers."""
    reader = csv.reader(_read(path).splitlines(keepends=True))
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise AlignmentError(f"{path}, line {reader.line_num}: this is no CSV ({error})") from error


def _read(path: Path) -> str:
    """The text of a file of bounded size, in UTF-16 if it says so, else in UTF-8."""
    try:
        if path.stat().st_size > _LARGEST:
            raise AlignmentError(f"{path}: larger than {_LARGEST >> 20} MiB; give a file for each recording")
        content = path.read_bytes()
        is_wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        return content.decode("utf-16" if is_wide else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is neither UTF-8 nor UTF-16"
        raise AlignmentError(f"{path}: cannot be read ({reason}); check the path, or save it as UTF-8") from error
