"""The plan of a corpus: which recordings make up which shard, fixed before the first one is tokenized.

A folder has one plan file for each time that recordings were added: ``plan-0000.jsonl`` and so on. Its first line is a
:class:`PlanHeader`. Each other line is a :class:`Unit`, which becomes one shard. A plan file appears whole and is never
changed. So a run that was killed goes on where it stopped, and several processes agree on the work.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from vocable.audio import header_seconds
from vocable.corpus.archives import list_spans, span_seconds
from vocable.corpus.shard_format import SUFFIX
from vocable.corpus.sources import Source, Span, archive_id, find_sources
from vocable.errors import AudioError, ConfigError, InputError, OutputError
from vocable.files import MAX_FILE_BYTES, make_folder, read_file, remove_leftovers, write_whole
from vocable.locks import claim
from vocable.schema import config, parse, to_bytes
from vocable.token_file import Setting

_VERSION = 1
_ROWS_PER_HOUR = 1_000  # of a shard, at most: 3.6 s each
_ADVICE = "take another folder"
_StrPath = str | os.PathLike[str]


@config
class PlanHeader:
    """Settings that all shards of a corpus share.

    Attributes:
        plan: Version of the plan's format.
        tokenizer: Digest of the tokenizer.
        model: Name of the tokenizer, if known.
        settings: Settings of the encoding.
        device: Type of the device, such as ``cpu``: other devices may round differently.
        shard_hours: Hours of speech of a shard at most, if it is of more than one recording.
        is_limited: Whether the corpus was planned with a limit of hours.
    """

    plan: Annotated[int, Field(ge=1)]
    tokenizer: str
    model: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)
    device: str = "cpu"
    shard_hours: Annotated[float, Field(gt=0)] = 1.0
    is_limited: bool = False


@config
class Unit:
    """Recordings that make up one shard.

    Attributes:
        number: Number of the shard.
        seconds: Seconds of speech, which are an estimate unless the corpus was planned with a limit of hours.
        sources: Recordings; or none, and a span of an archive.
        span: Samples of an archive.
    """

    number: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0)] = 0.0
    sources: tuple[Source, ...] = ()
    span: Span | None = None

    def __len__(self) -> int:
        """Return the number of recordings."""
        return len(self.sources) if self.span is None else self.span.count

    @property
    def name(self) -> str:
        """Name of the shard's file."""
        return f"{self.number:06d}{SUFFIX}"


@dataclass(frozen=True)
class WorkPlan:
    """Plan of a corpus.

    Attributes:
        header: Settings that all shards share.
        units: Units in order.
    """

    header: PlanHeader
    units: Sequence[Unit]


def read_plan(folder: Path) -> WorkPlan | None:
    """Read the plan of a folder; None if it has none.

    Raises:
        OutputError: If a plan file cannot be read, is altered, or contradicts another one.
    """
    paths = _plan_paths(folder)
    header: PlanHeader | None = None
    units: list[Unit] = []
    for path in paths:
        lines = read_file(path, OutputError, _ADVICE, limit=MAX_FILE_BYTES).split(b"\n")
        one = parse(PlanHeader, lines[0], f"{path}, line 1", OutputError)
        if one.plan != _VERSION:
            raise OutputError(
                f"{path}: is of version {one.plan}, this vocable reads {_VERSION}; install another version of vocable"
            )
        if header is not None and one != header:
            raise OutputError(f"{path}: contradicts {paths[0].name} in {_differences(one, header)}; {_ADVICE}")
        header = one
        for number, line in enumerate(lines[1:-1], start=2):
            unit = parse(Unit, line, f"{path}, line {number}", OutputError)
            if unit.number != len(units):
                raise OutputError(f"{path}, line {number}: is shard {unit.number}, expected {len(units)}; {_ADVICE}")
            units.append(unit)
        if lines[-1]:
            raise OutputError(f"{path}: is truncated; {_ADVICE}")
    return None if header is None else WorkPlan(header, units)


def make_plan(
    folder: Path, inputs: Sequence[_StrPath], header: PlanHeader, say: Callable[[str], None], *,
    limit_hours: float | None = None,
) -> WorkPlan:  # fmt: skip
    """Plan a corpus, or add recordings that are new to its plan. Units that were planned stay as they are.

    Args:
        folder: Folder of the corpus; created if missing.
        inputs: Manifests, recordings, folders, archives and glob patterns. There may be none if the folder has a plan.
        header: Settings that all shards share.
        say: Function that gets a line on what was planned.
        limit_hours: Hours of speech after which no recording is added.

    Raises:
        OutputError: If the folder cannot be written, or holds a corpus of another tokenizer or of other settings.
        VocableError: If an input cannot be used.
    """
    if not inputs and read_plan(folder) is None:
        raise InputError(f"{folder}: has no plan yet; name recordings, folders, manifests, tar or Parquet files")
    make_folder(folder)
    with _planning(folder):
        plan = read_plan(folder)
        if plan is not None:
            header = replace(header, model=plan.header.model)  # a model may be loaded by its name or its folder
        if plan is not None and plan.header != header:
            raise OutputError(
                f"{folder}: holds a corpus that differs in {_differences(header, plan.header)}; take another folder, "
                "or the same settings to go on with it"
            )
        known = plan or WorkPlan(header, [])
        added = list(_new_units(known, inputs, say, limit_hours)) if inputs else []
        if added:
            lines = [to_bytes(header), *(to_bytes(unit) for unit in added)]
            if sum(map(len, lines)) + len(lines) > MAX_FILE_BYTES:
                raise OutputError(
                    f"{folder}: the plan of {sum(map(len, added))} recordings is larger than {MAX_FILE_BYTES >> 30} "
                    "GiB; put them into tar files, or tokenize them in parts, each into a folder of its own"
                )
            target = folder / f"plan-{len(_plan_paths(folder)):04d}.jsonl"
            write_whole(target, lambda path: path.write_bytes(b"\n".join(lines) + b"\n"))
            count = sum(len(unit) for unit in added)
            say(f"{target}: {count} recordings in {len(added)} shards" + (" are new" if plan else ""))
        return WorkPlan(header, [*known.units, *added])


