"""Small corpora in every layout that `vocable tokenize` reads."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.models import ready
from tests.needed import needed
from vocable.audio import Audio
from vocable.corpus.token_corpus import TokenCorpus
from vocable.corpus.tokenize import Tokenized, tokenize_corpus
from vocable.files import sha256
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


def check_rows(found: TokenCorpus, folder: Path, count: int = len(SIZES)) -> None:
    """Each row is the recording that its id names, with the ids that it has alone."""
    codec = ready("spectral")
    assert len(found) == count
    for number, row in enumerate(found.rows()):
        path = folder / "clips" / Path(row.id).name
        assert row.audio == sha256(path)
        assert np.array_equal(found.ids(number), codec.encode(Audio.read(path)).ids[0].numpy())


def samples_of(corpus: Path) -> list[tuple[str, bytes]]:
    """Files of a WebDataset archive with everything that may be wrong with a sample."""
    audio = [(corpus / f"clips/{number}.flac").read_bytes() for number in range(7)]
    return [
        ("x/0.flac", audio[0]), ("x/0.txt", " héllo\n".encode()),
        ("x/1.flac", audio[1]), ("x/1.json", b'{"speaker": "ann", "split": "dev", "text": "t", "age": 3}'),
        ("x/2.txt", b"no audio"),
        ("x/3.flac", audio[3]), ("x/3.json", b'{"speaker": '),
        ("x/4.flac", audio[4][:300]),
        ("x/.hidden", b""),
        ("x/5.cls", b"3"), ("x/5.FLAC", audio[5]),
        ("x/0.flac", audio[6]),
        ("x/6.flac", audio[6]),
    ]  # fmt: skip
