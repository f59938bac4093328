"""Export of token corpora to the formats of other toolkits; their own libraries write them.

| format | written | read with |
|---|---|---|
| ``parquet`` | ``part-00000.parquet`` for each token shard | pyarrow, pandas, polars, ``datasets.load_dataset`` |
| ``datasets`` | a folder of Arrow files | ``datasets.load_from_disk`` |
| ``webdataset`` | ``part-000000.tar`` with ``KEY.npy`` and ``KEY.json`` | ``webdataset.WebDataset`` |
| ``lhotse`` | a folder ``shar`` of cuts with a field ``codes`` | ``lhotse.CutSet.from_shar("FOLDER/shar")`` |

Ids are (Q, N), level by level. Other columns are those of a row: ``id``, ``audio``, ``text``, ``speaker``, ``split``,
``extra`` (JSON), ``duration`` in seconds, and ``voice`` where the tokenizer keeps one. The file
``.vocable.json``, and the metadata of Parquet, have the shards' header: specification, tokenizer and settings.
"""

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from vocable.corpus.shard import TokenShard
from vocable.corpus.token_corpus import TokenCorpus
from vocable.errors import ConfigError, OutputError
from vocable.files import exists, make_folder, write_folder, write_json
from vocable.plugins import check_installed
from vocable.schema import to_json

_ROW_GROUP = 1024  # rows that Parquet, or an Arrow file, writes at once
_SHARD_ROWS = 10_000  # of a tar
_HEADER_FILE = ".vocable.json"  # hidden: the libraries take every other file of a folder for data


def export_corpus(corpus: TokenCorpus, folder: str | os.PathLike[str], kind: str) -> None:
    """Write a token corpus in the format of another toolkit, completely or not at all. Memory does not grow with it.

    Args:
        corpus: Corpus of tokens; recordings that failed are left out.
        folder: Folder to write, which must not exist.
        kind: ``parquet``, ``datasets``, ``webdataset`` or ``lhotse``.

    Raises:
        ConfigError: If there is no such format.
        MissingDependencyError: If the library of the format is not installed.
        OutputError: If the folder exists, or cannot be written.
        TokenFileError: If a shard is damaged.
    """
    target = Path(folder)
    if kind not in _WRITERS:
        raise ConfigError(f"no format is named {kind!r}; choose one of {', '.join(EXPORT_FORMATS)}")
    packages, write = _WRITERS[kind]
    check_installed(f"the format {kind}", packages, "corpus")
    if exists(target):
        raise OutputError(f"{target}: exists already; name a folder that does not")

    def put(hidden: Path) -> None:
        write(corpus, hidden)
        write_json(hidden / _HEADER_FILE, _header(corpus))

    write_folder(target, put)


def _header(corpus: TokenCorpus) -> dict[str, Any]:
    values: dict[str, Any] = to_json(replace(corpus.shard(0).header, blocks=()))
    return {name: value for name, value in values.items() if name != "blocks"}


def _rows(corpus: TokenCorpus, shard: TokenShard) -> Iterator[dict[str, Any]]:
    """Yield the columns of each row of a shard; ``ids`` as an array of shape (Q, N)."""
    for index in range(len(shard)):
        row, voice = shard.row(index), shard.voice(index)
        columns = {
            "id": row.id, "audio": row.audio, "text": row.text, "speaker": row.speaker, "split": row.split,
            "extra": json.dumps(dict(row.extra), ensure_ascii=False) if row.extra else None,
            "duration": float(shard.samples[index]) / corpus.spec.sample_rate, "ids": shard.ids(index),
        }  # fmt: skip
        yield columns if voice is None else columns | {"voice": voice}


def _all_rows(corpus: TokenCorpus) -> Iterator[dict[str, Any]]:
    return (row for shard in corpus.shards() for row in _rows(corpus, shard))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}


