"""Parquet files of ``datasets``: a column of structs ``{bytes, path}``, and columns of text and numbers beside it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import Any

from vocable.corpus.archive_sample import DAMAGED, ArchiveSample
from vocable.corpus.sources import printable_values, seconds_of_bytes
from vocable.errors import InputError, MissingDependencyError
from vocable.files import check_regular, reason_of

_ROWS = 16  # that are in memory together
_TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript", "normalized_text")
_SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")


def list_parquet(path: Path) -> Iterator[tuple[int, float, bool]]:
    """Yield for each row its row group, its estimated seconds, and False."""
    with _opened_parquet(path) as file:
        column = _audio_column(file, path)
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            sizes = [group.column(index) for index in range(group.num_columns)]
            size = sum(one.total_uncompressed_size for one in sizes if one.path_in_schema.startswith(f"{column}."))
            each = seconds_of_bytes(size, ".flac") / max(1, group.num_rows)
            yield from ((number, each, False) for _ in range(group.num_rows))


def read_parquet(path: Path, first_group: int, first: int) -> Iterator[ArchiveSample]:
    """Yield the rows from one on, which lies in a row group."""
    with _opened_parquet(path) as file:
        column = _audio_column(file, path)
        names = [name for name in file.schema_arrow.names if name == column or _is_plain(file, name)]
        before = sum(file.metadata.row_group(number).num_rows for number in range(first_group))
        groups = list(range(first_group, file.metadata.num_row_groups))
        row = before
        for batch in _converted(path, lambda: file.iter_batches(_ROWS, row_groups=groups, columns=names)):
            skipped = max(0, min(batch.num_rows, first - row))
            for number, values in enumerate(batch.slice(skipped).to_pylist(), row + skipped):
                yield _from_row(values, column, number)
            row += batch.num_rows


def _from_row(values: dict[str, Any], column: str, row: int) -> ArchiveSample:
    audio = values.pop(column) or {}
    data, name = audio.get("bytes"), audio.get("path")
    sample = ArchiveSample(f"{row:08d}", data, Path(name or "").suffix.lower())
    if not data:
        sample.data, sample.problem = None, f"row {row} has no bytes of audio; embed them, or name the files themselves"
    for targets, field_name in ((_TEXT_COLUMNS, "text"), (_SPEAKER_COLUMNS, "speaker"), (("split",), "split")):
        found = next((key for key in targets if values.get(key) is not None), None)
        if found is not None:
            setattr(sample, field_name, printable_values(str(values.pop(found))))
    if name:
        sample.extra["path"] = printable_values(name)
    kept = {key: value for key, value in values.items() if isinstance(value, str | int | float | bool)}
    sample.extra |= printable_values({key: one for key, one in kept.items() if isinstance(one, str) or isfinite(one)})
    return sample


def _is_plain(file: Any, name: str) -> bool:
    types = _pyarrow().types
    kind = file.schema_arrow.field(name).type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_integer(kind)
                or types.is_floating(kind) or types.is_boolean(kind))  # fmt: skip


def _audio_column(file: Any, path: Path) -> str:
    """Return the column of structs with bytes; the one named ``audio`` if there are several."""
    types = _pyarrow().types
    found = [
        one.name for one in file.schema_arrow
        if types.is_struct(one.type) and "bytes" in {one.type.field(index).name for index in range(one.type.num_fields)}
    ]  # fmt: skip
    if not found:
        raise InputError(f"{path}: no column is a struct {{bytes, path}}, as `datasets` writes audio; {DAMAGED}")
    return "audio" if "audio" in found else str(found[0])


@contextmanager
def _opened_parquet(path: Path) -> Iterator[Any]:
    parquet = _pyarrow().parquet
    file = None
    try:
        check_regular(path)
        file = parquet.ParquetFile(path, pre_buffer=False)
        yield file
    except (OSError, ValueError, _pyarrow().ArrowException) as error:
        raise InputError(f"{path}: is damaged or no Parquet file ({reason_of(error)}); {DAMAGED}") from error
    finally:
        if file is not None:
            with suppress(Exception):
                file.close()


def _converted(path: Path, make: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Yield the items of an iterator of pyarrow; what it raises becomes an InputError."""
    try:
        yield from make()
    except (OSError, ValueError, _pyarrow().ArrowException) as error:
        raise InputError(f"{path}: is damaged ({reason_of(error)}); {DAMAGED}") from error


def _pyarrow() -> ModuleType:
    try:
        import pyarrow
        import pyarrow.parquet
        import pyarrow.types
    except ImportError as error:
        raise MissingDependencyError(
            "Parquet files need pyarrow; install it with: pip install 'vocable[corpus]'"
        ) from error
    return pyarrow