def _new_units(
    plan: WorkPlan, inputs: Sequence[_StrPath], say: Callable[[str], None], limit_hours: float | None
) -> Iterator[Unit]:
    """Yield units of the recordings that no unit has."""
    planned = {source.path for unit in plan.units for source in unit.sources}
    archives = {unit.span.path for unit in plan.units if unit.span is not None}
    ids = {source.id for unit in plan.units for source in unit.sources}
    draft = _Draft(plan.header.shard_hours, len(plan.units))
    left = None if limit_hours is None else limit_hours * 3600 - sum(unit.seconds for unit in plan.units)
    is_exact = limit_hours is not None
    for source in find_sources(inputs, say):
        if left is not None and left <= 0:
            break
        if isinstance(source, Path):
            if str(source) in archives:
                continue
            for span, seconds in _spans(source, plan.header.shard_hours, exact=is_exact):
                if left is not None and left <= 0:
                    break
                yield from draft.close()
                yield draft.of_span(span, seconds) if isinstance(span, Span) else draft.of_problem(span)
                left = None if left is None else left - seconds
            continue
        if source.path in planned or source.id in ids:
            continue
        seconds = _header_seconds(source) if is_exact else source.estimate_seconds()
        yield from draft.add(source, seconds)
        left = None if left is None else left - seconds
    yield from draft.close()


@dataclass
class _Draft:
    """Recordings of the next unit."""

    shard_hours: float
    number: int
    sources: list[Source] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, source: Source, seconds: float) -> Iterator[Unit]:
        """Add a recording; yield the unit before if it has no room for it."""
        is_full = len(self.sources) >= _rows(self.shard_hours) or self.seconds + seconds > self.shard_hours * 3600
        if self.sources and is_full:
            yield from self.close()
        self.sources.append(source)
        self.seconds += seconds

    def close(self) -> Iterator[Unit]:
        """Yield the unit of the recordings that were added, if there are any."""
        if self.sources:
            unit = Unit(number=self.number, seconds=round(self.seconds, 3), sources=tuple(self.sources))
            self.number, self.sources, self.seconds = self.number + 1, [], 0.0
            yield unit

    def of_span(self, span: Span, seconds: float) -> Unit:
        """Return the unit of a span."""
        self.number += 1
        return Unit(number=self.number - 1, seconds=round(seconds, 3), span=span)

    def of_problem(self, source: Source) -> Unit:
        """Return the unit of an archive that cannot be read."""
        self.number += 1
        return Unit(number=self.number - 1, sources=(source,))


def _spans(path: Path, shard_hours: float, *, exact: bool) -> Iterator[tuple[Span | Source, float]]:
    """Yield the spans of an archive with their seconds; where it is damaged, a source with that problem."""
    try:
        for span, seconds in list_spans(path, shard_hours * 3600, _rows(shard_hours)):
            yield span, span_seconds(span) if exact else seconds
    except InputError as error:
        name = f"{archive_id(path)}, unread"
        yield Source(id=name, path=str(path), problem=str(error)), 0.0


def _header_seconds(source: Source) -> float:
    if source.seconds is not None:
        return source.seconds
    with suppress(AudioError):
        return header_seconds(source.path)
    return 0.0


def _rows(shard_hours: float) -> int:
    return max(1, round(shard_hours * _ROWS_PER_HOUR))


def _plan_paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("plan-[0-9]*.jsonl"))


@contextmanager
def _planning(folder: Path) -> Iterator[None]:
    """Wait until no other process plans, and remove what killed ones left."""
    while True:
        with claim(folder / "plan") as is_mine:
            if is_mine:
                remove_leftovers(folder, "plan-*.jsonl")
                yield
                return
        time.sleep(0.2)


def _differences(one: PlanHeader, other: PlanHeader) -> str:
    """Return the names and both values of what differs, this corpus's last."""
    names = [name for name in PlanHeader.__dataclass_fields__ if getattr(one, name) != getattr(other, name)]
    if names == ["is_limited"]:
        return "--limit-hours, which is given always or never (a larger one adds recordings)"
    return ", ".join(f"{name} ({getattr(one, name)!r}, there {getattr(other, name)!r})" for name in names)


def check_share(share: str | None) -> tuple[int, int]:
    """Return number and count of a share of the units, written as ``i/n`` with i from 1 to n.

    Raises:
        ConfigError: If it is not written so.

    Example:
        >>> check_share("2/8"), check_share(None)
        ((2, 8), (1, 1))
    """
    if share is None:
        return 1, 1
    number, _, count = share.partition("/")
    if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
        return int(number), int(count)
    raise ConfigError(f"shard is {share!r}: write i/n with i from 1 to n, such as 1/4 for the first of four machines")
