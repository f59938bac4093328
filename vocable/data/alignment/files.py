"""Readers of alignments: Praat's TextGrid as MFA writes it, Kaldi's CTM, and CSV.

The parser of TextGrid is our own: a TextGrid is a sequence of numbers and quoted texts in a fixed order, and the
packages for it do not bound what a hostile file may ask for.
"""

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from vocable.data.alignment.record import Alignment, Segment
from vocable.errors import AlignmentError
from vocable.files import read_file
from vocable.text.phonemes import SILENCE

_PAUSES = frozenset({"", "sil", "sp", "pau", "#", "<eps>", "<sil>", "<p:>"})  # labels of several aligners
_UNKNOWN = "spn"  # label of MFA and Kaldi for a word that is not in the dictionary
_WORD_POSITION = re.compile(r"_[BIES]$")  # suffix of Kaldi: position of the phone in its word
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(![^\n]*)|([^\s"]+)')  # a text, a comment, a number or an ignored word
_TEXT_FILE = re.compile(r"ooTextFile( short)?")  # Praat accepts both before either form
_CLASS = re.compile(r"TextGrid( \d+)?")  # with the number of a version
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_VOCABLE_COLUMNS = ("utterance", "start", "end", "symbol")
_MFA_COLUMNS = ("begin", "end", "label", "type")


def read_textgrid(path: Path) -> Alignment:
    """Read the tier ``phones`` of a TextGrid, long or short, in UTF-8 or UTF-16, with line ends of any system.

    Tiers may stand in any order, and others may be of points. In the name of a tier, case, a final s, and the name of
    a speaker before it, as in ``anna - phones``, are ignored.

    Returns:
        Alignment from 0 to the end of the tier; intervals without a label are silence.

    Raises:
        AlignmentError: If the file cannot be read, is no TextGrid, or has no such tier, or more than one.
    """
    where = str(path)
    values = _Values(_read(path), where)
    if not _TEXT_FILE.fullmatch(values.text("file type")) or not _CLASS.fullmatch(values.text("object class")):
        raise AlignmentError(f"{where}: this is no TextGrid written as text; save it again in Praat as a text file")
    values.number("its start"), values.number("its end")
    tiers = [_tier(values) for _ in range(values.count("of tiers"))]
    matches = [segments for name, segments in tiers if _is_phones(name) and segments is not None]
    if len(matches) != 1:
        names = ", ".join(repr(name[:40]) for name, _ in tiers) or "none"
        raise AlignmentError(
            f"{where}: {len(matches) or 'no'} tiers of intervals are named 'phones'; there are {names}; "
            "name one of them 'phones'"
        )
    return _alignment(matches[0], where)


def read_ctm(path: Path, failures: dict[str, AlignmentError] | None = None) -> dict[str, Alignment]:
    """Read the alignments of a CTM by utterance: lines of utterance, channel, start, duration, symbol and confidence.

    Args:
        path: Path of the file.
        failures: Dictionary that gets the error of each utterance that cannot be used. Without it, the first is raised.

    Raises:
        AlignmentError: If the file cannot be read, or a line is malformed (file and line are named).
    """
    segments: dict[str, list[Segment]] = {}
    for number, line in enumerate(_read(path).split("\n"), start=1):
        fields = line.split()
        if not fields or fields[0].startswith(";;"):
            continue
        where = f"{path}, line {number}"
        if len(fields) not in (5, 6):
            raise AlignmentError(
                f"{where}: {len(fields)} fields; it needs utterance, channel, start, duration, symbol [, confidence]"
            )
        start, duration = (_time(field, where) for field in fields[2:4])
        segments.setdefault(fields[0], []).append(Segment(_label(fields[4], where, failures), start, start + duration))
    return _alignments(segments, path, failures)


def read_csv(path: Path, failures: dict[str, AlignmentError] | None = None) -> dict[str, Alignment]:
    """Read the alignments of a CSV by utterance.

    The columns are utterance, start, end, symbol, or those of MFA: Begin, End, Label, Type, Speaker. A file of MFA
    holds one utterance, which has the name of the file. Arguments are those of :func:`read_ctm`.

    Raises:
        AlignmentError: If the file cannot be read, its header is another one, or a line has no times (the line is
            named).
    """
    rows = _rows(path)
    header = [name.strip().lower() for name in next(rows, (0, []))[1]]
    columns = next((names for names in (_VOCABLE_COLUMNS, _MFA_COLUMNS) if set(names) <= set(header)), None)
    if columns is None:
        raise AlignmentError(
            f"{path}: the header is {','.join(header)[:80]!r}; it needs utterance,start,end,symbol "
            "or MFA's Begin,End,Label,Type,Speaker"
        )
    segments: dict[str, list[Segment]] = {}
    for number, row in rows:
        where = f"{path}, line {number}"
        if len(row) != len(header):
            raise AlignmentError(f"{where}: {len(row)} fields, but the header has {len(header)}")
        values = dict(zip(header, row, strict=True))
        if columns is _MFA_COLUMNS:
            if values["type"].strip().lower() != "phones":
                continue
            values = {"utterance": path.stem, "start": values["begin"], "end": values["end"], "symbol": values["label"]}
        start, end = _time(values["start"], where), _time(values["end"], where)
        segments.setdefault(values["utterance"], []).append(
            Segment(_label(values["symbol"], where, failures), start, end)
        )
    return _alignments(segments, path, failures)


TEXTGRID = ".textgrid"
LISTS: Mapping[str, Callable[[Path, dict[str, AlignmentError] | None], dict[str, Alignment]]] = MappingProxyType(
    {".ctm": read_ctm, ".csv": read_csv}
)
"""Readers of files with alignments of many utterances, by suffix in lower case."""


class _Values:
    """Numbers and texts of a Praat file in order; everything else in it is for human readers."""

    def __init__(self, content: str, where: str) -> None:
        self._values = _values(content)
        self._where = where

    def text(self, what: str) -> str:
        value = next(self._values, None)
        if not isinstance(value, str):
            raise AlignmentError(f"{self._where}: {what} is {value}, not a text; the TextGrid is cut short or altered")
        return value

    def number(self, what: str) -> float:
        value = next(self._values, None)
        if not isinstance(value, float) or not math.isfinite(value):
            raise AlignmentError(
                f"{self._where}: {what} is {value!r:.40}, not a number; the TextGrid is cut short or altered"
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


def _tier(values: _Values) -> tuple[str, list[Segment] | None]:
    """Return the name and the segments of a tier; None for a tier of points."""
    kind, name = values.text("the class of a tier"), values.text("the name of a tier")
    where = f"tier {name[:40]!r}"
    values.number(f"{where}: its start"), values.number(f"{where}: its end")
    count = values.count(f"of {where}")
    if kind != "IntervalTier":
        for _ in range(count):
            values.number(f"{where}: a time"), values.text(f"{where}: a mark")
        return name, None
    segments = []
    for number in range(1, count + 1):
        start, end = (values.number(f"{where}, interval {number}: a time") for _ in range(2))
        segments.append(Segment(values.text(f"{where}, interval {number}: the label"), start, end))
    return name, segments


def _is_phones(name: str) -> bool:
    return name.rsplit(" - ", 1)[-1].strip().lower() in {"phone", "phones"}


def _symbol(label: str, where: str) -> str:
    """Return the symbol of a label."""
    symbol = _WORD_POSITION.sub("", label.strip())
    if symbol.lower() in _PAUSES:
        return SILENCE
    if symbol.lower() == _UNKNOWN:
        raise AlignmentError(
            f"{where}: 'spn' is a word that the aligner did not know; add it to the aligner's dictionary"
        )
    return symbol


def _label(label: str, where: str, failures: dict[str, AlignmentError] | None) -> str:
    """Return the symbol of a label, or the label itself where its utterance can fail alone."""
    return _symbol(label, where) if failures is None else label


def _time(field: str, where: str) -> float:
    try:
        return float(field)
    except ValueError:
        raise AlignmentError(f"{where}: {field[:20]!r} is no time in seconds") from None


def _alignments(
    segments: Mapping[str, Sequence[Segment]], path: Path, failures: dict[str, AlignmentError] | None
) -> dict[str, Alignment]:
    """Return the alignment of each utterance; collect the errors in ``failures``, or raise the first without it."""
    if not segments:
        raise AlignmentError(f"{path}: no phones in it; export the alignment again")
    alignments: dict[str, Alignment] = {}
    for name, rows in segments.items():
        try:
            where = f"{path}, utterance {name[:60]}"
            alignments[name] = _alignment(sorted(rows, key=lambda one: (one.start, one.end)), where)
        except AlignmentError as error:
            if failures is None:
                raise
            failures[name] = error
    return alignments


def _alignment(segments: Sequence[Segment], where: str) -> Alignment:
    """Return the alignment of segments, without silences of no length, which some aligners write."""
    try:
        named = [Segment(_symbol(one.symbol, where), one.start, one.end) for one in segments]
        kept = [one for one in named if one.symbol != SILENCE or one.start != one.end]
        return Alignment(tuple(kept))
    except AlignmentError as error:
        message = str(error)
        raise AlignmentError(message if message.startswith(where) else f"{where}: {message}") from error


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the non-empty lines of a CSV with their numbers."""
    reader = csv.reader(_read(path).splitlines(keepends=True))
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise AlignmentError(f"{path}, line {reader.line_num}: this is no CSV ({error})") from error


def _read(path: Path) -> str:
    """Read the text of a file of bounded size: UTF-16 if it has a byte order mark, else UTF-8."""
    content = read_file(path, AlignmentError, "check the path, and give a file for each recording")
    try:
        text = content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise AlignmentError(f"{path}: is neither UTF-8 nor UTF-16; save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
