"""Token corpora go to other toolkits, whose own libraries read them, and come from them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.corpus.test_statistics import write_corpus
from tests.needed import needed
from vocable.cli.main import app
from vocable.corpus.export import EXPORT_FORMATS, export_corpus
from vocable.corpus.imports import import_tokens
from vocable.corpus.token_corpus import TokenCorpus
from vocable.errors import ConfigError, InputError, OutputError, VocableError
from vocable.tokens import TokenSpec

_SPEC = TokenSpec(sample_rate=24_000, hop=320, codebook_size=1024, num_codebooks=2)
_IDS = np.arange(20).reshape(2, 10)
_OPEN_FILES = pytest.mark.filterwarnings(  # which webdataset and lhotse leave to the garbage collector
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def corpus(tmp_path: Path) -> TokenCorpus:
    write_corpus(tmp_path / "corpus")
    return TokenCorpus.open(tmp_path / "corpus")


def _check(corpus: TokenCorpus, rows: list[dict[str, Any]]) -> None:
    assert len(rows) == len(corpus)
    for index, row in enumerate(rows):
        known = corpus.row(index)
        assert (row["id"], row["text"], row["speaker"], row["split"]) == (
            known.id, known.text, known.speaker, known.split)  # fmt: skip
        np.testing.assert_array_equal(np.array(row["ids"]), corpus.ids(index))


def test_parquet(corpus: TokenCorpus, tmp_path: Path) -> None:
    pq = needed("pyarrow.parquet")
    export_corpus(corpus, tmp_path / "out", "parquet")
    table = pq.read_table(tmp_path / "out")
    _check(corpus, table.to_pylist())
    assert json.loads(table.schema.metadata[b"vocable"])["tokenizer"] == corpus.digest
    assert table["voice"].to_pylist() == [[0.0, 0.0]] * 5


@pytest.mark.slow
def test_datasets(corpus: TokenCorpus, tmp_path: Path) -> None:
    datasets = needed("datasets")
    export_corpus(corpus, tmp_path / "out", "datasets")
    _check(corpus, list(datasets.load_from_disk(str(tmp_path / "out"))))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "out"]  # no cache is left


@pytest.mark.slow
@_OPEN_FILES
def test_webdataset(corpus: TokenCorpus, tmp_path: Path) -> None:
    webdataset = needed("webdataset")
    export_corpus(corpus, tmp_path / "out", "webdataset")
    tars = sorted(str(path) for path in (tmp_path / "out").glob("*.tar"))
    rows = list(webdataset.WebDataset(tars, shardshuffle=False).decode())
    _check(corpus, [row["json"] | {"ids": row["npy"]} for row in rows])
    assert rows[0]["voice.npy"].tolist() == [0.0, 0.0]


@pytest.mark.slow
@_OPEN_FILES
def test_lhotse(corpus: TokenCorpus, tmp_path: Path) -> None:
    lhotse = needed("lhotse")
    export_corpus(corpus, tmp_path / "out", "lhotse")
    cuts = list(lhotse.CutSet.from_shar(in_dir=str(tmp_path / "out" / "shar")))
    rows = [
        {"id": cut.custom["source_id"], "text": cut.supervisions[0].text, "speaker": cut.supervisions[0].speaker,
         "split": cut.custom.get("split"), "ids": cut.load_codes()}
        for cut in cuts
    ]  # fmt: skip
    _check(corpus, rows)
    assert cuts[2].duration == pytest.approx(1.5)
    assert (cuts[2].codes.frame_shift, cuts[2].codes.temporal_dim) == (0.02, 1)


@pytest.mark.parametrize("kind", EXPORT_FORMATS)
def test_what_exists_is_not_written_over(corpus: TokenCorpus, kind: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        export_corpus(corpus, tmp_path / "out", kind)


def test_another_format_is_refused(corpus: TokenCorpus, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose one of parquet, datasets"):
        export_corpus(corpus, tmp_path / "out", "arrow")


def test_a_damaged_corpus_leaves_nothing_half_written(corpus: TokenCorpus, tmp_path: Path) -> None:
    shard = tmp_path / "corpus" / "b.shard"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    result = CliRunner().invoke(app, _export_arguments(tmp_path))
    assert result.exit_code != 0
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def _export_arguments(folder: Path) -> list[str]:
    return ["corpus", "export", str(folder / "corpus"), "--to", "parquet", "-o", str(folder / "out")]


def _import(path: Path, spec: TokenSpec = _SPEC) -> TokenCorpus:
    _, failed = import_tokens([path], path.parent / "tokens", spec, "encodec")
    assert not failed
    return TokenCorpus.open(path.parent / "tokens")


@pytest.mark.parametrize("ids", [_IDS, _IDS[None], _IDS[None, None], _IDS.astype(np.uint16), np.asfortranarray(_IDS)])
def test_arrays_are_imported(ids: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", ids)
    corpus = _import(tmp_path / "clip.npy")
    np.testing.assert_array_equal(corpus.ids(0), _IDS)
    assert (corpus.row(0).id, corpus.digest, corpus.spec) == ("clip.npy", "imported:encodec", _SPEC)
    assert corpus.samples.tolist() == [3_200]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [("a.json", "[[1, 2], [3, 4]]", "a.json"), ("a.json", '{"utt1": [[1, 2], [3, 4]]}', "utt1"),
     ("a.json", '{"id": "x", "codes": [[1, 2], [3, 4]]}', "x"),
     ("a.jsonl", '{"key": "k", "code": [[1, 2], [3, 4]], "text": "hi", "take": 3}\n\n', "k"),
     ("part_1_of_1", '{"utt": "u", "tokens": [[1, 2], [3, 4]]}\n', "u")],
)  # fmt: skip
def test_json_is_imported(name: str, text: str, found: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    corpus = _import(tmp_path / name)
    assert corpus.row(0).id == found
    assert corpus.ids(0).tolist() == [[1, 2], [3, 4]]
    if found == "k":
        assert (corpus.row(0).text, corpus.row(0).extra) == ("hi", {"take": 3})


@pytest.mark.parametrize(
    ("ids", "words"),
    [([[1, 2]], "shape"), ([1, 2], "shape"), ([[1], [2, 3]], "different lengths"), ([[1], [1024]], "1024 entries"),
     ([[-1], [0]], r"\[-1, 0\]"), ([[0.5], [1.0]], "float64"), ([[], []], "shape"), ([["a"], ["b"]], "integers"),
     ("text", "shape"), ([[[1], [2]], [[1], [2]]], "shape"), (None, "shape"), ([[True], [False]], "bool"),
     ([[10**30], [1]], "must be integers")],
)  # fmt: skip
def test_ids_that_do_not_fit_are_kept_as_failures(ids: Any, words: str, tmp_path: Path) -> None:
    lines = [
        {"key": "good", "code": _IDS.tolist()},
        {"key": "bad", "code": ids},
        {"key": "good", "code": _IDS.tolist()},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    count, failed = import_tokens([tmp_path / "a.jsonl"], tmp_path / "tokens", _SPEC, "dac")
    assert (count, [row.id for row in failed]) == (1, ["bad", "good"])
    with pytest.raises(VocableError, match=words):
        raise InputError(failed[0].reason)
    assert "an earlier row has this id" in failed[1].reason
    assert [row.id for row in TokenCorpus.open(tmp_path / "tokens").failed()] == ["bad", "good"]


@pytest.mark.parametrize("suffix", [".pt", ".pkl", ".npz", ".dac", ".PT"])
def test_pickles_are_refused_and_the_way_out_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"utt2speech_token{suffix}"
    path.write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=r"can run code .* numpy\.save"):
        import_tokens([path], tmp_path / "tokens", _SPEC, "cosyvoice")
    assert not (tmp_path / "tokens").exists()


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="no array of integers"):
        import_tokens([tmp_path / "a.npy"], tmp_path / "tokens", _SPEC, "dac")


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "line 1: this is no JSON"), ('{"key": "a"}', "has no ids under any of code, codes"),
     ('{"code": [1]}', "has no id under any of key, id"), ("[1, 2]", "no JSON object")],
)  # fmt: skip
def test_lines_that_cannot_be_read_are_named(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(InputError, match=words):
        import_tokens([tmp_path / "a.jsonl"], tmp_path / "tokens", _SPEC, "s3")
    assert not (tmp_path / "tokens").exists()
    good = json.dumps({"key": "good", "code": _IDS.tolist()})
    (tmp_path / "a.jsonl").write_text(f"{text}\n{good}\n")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    count, failed = import_tokens([tmp_path / "cut.npy", tmp_path / "a.jsonl"], tmp_path / "tokens", _SPEC, "s3")
    assert (count, [row.id for row in failed]) == (1, ["cut.npy", "a.jsonl:1"])  # what can be read is there


def test_the_commands(corpus: TokenCorpus, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, _export_arguments(tmp_path))
    assert result.exit_code == 0, result.output
    (tmp_path / "a.jsonl").write_text('{"key": "a", "code": [17, 4095]}\n{"key": "b", "code": [4096]}\n')
    arguments = ["corpus", "import", str(tmp_path / "a.jsonl"), "-o", str(tmp_path / "s3"), "--tokenizer", "s3_v1",
                 "--sample-rate", "16000", "--hop", "640", "--codebook-size", "4096"]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "1 of 2 rows failed" in str(result.exception)
    assert TokenCorpus.open(tmp_path / "s3").ids(0).tolist() == [[17, 4095]]
    assert len(corpus) == 5
