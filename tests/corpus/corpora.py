"""Small corpora in every layout that `vocable tokenize` reads."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.models import ready
from tests.needed import needed
from vocable.corpus.tokenize import Tokenized, tokenize_corpus
from vocable.systems.registry import load
from vocable.testing import speechlike

SIZES = (2_000, 9_000, 400, 30_000, 5_000, 2_000, 12_345)


def make_clips(folder: Path, sizes: Sequence[int] = SIZES) -> list[dict[str, Any]]:
    """Write clips and a manifest; return its lines."""
    (folder / "clips").mkdir(parents=True)
    lines = []
    for number, size in enumerate(sizes):
        speechlike(size, 16_000, seed=number).write(folder / f"clips/{number}.flac")
        lines.append({
            "audio_path": f"clips/{number}.flac", "text": f"text {number}", "speaker": f"s{number % 2}",
            "split": "train", "digit": number,
        })  # fmt: skip
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return lines


def make_tar(path: Path, files: Sequence[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def make_parquet(path: Path, rows: Sequence[Mapping[str, Any]], group: int = 3) -> Path:
    pyarrow = needed("pyarrow")
    parquet = needed("pyarrow.parquet")
    audio = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema([("audio", audio), ("sentence", pyarrow.string()), ("speaker_id", pyarrow.int64()),
                             ("loud", pyarrow.float64())])  # fmt: skip
    parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), path, row_group_size=group)
    return path


def save_codec(folder: Path) -> Path:
    if not folder.exists():
        ready("spectral").save(folder)
    return folder


def tokenize(inputs: Sequence[str | Path], out: Path, **options: Any) -> Tokenized:
    options = {"shard_hours": 0.003, "say": lambda line: None, **options}
    return tokenize_corpus(options.pop("tokenizer", ready("spectral")), inputs, out, **options)


def loader(folder: Path) -> Any:
    return partial(load, str(save_codec(folder)), "cpu")


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones among them."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))}
