"""Merging of token corpora into one, in which each recording stands once."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vocable.corpus.shard import TokenShard
from vocable.corpus.shard_format import SUFFIX, FailedRow
from vocable.corpus.shard_writer import write_shard
from vocable.corpus.token_corpus import TokenCorpus
from vocable.corpus.work_plan import read_plan
from vocable.errors import InputError, OutputError
from vocable.files import exists, folder_exists, make_folder, remove_leftovers
from vocable.locks import lock_folder
from vocable.write_rules import write_rules

_StrPath = str | os.PathLike[str]
_Key = tuple[str | None, str | None]
"""SHA-256 of a recording, and its text: the tokens of some tokenizers depend on it."""


def merge_corpora(folders: Sequence[_StrPath], out: _StrPath, say: Callable[[str], None] = print) -> Path:
    """Merge corpora of one tokenizer and the same settings. A recording that several have, with one text, stands once.

    The shards of the first corpus come first. A recording whose id another one has gets the name of its corpus before
    it. A merge that was killed goes on when it is started again.

    Args:
        folders: Folders of finished corpora.
        out: Folder of the merged corpus; created if missing.
        say: Function that gets a line for each shard.

    Raises:
        InputError: If there are fewer than two corpora, or one is not finished.
        SpecError: If they are of different tokenizers or settings.
        TokenFileError: If a shard is damaged.
        OutputError: If the folder cannot be written, or holds anything else.
    """
    target = Path(out)
    if len(folders) < 2:
        raise InputError("merging takes at least two corpora; name their folders")
    for folder in map(Path, folders):
        plan = read_plan(folder) if folder_exists(folder) else None
        missing = [] if plan is None else [unit.name for unit in plan.units if not exists(folder / unit.name)]
        if missing:
            raise InputError(f"{folder}: {len(missing)} shards are missing; finish it before it is merged")
        if target.resolve() == folder.resolve():
            raise OutputError(f"{target}: is one of the corpora; name another folder")
    corpus = TokenCorpus.open(*folders)
    make_folder(target)
    if next(target.glob("plan-*.jsonl"), None) is not None:
        raise OutputError(f"{target}: holds a corpus that `vocable tokenize` makes; name another folder")
    seen: set[_Key] = set()
    ids: set[str] = set()
    with lock_folder(target, "merging"), write_rules(corpus.paths):
        remove_leftovers(target, f"[0-9]*{SUFFIX}")
        number = 0
        for shard in corpus.shards():
            rows, failed = _new_rows(shard, seen, ids)
            if rows or failed:
                path = target / f"{number:06d}{SUFFIX}"
                number += 1
                write_shard(path, rows, replace(shard.header, blocks=()), failed)
                say(f"{shard.path} → {path}: {len(rows)} of {len(shard)} recordings")
    return target


def _new_rows(shard: TokenShard, seen: set[_Key], ids: set[str]) -> tuple[list[Any], list[FailedRow]]:
    """Return the rows of a shard that no shard before had."""
    rows = []
    for index, row in enumerate(shard.rows()):
        key = (row.audio, row.text)
        if row.audio is None or key not in seen:
            seen.add(key)
            rows.append((_renamed(row, shard, ids), shard.tokens(index)))
    return rows, [_renamed(row, shard, ids) for row in shard.failed]


def _renamed(row: Any, shard: TokenShard, ids: set[str]) -> Any:
    """Return a row with an id that no other row has."""
    name, number = row.id, 2
    if name in ids:
        name = f"{shard.path.absolute().parent.name}/{row.id}"
    while name in ids:
        name, number = f"{row.id}#{number}", number + 1
    ids.add(name)
    return row if name == row.id else replace(row, id=name)
