"""Import of tokens that other toolkits made: NumPy arrays and JSON become a corpus of token shards.

* ``.npy``: integers of shape (N,) or (Q, N), with axes of size 1 before them or not, as of EnCodec and DAC; its
  path is the id.
* ``.json``: the same as lists, or an object of lists by id.
* ``.jsonl``, or no suffix: an object a line, as of S3Tokenizer's command. The id is under ``key``, ``id`` or ``utt``,
  the ids are under ``code``, ``codes``, ``tokens`` or ``ids``. ``text``, ``speaker`` and ``split`` are kept; other keys
  go to ``extra``.

Files that hold pickles (``.pt``, ``.pkl``, ``.npz``, DAC's ``.dac``) can run code when they are read, and are refused.
"""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray

from vocable.corpus.shard_format import FailedRow, ShardHeader, ShardRow
from vocable.corpus.shard_writer import write_shard
from vocable.errors import ConfigError, InputError, OutputError, VocableError
from vocable.file_search import find_rooted
from vocable.files import exists, open_regular, read_file, write_folder
from vocable.schema import parse_object
from vocable.tokens import Tokens, TokenSpec

_SHARD_ROWS = 4096
_SUFFIXES = frozenset({".npy", ".json", ".jsonl"})
_NAMES, _CODES = ("key", "id", "utt"), ("code", "codes", "tokens", "ids")
_PICKLES = MappingProxyType({
    ".pt": "torch.load", ".pth": "torch.load", ".pkl": "pickle.load", ".npz": "numpy.load", ".dac": "numpy.load",
})  # fmt: skip
_Row = tuple[ShardRow, Any]


def import_tokens(
    inputs: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str], spec: TokenSpec, tokenizer: str
) -> tuple[int, list[FailedRow]]:
    """Write tokens of another toolkit as token shards, completely or not at all.

    Files and lines that cannot be read, and rows whose ids do not fit, are kept as failures, with their reasons.

    Args:
        inputs: Files, folders and glob patterns; see the top of this module.
        folder: Folder to write, which must not exist.
        spec: Specification of the tokens: they have its levels, and ids in [0, K).
        tokenizer: Name of the tokenizer that made them, such as ``encodec_24khz``. Vocable cannot decode them.

    Returns:
        Number of rows, and the rows that failed.

    Raises:
        InputError: If there is no file, a file holds a pickle, or no row can be used.
        OutputError: If the folder exists, or cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from vocable.corpus.token_corpus import TokenCorpus
        >>> spec = TokenSpec(sample_rate=16_000, hop=640, codebook_size=4096)
        >>> with TemporaryDirectory() as root:
        ...     _ = Path(f"{root}/s3.jsonl").write_text('{"key": "a", "code": [17, 4095]}')
        ...     _ = import_tokens([f"{root}/s3.jsonl"], f"{root}/tokens", spec, "s3_v1")
        ...     TokenCorpus.open(f"{root}/tokens").ids(0).tolist()
        [[17, 4095]]
    """
    target = Path(folder)
    if exists(target):
        raise OutputError(f"{target}: exists already; name a folder that does not")
    if not tokenizer:
        raise ConfigError("the tokenizer has no name; pass one, such as encodec_24khz")
    found = find_rooted(inputs, _SUFFIXES, "file of tokens")
    for path, _ in found:
        _refuse_pickle(path)
    header = ShardHeader(
        sample_rate=spec.sample_rate, hop=spec.hop, codebook_size=spec.codebook_size,
        num_codebooks=spec.num_codebooks, tokenizer=f"imported:{tokenizer}", model=tokenizer,
    )  # fmt: skip
    failed: list[FailedRow] = []
    count = 0

    def put(hidden: Path) -> None:
        nonlocal count
        names: set[str] = set()
        rows: list[tuple[ShardRow, Tokens]] = []
        shards = 0
        for row, values in (pair for path, root in found for pair in _read(path, root)):
            try:
                tokens = _tokens(_array(values, spec, row.id), header)
                _add_name(row.id, names)
                rows.append((row, tokens))
            except VocableError as error:
                failed.append(FailedRow(**vars(row), kind=type(error).__name__, reason=str(error)))
            if len(rows) == _SHARD_ROWS:
                write_shard(hidden / f"part-{shards:05d}.shard", rows, header)
                count, shards, rows = count + len(rows), shards + 1, []
        count += len(rows)
        if not count and failed:
            raise InputError(failed[0].reason + (f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""))
        write_shard(hidden / f"part-{shards:05d}.shard", rows, header, failed)

    write_folder(target, put)
    return count, failed


