"""Work on the units of a plan, in any process: claim a unit, encode its recordings, move the shard to its place."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vocable.corpus.memory import Budget
from vocable.corpus.shard import TokenShard
from vocable.corpus.shard_format import FailedRow, ShardHeader, ShardRow
from vocable.corpus.shard_writer import encoding_settings, shard_header, write_shard
from vocable.corpus.unit_encoder import Row, UnitEncoder
from vocable.corpus.work_plan import Unit
from vocable.errors import OutputError, TokenFileError, VocableError
from vocable.files import exists, remove_leftovers
from vocable.interfaces import Tokenizer
from vocable.locks import CLAIM, claim
from vocable.tokens import Tokens


@dataclass(frozen=True)
class Work:
    """Settings of a process that works through a plan."""

    folder: Path
    model: str | None
    levels: int | None
    share: tuple[int, int]
    retry: bool
    budget: Budget


@dataclass(frozen=True)
class WorkEvent:
    """Progress of one recording, or of a unit that is over.

    Attributes:
        seconds: Seconds of speech of a recording that is done; None if it failed.
        unit: Name of the shard that is over; empty for a recording.
        line: Line about the unit.
        error: Error that ended the process.
    """

    seconds: float | None = None
    unit: str = ""
    line: str = ""
    error: VocableError | None = None


def work_through(work: Work, units: Sequence[Unit], tokenizer: Tokenizer) -> Iterator[WorkEvent]:
    """Make the shards that are missing and that no other process makes; yield events."""
    events: list[WorkEvent] = []
    encoder = UnitEncoder(
        tokenizer, work.levels, watch=lambda seconds: events.append(WorkEvent(seconds)),
        group_seconds=work.budget.group_seconds(),
    )  # fmt: skip
    header = replace(shard_header(tokenizer, encoding_settings(tokenizer, work.levels)), model=work.model)
    with work.budget.enforced():
        for unit in units:
            target = work.folder / unit.name
            if exists(target) and not (work.retry and _open(target, header).failed_count):
                _remove_claim(target)
                continue
            with claim(target) as is_mine:
                if not is_mine:
                    continue
                remove_leftovers(target.parent, target.name)
                done = _open(target, header) if exists(target) else None
                if done is not None and not (work.retry and done.failed_count):
                    continue  # another process made it meanwhile
                rows: list[tuple[ShardRow, Tokens]] = []
                failed: list[FailedRow] = []
                for row in encoder.encode(unit, _finished(done)):
                    if isinstance(row, FailedRow):
                        failed.append(row)
                    else:
                        rows.append(row)
                    yield from events
                    events.clear()
                write_shard(target, rows, header, failed)
            yield WorkEvent(unit=unit.name, line=_line(target, rows, failed))


def _finished(done: TokenShard | None) -> Callable[[str], Row | None]:
    """Return the function that finds a recording among the rows of a shard that is made again."""
    if done is None:
        return lambda row_id: None
    places = {row.id: number for number, row in enumerate(done.rows())}

    def find(row_id: str) -> Row | None:
        return (done.row(places[row_id]), done.tokens(places[row_id])) if row_id in places else None

    return find


def _open(target: Path, header: ShardHeader) -> TokenShard:
    """Open a finished shard; an OutputError if it cannot be read, or is another tokenizer's."""
    try:
        shard = TokenShard.open(target)
    except TokenFileError as error:
        raise OutputError(f"{error}; delete the file, and its recordings are tokenized again") from error
    if replace(shard.header, blocks=()) != header:
        raise OutputError(
            f"{target}: is of tokenizer {shard.digest[:23]} with settings {dict(shard.header.settings)}, this is "
            f"{header.tokenizer[:23]} with {dict(header.settings)}; take another folder"
        )
    return shard


def _remove_claim(target: Path) -> None:
    """Remove the claim of a process that was killed between the move of its shard and the end of its claim."""
    if exists(target.with_name(f".{target.name}{CLAIM}")):
        with suppress(OutputError), claim(target) as is_mine:
            if is_mine:
                remove_leftovers(target.parent, target.name)


def _line(target: Path, rows: Sequence[tuple[ShardRow, Tokens]], failed: Sequence[FailedRow]) -> str:
    seconds = sum(int(tokens.samples[0]) / tokens.spec.sample_rate for _, tokens in rows)
    note = f", {len(failed)} failed" if failed else ""
    return f"{target}: {len(rows)} recordings, {seconds / 3600:.2f} h{note}"
