"""Verification names what is damaged, missing or foreign; a merge keeps each recording once."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.corpus.corpora import SIZES, contents, make_clips, tokenize
from tests.models import ready
from vocable.corpus.merge import merge_corpora
from vocable.corpus.token_corpus import TokenCorpus
from vocable.corpus.verify import verify_corpus
from vocable.errors import InputError, OutputError, SpecError, TokenFileError, VocableError


@pytest.fixture
def out(tmp_path: Path) -> Path:
    make_clips(tmp_path / "in")
    tokenize([tmp_path / "in/manifest.jsonl"], tmp_path / "out")
    return tmp_path / "out"


def test_a_sound_corpus_with_its_failures_and_copies(out: Path, tmp_path: Path) -> None:
    assert verify_corpus(out).lines() == [f"{out}: 7 recordings, 0.00 h in 3 shards: sound"]
    clips = tmp_path / "in/clips"
    (clips / "8.flac").write_bytes((clips / "0.flac").read_bytes())
    (clips / "9.flac").write_bytes(b"")
    tokenize([clips], tmp_path / "more")
    found = verify_corpus(tmp_path / "more")
    found.finish()
    assert found.duplicates == 1
    assert found.lines()[0].startswith("failed: clips/9.flac: AudioError: ")
    assert found.lines()[-1].endswith("1 failed (1 AudioError), 1 copies of others (by SHA-256): sound")


def test_what_is_wrong_is_named(out: Path, tmp_path: Path) -> None:
    shards = sorted(out.glob("*.shard"))
    sound = [shard.read_bytes() for shard in shards]
    data = bytearray(sound[0])
    data[len(data) // 2] ^= 1
    shards[0].write_bytes(data)
    assert "block 0 (rows 0 to" in verify_corpus(out).problems[0]
    shards[0].write_bytes(sound[0][:-1])
    assert "delete the file and run `vocable tokenize` again" in verify_corpus(out).problems[0]
    shards[0].write_bytes(sound[1])
    assert "its recordings are not those of the plan" in verify_corpus(out).problems[0]
    shards[0].write_bytes(sound[0])
    shards[1].unlink()
    (out / "extra.shard").write_bytes(sound[0])
    found = verify_corpus(out)
    assert "1 of 3 shards are not there yet, the first is 000001.shard" in found.problems[0]
    assert "extra.shard: the plan has no such shard" in found.problems[1]
    with pytest.raises(VocableError, match=r"2 problems: .* not there yet"):
        found.finish()
    (out / "extra.shard").unlink()
    tokenize([tmp_path / "in/manifest.jsonl"], tmp_path / "other", levels=1)
    shards[1].write_bytes((tmp_path / "other/000001.shard").read_bytes())
    assert "with settings {'levels': 1}, the plan of" in verify_corpus(out).problems[0]
    with pytest.raises(InputError, match="no token corpus"):
        verify_corpus(tmp_path / "in")


def test_a_merged_corpus_has_each_recording_once(out: Path, tmp_path: Path) -> None:
    for number in (0, 1):  # another recording of the same id; and one that is known, with another text
        line = json.loads((tmp_path / "in/manifest.jsonl").read_text().splitlines()[number])
        target = tmp_path / "two/in/clips" / f"{number}.flac"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tmp_path / f"in/clips/{1 if number else 5}.flac").read_bytes())
        with (tmp_path / "two/in/m.jsonl").open("a") as file:
            file.write(json.dumps({**line, "text": "changed" if number else "text 5"}) + "\n")
    tokenize([tmp_path / "two/in/m.jsonl"], tmp_path / "two/out")
    lines: list[str] = []
    merged = merge_corpora([out, tmp_path / "two/out"], tmp_path / "merged", lines.append)
    found = TokenCorpus.open(merged)
    first = TokenCorpus.open(out)
    assert [row.id for row in found.rows()] == [*(row.id for row in first.rows()), "out/in/clips/1.flac"]
    assert found.row(len(SIZES)).text == "changed"
    for number in range(len(first)):
        assert found.row(number) == first.row(number)
        assert np.array_equal(found.ids(number), first.ids(number))
    assert lines[-1].endswith("1 of 2 recordings")
    assert not verify_corpus(merged).problems
    before = contents(merged)
    (merged / "000001.shard").unlink()
    (merged / ".000002.12345678.shard").write_bytes(b"half")
    merge_corpora([out, tmp_path / "two/out"], merged, lines.append)
    assert contents(merged) == before


def test_a_merge_that_cannot_be_is_refused(out: Path, tmp_path: Path) -> None:
    tokenize([tmp_path / "in"], tmp_path / "other", tokenizer=ready("seanet"))
    for folders, target, kind, message in (
        ([out], tmp_path / "m", InputError, "at least two corpora"),
        ([out, tmp_path / "other"], tmp_path / "m", SpecError, "its tokenizer is"),
        ([out, tmp_path / "other"], out, OutputError, "is one of the corpora"),
        ([out, out], tmp_path / "other", OutputError, "holds a corpus that `vocable tokenize` makes"),
    ):
        with pytest.raises(kind, match=message):
            merge_corpora(folders, target)
    merge_corpora([out, out], tmp_path / "m")
    (tmp_path / "other/000001.shard").unlink()
    with pytest.raises(InputError, match="1 shards are missing; finish it"):
        merge_corpora([tmp_path / "other", out], tmp_path / "m2")
    shard = out / "000000.shard"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(TokenFileError, match="block 0"):
        merge_corpora([out, out], tmp_path / "m3")
    assert not list((tmp_path / "m3").glob("*.shard"))
