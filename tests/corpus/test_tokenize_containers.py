"""`vocable tokenize` of tar and parquet files."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.corpus.corpora import make_parquet, make_tar, samples_of, tokenize
from tests.models import ready
from vocable.audio import Audio
from vocable.corpus.token_corpus import TokenCorpus
from vocable.files import sha256


def test_samples_of_a_tar_file(corpus: Path, tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", samples_of(corpus))
    done = tokenize([archive], tmp_path / "out", shard_hours=0.0005)
    assert (done.recordings, done.failed) == (4, 4)
    assert done.shards > 2
    found = TokenCorpus.open(tmp_path / "out")
    check_rows_of = {row.id: number for number, row in enumerate(found.rows())}
    prefix = f"{tmp_path.name}/a.tar/x"
    assert list(check_rows_of) == [f"{prefix}/{key}" for key in (0, 1, 5, 6)]
    for key in (0, 1, 5, 6):
        number = check_rows_of[f"{prefix}/{key}"]
        clip = Audio.read(corpus / f"clips/{key}.flac")
        assert np.array_equal(found.ids(number), ready("spectral").encode(clip).ids[0].numpy())
        assert found.row(number).audio == sha256(corpus / f"clips/{key}.flac")
    assert found.row(0).text == "héllo"
    row = found.row(1)
    assert (row.text, row.speaker, row.split, row.extra) == ("t", "ann", "dev", {"age": 3})
    reasons = {row.id.removeprefix(prefix): row.reason for row in found.failed()}
    assert reasons.keys() == {"/2", "/3", "/4", "/0#6"}
    for key, words in (("/2", "no audio file"), ("/3", "no JSON"), ("/4", "truncated|cannot be read|decoder"),
                       ("/0#6", "stands twice")):  # fmt: skip
        assert any(word in reasons[key] for word in words.split("|")), reasons[key]
        assert "/proc/" not in reasons[key]


def test_a_tar_file_that_is_cut_gives_what_it_holds_and_is_named(corpus: Path, tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", samples_of(corpus)[:4])
    data = archive.read_bytes()
    archive.write_bytes(data[: data.index(b"x/1.flac") + 2_000])
    (tmp_path / "b.tar").write_bytes(b"no tar" * 500)
    done = tokenize([archive, tmp_path / "b.tar"], tmp_path / "out")
    assert (done.recordings, done.failed) == (1, 2)
    reasons = [row.reason for row in TokenCorpus.open(tmp_path / "out").failed()]
    assert "a.tar: is truncated in x/1.flac" in reasons[0] or "a.tar: is damaged" in reasons[0]
    assert "b.tar: is no uncompressed tar file" in reasons[1]


def test_an_archive_that_is_another_one_than_planned_is_named_for_every_recording(corpus: Path, tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", [(name, data) for name, data in samples_of(corpus) if name[-5:] == ".flac"])
    out = tmp_path / "out"
    tokenize([archive], out)
    for shard in out.glob("*.shard"):
        shard.unlink()
    make_tar(archive, samples_of(corpus)[:1])
    done = tokenize([], out)
    assert done.recordings == 1
    failed = list(TokenCorpus.open(out).failed())
    assert len(failed) == done.failed == 5
    assert all("a.tar" in row.reason for row in failed)


def test_rows_of_a_parquet_file(corpus: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"audio": {"bytes": (corpus / f"clips/{number}.flac").read_bytes(), "path": f"{number}.flac"},
         "sentence": f"text {number}", "speaker_id": number, "loud": float("nan") if number else 0.5}
        for number in range(7)
    ]  # fmt: skip
    rows[2]["audio"]["bytes"] = None
    rows[4]["audio"] = None
    archive = make_parquet(tmp_path / "a.parquet", rows)
    done = tokenize([archive], tmp_path / "out", shard_hours=0.002)
    assert (done.recordings, done.failed) == (5, 2)
    assert done.shards > 2
    found = TokenCorpus.open(tmp_path / "out")
    for number, row in enumerate(found.rows()):
        original = int(row.id.rpartition("/")[2])
        assert (row.text, row.speaker) == (f"text {original}", str(original))
        assert row.extra == {"path": f"{original}.flac"} | ({} if original else {"loud": 0.5})
        clip = Audio.read(corpus / f"clips/{original}.flac")
        assert np.array_equal(found.ids(number), ready("spectral").encode(clip).ids[0].numpy())
    assert all("no bytes of audio" in row.reason for row in found.failed())
