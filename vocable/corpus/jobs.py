"""Jobs over many items: an item that fails is reported, the others go on, and no file is half-written."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from vocable.corpus.plan import find_clashes
from vocable.errors import OutputError, VocableError, name_failure
from vocable.files import exists, make_folder
from vocable.write_rules import check_target, write_rules

_Item = TypeVar("_Item")
_Say = Callable[[str], None]
Watch = Callable[[int, int, float], None]
"""Function that gets the number of finished items, the number of all items, and the seconds of speech so far."""


@runtime_checkable
class Writable(Protocol):
    """An object that writes itself to a file, completely or not at all, such as audio and tokens."""

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the object to a file."""
        ...


@dataclass(frozen=True, kw_only=True)
class Made:
    """Result of one item.

    Attributes:
        result: Object to write.
        summary: Part of a line about it, such as ``1.25 s``.
        seconds: Duration of its speech in seconds.
    """

    result: Writable
    summary: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """Report on one item that is finished.

    Attributes:
        path: File that was written, or read where nothing is written.
        line: Line about the item.
        seconds: Duration of its speech in seconds.
        skipped: Whether there was nothing to do.
    """

    path: Path
    line: str
    seconds: float = 0.0
    skipped: bool = False


@dataclass
class Outcome:
    """Results of a job over many files.

    Attributes:
        done: Files that were written, or read where nothing is written, and those that were done before.
        skipped: Those among them that were done before.
        failed: Error of each other item. Items that fail together have the same one.
    """

    done: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failed: list[VocableError] = field(default_factory=list)

    def finish(self) -> None:
        """Raise if any file failed.

        Raises:
            VocableError: If a file failed: its own error where there was no other file, else one with the count.
        """
        if self.failed and not self.done and len(set(self.failed)) == 1:
            raise self.failed[0]
        if self.failed:
            raise VocableError(
                f"{len(self.failed)} of {len(self.failed) + len(self.done)} files failed; the others are done"
            )


def write_each(
    items: Sequence[_Item], targets: Sequence[Path], make: Callable[[_Item], Made], *, say: _Say,
    complain: _Say | None = None, is_done: Callable[[_Item, Path], float | None] | None = None,
    inputs: Sequence[Path] = (), overwrite: bool = False, watch: Watch | None = None,
    name: Callable[[_Item], str] = str,
) -> Outcome:  # fmt: skip
    """Convert each item to a result and write it; its folder is created once there is a result.

    Args:
        items: Arguments of ``make``.
        targets: File to write for each item. Items that share one are refused, and the others go on.
        make: Function from an item to its result.
        say: Function that gets the line of each item.
        complain: Function that gets a line for each item that fails, where there are several; ``say`` by default.
        is_done: Function that gets an item and its target, which exists. It returns the duration of the speech
            in seconds if the target is what would be written, None if that is unknown, and raises an error if not.
        inputs: Files that must not be written over.
        overwrite: Whether targets that exist are replaced.
        watch: Function that is called after each item.
        name: Function that names an item in the message about a shared target.
    """

    def process(index: int) -> Report:
        item, target = items[index], targets[index]
        check_target(target)
        if is_done is not None and not overwrite and exists(target):
            seconds = is_done(item, target)
            if seconds is not None:
                line = f"{item} → {target}: skipped, it is done already"
                return Report(path=target, line=line, seconds=seconds, skipped=True)
        made = make(item)
        make_folder(target.parent)
        made.result.write(target)
        note = ", unchanged" if target in rules.unchanged else ""
        return Report(path=target, line=f"{item} → {target}: {made.summary}{note}", seconds=made.seconds)

    clashes = find_clashes(items, targets, name)
    with write_rules(inputs, overwrite=overwrite) as rules:
        free = [index for index in range(len(items)) if index not in clashes.errors and index not in clashes.repeated]
        return process_each(
            free, process, say, complain or say, name=lambda index: str(items[index]),
            failed=list(clashes.errors.values()), watch=watch,
        )  # fmt: skip


def process_each(
    items: Sequence[_Item], process: Callable[[_Item], Report], say: _Say, complain: _Say, *,
    name: Callable[[_Item], str] = str, failed: Sequence[VocableError] = (), watch: Watch | None = None,
) -> Outcome:  # fmt: skip
    """Process each item. An item that fails is reported, and the others go on, whatever the error is.

    Args:
        items: Arguments of ``process``.
        process: Function from an item to the report on it.
        say: Function that gets the line of each item.
        complain: Function that gets a line for each item that fails, where there are several.
        name: Function that names an item in messages.
        failed: Errors of items that failed before.
        watch: Function that is called after each item.
    """
    outcome = Outcome(failed=list(failed))
    known = list(dict.fromkeys(failed))
    is_single = len(known) + len(items) == 1
    seconds = 0.0

    def report_failure(error: VocableError) -> None:
        if not is_single:
            complain(printable(f"failed: {error}"))

    for error in known:
        report_failure(error)
    for item in items:
        try:
            with name_failure(name(item)):
                report = process(item)
        except VocableError as error:
            named = _with_name(error, name(item))
            outcome.failed.append(named)
            report_failure(named)
        else:
            say(printable(report.line))
            outcome.done.append(report.path)
            outcome.skipped += [report.path] if report.skipped else []
            seconds += report.seconds
        if watch is not None:
            watch(len(outcome.done) + len(outcome.failed), len(items) + len(failed), seconds)
    return outcome


def printable(text: str) -> str:
    """Return a line that a terminal can print: a file name need not be valid text.

    Example:
        >>> printable("a" + chr(0xDCFF) + ".wav")
        'a?.wav'
    """
    return text.encode(errors="replace").decode()


def _with_name(error: VocableError, name: str) -> VocableError:
    """Return an error whose message names the item; one about the output names that already."""
    if isinstance(error, OutputError) or name in str(error):
        return error
    named = type(error)(f"{name}: {error}")
    named.__cause__ = error
    return named
