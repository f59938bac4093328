"""Verification of a tokenized corpus: every shard against its checksums and its plan."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vocable.corpus.shard import TokenShard
from vocable.corpus.shard_format import SUFFIX, FailedRow, ShardRow
from vocable.corpus.work_plan import Unit, WorkPlan, read_plan
from vocable.errors import InputError, TokenFileError, VocableError
from vocable.files import exists, folder_exists

_SHOWN = 20  # failed recordings that are named


@dataclass
class Verification:
    """Result of the verification of a corpus.

    Attributes:
        folder: Folder of the corpus.
        shards: Number of shards.
        recordings: Number of recordings in them, without those that failed.
        hours: Hours of speech in them.
        problems: Lines about what is damaged, missing or foreign.
        failed: Recordings that could not be encoded.
        duplicates: Number of recordings whose file is, byte for byte, that of another one.
    """

    folder: Path
    shards: int = 0
    recordings: int = 0
    hours: float = 0.0
    problems: list[str] = field(default_factory=list)
    failed: list[FailedRow] = field(default_factory=list)
    duplicates: int = 0

    def lines(self) -> list[str]:
        """Return the verification as lines."""
        kinds = Counter(row.kind for row in self.failed)
        lines = [*self.problems, *(f"failed: {row.id}: {row.kind}: {row.reason}" for row in self.failed[:_SHOWN])]
        if len(self.failed) > _SHOWN:
            lines.append(f"failed: {len(self.failed) - _SHOWN} more")
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        summary = f"{self.folder}: {self.recordings} recordings, {self.hours:.2f} h in {self.shards} shards"
        copies = f", {self.duplicates} copies of others (by SHA-256)" if self.duplicates else ""
        state = "sound" if not self.problems else f"{len(self.problems)} problems"
        return [
            *lines,
            summary + (f", {len(self.failed)} failed ({counts})" if self.failed else "") + f"{copies}: {state}",
        ]

    def finish(self) -> None:
        """Raise a VocableError if there are problems."""
        if self.problems:
            raise VocableError(f"{self.folder}: {len(self.problems)} problems: {self.problems[0]}")


def verify_corpus(folder: Path) -> Verification:
    """Read every block of every shard of a corpus, and compare the rows with the plan.

    Raises:
        InputError: If the folder has neither a plan nor a shard.
        OutputError: If the plan cannot be read.
    """
    plan = read_plan(folder) if folder_exists(folder) else None
    paths = sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))
    if plan is None and not paths:
        raise InputError(f"{folder}: no token corpus; name the folder that `vocable tokenize` was given as --out")
    verification = Verification(folder)
    units = {} if plan is None else {unit.name: unit for unit in plan.units}
    missing = [unit.name for unit in units.values() if not exists(folder / unit.name)]
    if missing:
        verification.problems.append(
            f"{folder}: {len(missing)} of {len(units)} shards are not there yet, the first is {missing[0]}; run "
            "`vocable tokenize` again to make them"
        )
    copies: Counter[str] = Counter()
    for path in paths:
        try:
            _verify_shard(TokenShard.open(path), plan, units.get(path.name), verification, copies)
        except TokenFileError as error:
            verification.problems.append(f"{error}; delete the file and run `vocable tokenize` again")
    verification.duplicates = sum(count - 1 for count in copies.values())
    return verification


def _verify_shard(
    shard: TokenShard, plan: WorkPlan | None, unit: Unit | None, verification: Verification, copies: Counter[str]
) -> None:
    verification.shards += 1
    damages = shard.damages()
    verification.problems += [damage.reason for damage in damages]
    if plan is not None and unit is None:
        verification.problems.append(f"{shard.path}: the plan has no such shard; move it to another folder")
    header = None if plan is None else plan.header
    if header is not None and (shard.digest, shard.header.settings) != (header.tokenizer, header.settings):
        verification.problems.append(
            f"{shard.path}: is of tokenizer {shard.digest[:23]} with settings {dict(shard.header.settings)}, the plan "
            f"of {header.tokenizer[:23]} with {dict(header.settings)}; delete it and run `vocable tokenize` again"
        )
    if any(damage.block is not None for damage in damages):
        return
    rows, failed = list(shard.rows()), shard.failed
    verification.recordings += len(rows)
    verification.hours += int(shard.samples.sum()) / shard.spec.sample_rate / 3600
    verification.failed += failed
    copies.update(row.audio for row in rows if row.audio is not None)
    if unit is not None and not _is_of(rows, failed, unit):
        verification.problems.append(
            f"{shard.path}: its recordings are not those of the plan; delete it and run `vocable tokenize` again"
        )


def _is_of(rows: Sequence[ShardRow], failed: Sequence[FailedRow], unit: Unit) -> bool:
    """Return whether rows are those of a unit, each once; the order of those that failed is that of the others."""
    found = Counter(row.id for row in (*rows, *failed))
    if unit.span is not None:
        return len(found) == len(unit) and len(rows) + len(failed) == len(unit)
    return found == Counter(source.id for source in unit.sources)
