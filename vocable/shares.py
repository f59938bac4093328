"""Shares of several sources, written after their paths: ``a.jsonl:0.7``."""

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

from vocable.errors import ConfigError
from vocable.files import exists

_SHARE = re.compile(r"(?P<path>.+):(?P<share>[0-9.eE+-]+)")


def split_share(entry: str | os.PathLike[str]) -> tuple[Path, float | None]:
    """Return the path of an entry, and its share, or None if it has none.

    Args:
        entry: Path, with ``:`` and a positive number after it or not. The name of a file that exists is a path.

    Raises:
        ConfigError: If the share is not positive and finite.

    Example:
        >>> [(str(path), share) for path, share in map(split_share, ("a.jsonl:0.7", "a.jsonl"))]
        [('a.jsonl', 0.7), ('a.jsonl', None)]
    """
    match = _SHARE.fullmatch(os.fspath(entry))
    if match is None or exists(Path(entry)):
        return Path(entry), None
    try:
        share = float(match["share"])
    except ValueError:
        return Path(entry), None
    if not (share > 0 and math.isfinite(share)):
        raise ConfigError(f"{entry}: the share {match['share']!r} must be a positive number, as in {match['path']}:0.7")
    return Path(match["path"]), share


def split_shares(entries: Sequence[str | os.PathLike[str]]) -> list[tuple[Path, float | None]]:
    """Return path and share of each entry: all of them have a share, or none.

    Raises:
        ConfigError: If some have a share and others have none.
    """
    pairs = [split_share(entry) for entry in entries]
    without = [path for path, share in pairs if share is None]
    if 0 < len(without) < len(pairs):
        raise ConfigError(f"{without[0]} has no share, but another manifest has one; write {without[0]}:SHARE")
    return pairs