def _add_name(name: str, names: set[str]) -> None:
    if name in names:
        raise InputError(f"{name}: an earlier row has this id, too; ids are unique")
    names.add(name)


def _refuse_pickle(path: Path) -> None:
    if (suffix := path.suffix.lower()) in _PICKLES:
        raise InputError(
            f"{path}: a {suffix} file can run code when it is read; convert it first: {_PICKLES[suffix]} it where you "
            "trust it, and numpy.save each array, or json.dump lists by id"
        )


def _read(path: Path, root: Path) -> Iterator[_Row]:
    """Yield metadata and ids, as they are, of each row of a file; an error in place of ids that cannot be read."""
    suffix, name = path.suffix.lower(), str(path.relative_to(root)) if path.is_relative_to(root) else path.name
    try:
        if suffix == ".npy":
            yield ShardRow(id=name), _load_array(path)
        elif suffix == ".json":
            yield from _read_json(path, name)
        else:
            yield from _read_lines(path)
    except VocableError as error:
        yield ShardRow(id=name), error


def _load_array(path: Path) -> Any:
    try:
        with open_regular(path) as file:
            return np.load(io.BytesIO(file.read()), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: is no array of integers ({' '.join(str(error).split())[:120]})") from error


def _read_json(path: Path, name: str) -> Iterator[_Row]:
    text = read_file(path, InputError, "copy it again")
    if text.lstrip().startswith(b"["):
        values = parse_object(b'{"ids": %b}' % text, str(path), InputError)
        yield ShardRow(id=name), values["ids"]
        return
    values = parse_object(text, str(path), InputError)
    if any(key in values for key in _CODES):
        yield _row(values, str(path), name)
    else:
        yield from ((ShardRow(id=key), ids) for key, ids in values.items())


def _read_lines(path: Path) -> Iterator[_Row]:
    try:
        with open_regular(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    where = f"{path}, line {number}"
                    try:
                        yield _row(parse_object(line, where, InputError), where, None)
                    except VocableError as error:
                        yield ShardRow(id=f"{path.name}:{number}"), error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _row(values: dict[str, Any], where: str, name: str | None) -> _Row:
    """Return metadata and ids of a JSON object."""
    codes = next((key for key in _CODES if key in values), None)
    named = next((key for key in _NAMES if key in values), None)
    if codes is None or (named is None and name is None):
        raise InputError(
            f"{where}: has no {'ids' if codes is None else 'id'} under any of "
            f"{', '.join(_CODES if codes is None else _NAMES)}; it has {', '.join(values)[:80]}"
        )
    rest = {key: value for key, value in values.items() if key not in (codes, named)}
    known = {key: rest.pop(key) for key in ("text", "speaker", "split") if isinstance(rest.get(key), str)}
    return ShardRow(id=str(values[named]) if named else str(name), **known, extra=rest), values[codes]


def _array(values: Any, spec: TokenSpec, name: str) -> Int64[ndarray, "Q N"]:
    """Return ids of shape (Q, N), checked; raise the error that stands in their place."""
    if isinstance(values, VocableError):
        raise values
    try:
        ids = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{name}: the levels have different lengths; each level has as many ids") from error
    shape = ids.shape
    while ids.ndim > 2 and ids.shape[0] == 1:  # batches and chunks of one
        ids = ids[0]
    ids = ids[None] if ids.ndim == 1 else ids
    if ids.ndim != 2 or ids.shape[0] != spec.num_codebooks or not ids.shape[1]:
        raise InputError(
            f"{name}: ids have shape {shape}; expected ({spec.num_codebooks}, N), a row for each level"
            + (", or (N,)" if spec.num_codebooks == 1 else "")
        )
    if ids.dtype.kind not in "iu":
        raise InputError(f"{name}: ids are {ids.dtype}; they must be integers")
    if int(ids.min()) < 0 or int(ids.max()) >= spec.codebook_size:
        raise InputError(
            f"{name}: ids lie in [{int(ids.min())}, {int(ids.max())}], the codebook has {spec.codebook_size} entries"
        )
    return ids.astype(np.int64)


def _tokens(ids: Int64[ndarray, "Q N"], header: ShardHeader) -> Tokens:
    frames = ids.shape[1]
    return Tokens(
        ids=torch.from_numpy(np.ascontiguousarray(ids))[None], lengths=torch.tensor([frames]), spec=header.spec,
        samples=torch.tensor([frames * (header.hop or 1)]), tokenizer=header.tokenizer,
    )  # fmt: skip
