"""Settings and log of a run, as they lie in its folder."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from vocable.errors import CheckpointError
from vocable.files import exists, read_file
from vocable.schema import config, parse, parse_object, read_object
from vocable.train.schedule import LearningRate, Weight

_ADVICE = "is this a run's folder?"
_Path = tuple[str, ...]


@config
class ManifestEntry:
    """Manifest that a run was trained on.

    Attributes:
        path: Path of the manifest.
        sha256: SHA-256 of the file, which vocable 0.1 did not keep.
        share: Share of its speech among several manifests, if it has one.
    """

    path: str
    sha256: str | None = None
    share: float | None = None

    @property
    def argument(self) -> str:
        """Path and share as ``--data`` takes them.

        Example:
            >>> ManifestEntry(path="a.jsonl", share=0.7).argument
            'a.jsonl:0.7'
        """
        return self.path if self.share is None else f"{self.path}:{self.share!r}"


@dataclass(frozen=True)
class Record:
    """Settings and log of a run.

    Attributes:
        folder: Folder of the run.
        values: Contents of ``run.json``.
        rows: Lines of ``log.jsonl``; none if there is no log yet. An incomplete last line is left out.
    """

    folder: Path
    values: Mapping[str, Any]
    rows: list[dict[str, Any]]

    @property
    def steps(self) -> int:
        """Number of steps of the whole run."""
        return int(self.values["train"]["steps"])

    @property
    def manifests(self) -> list[str]:
        """Paths of the training manifests, in order."""
        return [entry.path for entry in manifests_of(self.values)]


def read_record(folder: Path) -> Record:
    """Read a run's ``run.json`` and ``log.jsonl``.

    Raises:
        CheckpointError: If a file cannot be read, or is not what a run writes.
    """
    settings, log = folder / "run.json", folder / "log.jsonl"
    values = read_object(settings, advice=_ADVICE)
    train = values.get("train")
    if not isinstance(train, dict) or type(train.get("steps")) is not int:
        raise CheckpointError(f"{settings}: has no number of steps under train.steps; {_ADVICE}")
    text = read_file(log, CheckpointError, _ADVICE) if exists(log) else b""
    lines = text.decode(errors="replace").splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(parse_log_line(line, f"{log}, line {number}"))
        except CheckpointError:
            if number < len(lines):  # a killed process leaves an incomplete last line
                raise
    return Record(folder, values, rows)


def parse_log_line(line: str, where: str) -> dict[str, Any]:
    """Return the values of a line of ``log.jsonl``, a JSON object with a number under ``step``.

    Raises:
        CheckpointError: If it is no such line; the message names ``where``.
    """
    row = parse_object(line, where, CheckpointError)
    if type(row.get("step")) not in (int, float):
        raise CheckpointError(f"{where}: has no step; remove the line")
    for name, value in row.items():
        numbers = value if isinstance(value, list) else [value]
        if not all(isinstance(one, int | float | str | None) for one in numbers):
            raise CheckpointError(f"{where}: {name[:60]} is neither a number nor a list of numbers; remove the line")
    return row


def manifests_of(values: Mapping[str, Any]) -> list[ManifestEntry]:
    """Return the manifests that a run was trained on; early runs of vocable 0.1 kept their paths alone.

    Raises:
        CheckpointError: If ``data`` is not what a run writes.

    Example:
        >>> [entry.path for entry in manifests_of({"data": ["a.jsonl", {"path": "b.jsonl", "sha256": "5e8f…"}]})]
        ['a.jsonl', 'b.jsonl']
    """
    entries = values.get("data", [])
    if isinstance(entries, list):
        entries = [{"path": entry} if isinstance(entry, str) else entry for entry in entries]
    return list(parse(_Manifests, {"data": entries}, "run.json", CheckpointError).data)


@config
class _Manifests:
    data: tuple[ManifestEntry, ...]


def schedules(values: Mapping[str, Any]) -> dict[str, Callable[[int], float]]:
    """Return every loss weight and learning rate of a run's settings, by the last part of its name.

    Args:
        values: Contents of ``run.json``. Any mapping with the fields of :class:`~vocable.train.schedule.Weight` or
            :class:`~vocable.train.schedule.LearningRate` is a schedule, so that no system has to be known.

    Raises:
        ConfigError: If a schedule is out of range.

    Example:
        >>> run = {"train": {"steps": 10}, "losses": {"mel": {"value": 2.0, "start": 5, "ramp": 0}, "phase": 0.5}}
        >>> [schedules(run)["mel"](step) for step in (4, 5)]
        [0.0, 2.0]
    """
    steps = int(values["train"]["steps"])
    found: dict[str, Callable[[int], float]] = {}
    for path, mapping in _mappings(values):
        name = path[-1] if path[-1] not in found else ".".join(path)
        where = f"schedule {'.'.join(path)}"
        if set(mapping) == {field.name for field in fields(Weight)}:
            found[name] = parse(Weight, mapping, where).at
        elif set(mapping) == {field.name for field in fields(LearningRate)}:
            found[name] = partial(parse(LearningRate, mapping, where).at, steps=steps)
    return found


def start_steps(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the steps at which a stage starts, by name: whole numbers of the losses named ``…_from`` or ``…_start``.

    Example:
        >>> start_steps({"losses": {"quantize_from": 1000, "phase": 0.5}})
        {'quantize_from': 1000}
    """
    losses = values.get("losses")
    if not isinstance(losses, Mapping):
        return {}
    return {
        name: value for name, value in losses.items() if name.endswith(("_from", "_start")) and isinstance(value, int)
    }


def _mappings(values: Mapping[str, Any], path: _Path = ()) -> Iterator[tuple[_Path, Mapping[str, Any]]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield (*path, key), value
            yield from _mappings(value, (*path, key))
