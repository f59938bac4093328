"""What a run left in its folder: its settings and its log."""

import json
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from vocable.errors import CheckpointError, ConfigError
from vocable.train.schedule import LearningRate, Weight

_Path = tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """A run's settings and log.

    Attributes:
        folder: Of the run.
        values: ``run.json``.
        rows: Lines of ``log.jsonl``; none if there is no log yet. Half a line at the end, from a kill, is left out.
    """

    folder: Path
    values: Mapping[str, Any]
    rows: list[dict[str, Any]]

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return int(self.values["train"]["steps"])

    @property
    def manifests(self) -> list[str]:
        """Paths of what the run learnt from, in order."""
        return [path for path, _ in manifests_of(self.values)]


def read_record(folder: Path) -> Record:
    """Read a run's ``run.json`` and ``log.jsonl``.

    Raises:
        CheckpointError: A file cannot be read, or is not what a run writes.
    """
    settings, log = folder / "run.json", folder / "log.jsonl"
    try:
        values = json.loads(settings.read_text(encoding="utf-8"))
        int(values["train"]["steps"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{settings}: cannot be read ({error}); is this a run's folder?") from error
    rows = []
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            float(row["step"])
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise CheckpointError(f"{log}, line {number}: is no line of a log; remove it") from error
        rows.append(row)
    return Record(folder, values, rows)


def manifests_of(values: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Path and SHA-256 of every manifest that a run learnt from; the runs in the box kept the paths alone.

    Raises:
        CheckpointError: ``data`` is not what a run writes.

    Example:
        >>> manifests_of({"data": ["a.jsonl", {"path": "b.jsonl", "sha256": "5e8f…"}]})
        [('a.jsonl', None), ('b.jsonl', '5e8f…')]
    """
    found: list[tuple[str, str | None]] = []
    entries = values.get("data", [])
    for entry in entries if isinstance(entries, list) else [entries]:
        path, digest = (entry.get("path"), entry.get("sha256")) if isinstance(entry, Mapping) else (entry, None)
        if not isinstance(path, str) or not isinstance(digest, str | None):
            raise CheckpointError(f"run.json: 'data' has {reprlib.repr(entry)}, which is no path of a manifest")
        found.append((path, digest))
    return found


def schedules(values: Mapping[str, Any]) -> dict[str, Callable[[int], float]]:
    """Every loss weight and learning rate of a run's settings, by the last part of its name.

    Args:
        values: As ``run.json`` has them. A mapping with the fields of :class:`~vocable.train.schedule.Weight` or of
            :class:`~vocable.train.schedule.LearningRate` is one, wherever it stands: no system has to be known.

    Raises:
        ConfigError: One is out of range.

    Example:
        >>> run = {"train": {"steps": 10}, "losses": {"mel": {"value": 2.0, "start": 5, "ramp": 0}, "phase": 0.5}}
        >>> [schedules(run)["mel"](step) for step in (4, 5)]
        [0.0, 2.0]
    """
    steps = int(values["train"]["steps"])
    found: dict[str, Callable[[int], float]] = {}
    for path, inner in _mappings(values):
        name = path[-1] if path[-1] not in found else ".".join(path)
        if set(inner) == _fields(Weight):
            found[name] = _checked(Weight, path, inner).at
        elif set(inner) == _fields(LearningRate):
            found[name] = partial(_checked(LearningRate, path, inner).at, steps=steps)
    return found


def beginnings(values: Mapping[str, Any]) -> dict[str, int]:
    """Steps at which something begins, by name: whole numbers of the losses whose name ends in ``_from``.

    Example:
        >>> beginnings({"losses": {"quantize_from": 1000, "phase": 0.5}})
        {'quantize_from': 1000}
    """
    losses = values.get("losses", {})
    return {name: value for name, value in losses.items() if name.endswith("_from") and isinstance(value, int)}


def _mappings(values: Mapping[str, Any], path: _Path = ()) -> Iterator[tuple[_Path, Mapping[str, Any]]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield (*path, key), value
            yield from _mappings(value, (*path, key))


def _fields(kind: type[Weight] | type[LearningRate]) -> set[str]:
    return {field.name for field in fields(kind)}


def _checked(kind: Any, path: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigError(f"schedule {'.'.join(path)} is {dict(values)}: numbers are wanted") from error