def _write_parquet(corpus: TokenCorpus, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [(name, pa.string()) for name in ("id", "audio", "text", "speaker", "split", "extra")]
    fields += [("duration", pa.float64()), ("ids", pa.list_(pa.list_(pa.int32())))]
    if corpus.shard(0).header.voice_width:
        fields.append(("voice", pa.list_(pa.float32())))
    schema = pa.schema(fields, metadata={"vocable": json.dumps(_header(corpus))})
    for number, shard in enumerate(corpus.shards()):
        with pq.ParquetWriter(folder / f"part-{number:05d}.parquet", schema) as writer:
            for group in _groups(map(_plain, _rows(corpus, shard))):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _write_datasets(corpus: TokenCorpus, folder: Path) -> None:
    import datasets
    from datasets import Dataset, Features, List, Value

    features = {name: Value("string") for name in ("id", "audio", "text", "speaker", "split", "extra")}
    features |= {"duration": Value("float64"), "ids": List(List(Value("int32")))}
    if corpus.shard(0).header.voice_width:
        features["voice"] = List(Value("float32"))
    had_bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".datasets-") as cache:  # beside: it holds all rows
            made = Dataset.from_generator(
                lambda: map(_plain, _all_rows(corpus)), features=Features(features), cache_dir=cache,
                writer_batch_size=_ROW_GROUP, fingerprint=f"vocable-{corpus.digest[-16:]}-{len(corpus)}",
            )  # fmt: skip
            made.save_to_disk(str(folder))
    finally:
        if had_bars:
            datasets.enable_progress_bars()


def _write_webdataset(corpus: TokenCorpus, folder: Path) -> None:
    from webdataset import ShardWriter

    with ShardWriter(str(folder / "part-%06d.tar"), maxcount=_SHARD_ROWS, verbose=0, mtime=0) as writer:
        for number, row in enumerate(_all_rows(corpus)):
            arrays = {name: row.pop(name) for name in ("ids", "voice") if name in row}
            content = {"__key__": f"{number:09d}", "json": json.dumps(row, ensure_ascii=False).encode()}
            content |= {"npy" if name == "ids" else "voice.npy": _npy(array) for name, array in arrays.items()}
            writer.write(content)


def _write_lhotse(corpus: TokenCorpus, folder: Path) -> None:
    from lhotse import MonoCut, SupervisionSegment
    from lhotse.shar import SharWriter

    hop, rate = corpus.spec.hop, corpus.spec.sample_rate
    if hop is None:
        raise ConfigError("lhotse's arrays follow the clock, these tokens do not; choose another format")
    fields = {"codes": "numpy"} | ({"voice": "numpy"} if corpus.shard(0).header.voice_width else {})
    make_folder(folder / "shar")  # of its own: lhotse takes every file beside for a field
    with SharWriter(str(folder / "shar"), fields=fields, shard_size=_SHARD_ROWS) as writer:
        for number, row in enumerate(_all_rows(corpus)):
            name, ids = f"{number:09d}", row.pop("ids")
            voice = row.pop("voice", None)
            place = {"id": name, "start": 0, "channel": 0, "duration": row["duration"]}
            spoken = SupervisionSegment(**place, recording_id=name, text=row["text"], speaker=row["speaker"])
            cut = MonoCut(**place, supervisions=[spoken])
            cut.custom = {key: row[key] for key in ("id", "audio", "split", "extra") if row[key] is not None}
            cut.custom["source_id"] = cut.custom.pop("id")
            cut = cut.attach_tensor("codes", ids, frame_shift=hop / rate, temporal_dim=1)
            writer.write(cut if voice is None else cut.attach_tensor("voice", voice))


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == _ROW_GROUP:
            yield group
            group = []
    if group:
        yield group


_WRITERS: MappingProxyType[str, tuple[tuple[str, ...], Callable[[TokenCorpus, Path], None]]] = MappingProxyType({
    "parquet": (("pyarrow",), _write_parquet),
    "datasets": (("datasets",), _write_datasets),
    "webdataset": (("webdataset",), _write_webdataset),
    "lhotse": (("lhotse",), _write_lhotse),
})  # fmt: skip
EXPORT_FORMATS = tuple(_WRITERS)
"""Names of the formats."""
