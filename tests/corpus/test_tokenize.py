"""`vocable tokenize`: each recording once, with the tokens that it has alone, whatever happens."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.corpus.corpora import (
    SIZES,
    check_rows,
    contents,
    loader,
    make_clips,
    make_tar,
    samples_of,
    save_codec,
    tokenize,
)
from tests.disk import disk_with_room_for
from tests.models import ready
from vocable.audio import Audio
from vocable.corpus import unit_encoder
from vocable.corpus.memory import Budget
from vocable.corpus.shard import TokenShard
from vocable.corpus.token_corpus import TokenCorpus
from vocable.errors import ConfigError, InputError, OutputError, VocableError
from vocable.testing import speechlike


def test_a_row_has_the_ids_of_the_recording_alone_and_the_columns_of_the_manifest(corpus: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    done = tokenize([corpus / "manifest.jsonl"], tmp_path / "out", say=lines.append)
    assert (done.recordings, done.failed, done.missing, done.shards) == (7, 0, 0, 3)
    assert len(lines) == 4
    found = TokenCorpus.open(tmp_path / "out")
    check_rows(found, corpus)
    row = found.row(3)
    assert (row.id, row.text, row.speaker, row.split) == ("in/clips/3.flac", "text 3", "s1", "train")
    assert row.extra == {"digit": 3}
    assert found.digest == ready("spectral").digest


def test_a_folder_a_pattern_and_files_give_the_same_tokens(corpus: Path, tmp_path: Path) -> None:
    for name, inputs in {
        "folder": [corpus], "pattern": [f"{corpus}/clips/*.flac"], "files": sorted((corpus / "clips").iterdir()),
    }.items():  # fmt: skip
        tokenize(inputs, tmp_path / name)
        check_rows(TokenCorpus.open(tmp_path / name), corpus)


def test_the_same_command_again_does_nothing(corpus: Path, tmp_path: Path) -> None:
    tokenize([corpus / "manifest.jsonl"], tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    for path in before:  # a clock that goes back, or ran ahead, decides nothing
        os.utime(path, ns=(10**18 * 4, 10**18 * 4))
        before[path] = path.stat().st_mtime_ns
    for inputs in ([corpus / "manifest.jsonl"], []):
        tokenize(inputs, tmp_path / "out")
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


def test_input_may_grow_and_the_partition_stays(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lines = (corpus / "manifest.jsonl").read_text().splitlines(keepends=True)
    (corpus / "part.jsonl").write_text("".join(lines[2:5]))
    tokenize([corpus / "part.jsonl"], out)
    before = contents(out)
    (corpus / "part.jsonl").write_text("".join(lines))
    done = tokenize([corpus / "part.jsonl"], out)
    after = contents(out)
    assert done.recordings == 7
    assert {name: after[name] for name in before} == before
    assert "plan-0001.jsonl" in after
    check_rows(TokenCorpus.open(out), corpus)


def test_other_settings_and_tokenizers_are_refused_by_name(corpus: Path, tmp_path: Path) -> None:
    out, manifest = tmp_path / "out", corpus / "manifest.jsonl"
    tokenize([manifest], out)
    before = contents(out)
    other = ready("seanet")
    for options, message in (
        ({"levels": 1}, r"differs in settings \(\{'levels': 1\}, there \{\}\)"),
        ({"tokenizer": other}, rf"differs in tokenizer \('{other.digest}'"),
        ({"shard_hours": 2.0}, r"differs in shard_hours \(2\.0, there 0\.003\)"),
        ({"limit_hours": 1.0}, "differs in --limit-hours, which is given always or never"),
    ):
        with pytest.raises(OutputError, match=message):
            tokenize([manifest], out, **options)
    with pytest.raises(ConfigError, match="levels is 9"):
        tokenize([manifest], tmp_path / "other", levels=9)
    assert contents(out) == before
    assert tokenize([manifest], out, shard_hours=None).recordings == 7


def test_a_beam_is_a_setting(corpus: Path, tmp_path: Path) -> None:
    load = loader(tmp_path / "codec")
    tokenize([corpus], tmp_path / "out", tokenizer=load())
    wide = load()
    wide.beam = 2
    with pytest.raises(OutputError, match=r"differs in settings \(\{'beam': 2\}, there \{\}\)"):
        tokenize([corpus], tmp_path / "out", tokenizer=wide)
    tokenize([corpus], tmp_path / "wide", tokenizer=wide)
    found = TokenCorpus.open(tmp_path / "wide")
    assert found.tokens(0).provenance.settings == {"beam": 2}
    assert found.tokens(0) == wide.encode(Audio.read(corpus / "clips/0.flac"))


def test_a_shard_of_another_tokenizer_among_the_others_is_refused_by_name(corpus: Path, tmp_path: Path) -> None:
    tokenize([corpus / "manifest.jsonl"], tmp_path / "out")
    tokenize([corpus / "manifest.jsonl"], tmp_path / "other", tokenizer=ready("seanet"))
    (tmp_path / "out/000001.shard").write_bytes((tmp_path / "other/000001.shard").read_bytes())
    with pytest.raises(OutputError, match=r"000001\.shard: is of tokenizer"):
        tokenize([], tmp_path / "out", retry_failed=True)


def test_failed_recordings_are_kept_with_their_reason_and_tried_again_on_request(corpus: Path, tmp_path: Path) -> None:
    out, manifest = tmp_path / "out", corpus / "manifest.jsonl"
    sound = (corpus / "clips/4.flac").read_bytes()
    (corpus / "clips/4.flac").write_bytes(sound[:500])
    (corpus / "clips/6.flac").rename(corpus / "clips/6.away")
    done = tokenize([manifest], out)
    assert (done.recordings, done.failed) == (5, 2)
    with pytest.raises(VocableError, match=r"2 of 7 recordings failed; the others are done"):
        done.finish()
    failed = {row.id: row for row in TokenCorpus.open(out).failed()}
    assert failed.keys() == {"in/clips/4.flac", "in/clips/6.flac"}
    assert {row.kind for row in failed.values()} == {"AudioError"}
    assert failed["in/clips/4.flac"].text == "text 4"
    assert not failed["in/clips/6.flac"].reason.startswith("/")
    (corpus / "clips/4.flac").write_bytes(sound)
    (corpus / "clips/6.away").rename(corpus / "clips/6.flac")
    before = contents(out)
    assert tokenize([manifest], out).failed == 2
    assert contents(out) == before
    assert tokenize([manifest], out, retry_failed=True).failed == 0
    tokenize([manifest], tmp_path / "whole")
    for shard in (tmp_path / "whole").glob("*.shard"):  # the plan estimates the length of a file that is missing
        assert (out / shard.name).read_bytes() == shard.read_bytes()
    assert not [name for name in contents(out) if name.startswith(".")]


def test_recordings_named_twice_are_one_and_two_texts_are_named(corpus: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text().splitlines()]
    more = [*lines, lines[2], {**lines[3], "text": "something else"}, {**lines[1], "text": "\ud800"}]
    (corpus / "more.jsonl").write_text("".join(json.dumps(line) + "\n" for line in more))
    done = tokenize([corpus / "more.jsonl", corpus], tmp_path / "out")
    assert (done.recordings, done.failed) == (7, 1)
    (failed,) = TokenCorpus.open(tmp_path / "out").failed()
    assert "is named twice, with two texts" in failed.reason
    assert failed.id == "in/clips/3.flac#2"
    (corpus / "surrogate.jsonl").write_text(json.dumps({**lines[1], "text": "a\ud800"}) + "\n")
    tokenize([corpus / "surrogate.jsonl"], tmp_path / "surrogate")
    (failed,) = TokenCorpus.open(tmp_path / "surrogate").failed()
    assert "half of a surrogate pair" in failed.reason


def test_folders_of_one_name_give_different_ids(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_clips(tmp_path / name / "in", SIZES[:2])
    tokenize([tmp_path / "a/in", tmp_path / "b/in"], tmp_path / "out")
    ids = [row.id for row in TokenCorpus.open(tmp_path / "out").rows()]
    assert ids == ["in/clips/0.flac", "in/clips/1.flac", *(f"{tmp_path}/b/in/clips/{name}.flac" for name in (0, 1))]


def test_long_recordings_are_encoded_block_by_block(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_encoder, "LONG_SECONDS", 0.3)
    done = tokenize([corpus], tmp_path / "out")
    assert done.recordings == 7
    check_rows(TokenCorpus.open(tmp_path / "out"), corpus)


class _Small:
    """A tokenizer that has memory for two clips at a time, and none for the longest."""

    def __init__(self) -> None:
        self.inner, self.sizes = ready("spectral"), list[int]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def encode(self, audio: Audio, text: str | None = None) -> Any:
        if audio.samples.size == max(SIZES):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return self.inner.encode(audio, text)

    def encode_batch(self, clips: Any, texts: Any = None) -> Any:
        self.sizes.append(len(clips))
        if len(clips) > 2:
            raise MemoryError
        return self.inner.encode_batch(clips, texts)


def test_a_lack_of_memory_halves_the_group_and_names_the_recording_that_alone_is_too_large(
    corpus: Path, tmp_path: Path
) -> None:
    small = _Small()
    small.inner.__class__.encode_blocks  # noqa: B018 it streams; the stand-in does not say so
    done = tokenize([corpus], tmp_path / "out", tokenizer=small, shard_hours=1.0)
    assert small.sizes[0] == 7
    assert max(small.sizes[1:]) <= 4
    assert (done.recordings, done.failed) == (7, 0)
    small = _Small()
    small.encode_batch = lambda clips, texts=None: (_ for _ in ()).throw(MemoryError())  # type: ignore[method-assign,assignment]
    done = tokenize([corpus], tmp_path / "other", tokenizer=small, shard_hours=1.0)
    (failed,) = TokenCorpus.open(tmp_path / "other").failed()
    assert (done.recordings, failed.id) == (6, "in/clips/3.flac")
    assert "not enough memory" in failed.reason


def test_a_limit_of_memory_is_kept_or_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"max-memory is 0\.1 GB: 2 jobs with this tokenizer need at least"):
        Budget.of_processes(0.1, 2)
    done = tokenize([corpus], tmp_path / "out", max_memory=8.0)
    assert done.recordings == 7
    check_rows(TokenCorpus.open(tmp_path / "out"), corpus)
    with Budget.of_processes(2.0, 1).enforced(), pytest.raises(MemoryError):
        np.ones(1 << 30)
    np.ones(1 << 20)


def test_a_limit_of_hours_ends_the_plan_and_a_larger_one_adds_to_it(corpus: Path, tmp_path: Path) -> None:
    hours = [size / 16_000 / 3600 for size in SIZES]
    done = tokenize([corpus], tmp_path / "out", limit_hours=sum(hours[:2]) + 1e-6)
    assert done.recordings == 3
    done = tokenize([corpus], tmp_path / "out", limit_hours=sum(hours[:4]))
    assert done.recordings == 4
    assert tokenize([corpus], tmp_path / "out", limit_hours=1.0).recordings == 7
    check_rows(TokenCorpus.open(tmp_path / "out"), corpus)
    archive = make_tar(tmp_path / "a.tar", [(name, data) for name, data in samples_of(corpus) if "4" not in name])
    assert tokenize([archive], tmp_path / "tar", limit_hours=hours[0] / 2, shard_hours=0.0005).recordings == 1


def test_shares_of_several_machines_make_the_corpus_of_one(corpus: Path, tmp_path: Path) -> None:
    tokenize([corpus], tmp_path / "whole")
    done = tokenize([corpus], tmp_path / "shared", shard="2/3")
    assert done.shards == 1
    for share in ("1/3", "3/3"):
        tokenize([corpus], tmp_path / "shared", shard=share)
    assert contents(tmp_path / "shared") == contents(tmp_path / "whole")
    for share in ("0/3", "4/3", "a", "1/0"):
        with pytest.raises(ConfigError, match="write i/n with i from 1 to n"):
            tokenize([corpus], tmp_path / "shared", shard=share)


def test_leftovers_of_killed_processes_are_removed(corpus: Path, tmp_path: Path) -> None:
    tokenize([corpus], tmp_path / "whole")
    out = tmp_path / "out"
    tokenize([corpus], out)
    (out / "000001.shard").unlink()
    for name in (".000001.0123abcd.shard", ".000001.shard.claim", ".000002.shard.claim", ".plan-0000.01234567.jsonl",
                 ".plan.claim"):  # fmt: skip
        (out / name).write_bytes(b"half")
    tokenize([corpus], out)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_full_disk_loses_nothing(corpus: Path, tmp_path: Path) -> None:
    tokenize([corpus], tmp_path / "whole")
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        tokenize([corpus], tmp_path / "out", shard="3/3")
        with disk_with_room_for(500), pytest.raises(OutputError, match=r"cannot be written \(File too large"):
            tokenize([corpus], tmp_path / "out")
    finally:
        signal.signal(signal.SIGXFSZ, previous)
    assert not [path for path in (tmp_path / "out").glob("*.shard") if TokenShard.open(path).damages()]
    tokenize([corpus], tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_folder_that_cannot_be_written_and_inputs_that_are_not_there(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="this folder cannot be created"):
        tokenize([corpus], tmp_path / "file/out")
    with pytest.raises(InputError, match="has no plan yet; name recordings"):
        tokenize([], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no audio in here"):
        tokenize([tmp_path / "empty"], tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.shard"))


def test_a_plan_that_was_altered_is_named(corpus: Path, tmp_path: Path) -> None:
    tokenize([corpus], tmp_path / "out")
    plan = tmp_path / "out/plan-0000.jsonl"
    data = plan.read_bytes()
    lines = data.splitlines(keepends=True)
    for altered, message in (
        (data[:-20], r"plan-0000\.jsonl"), (b"".join([lines[0], *lines[:0:-1]]), "line 2: is shard 2, expected 0"),
        (data.replace(b'"plan":1', b'"plan":2', 1), "is of version 2, this vocable reads 1"), (b"", "line 1"),
    ):  # fmt: skip
        plan.write_bytes(altered)
        with pytest.raises(OutputError, match=message):
            tokenize([corpus], tmp_path / "out")


@pytest.mark.slow
def test_two_processes_share_the_work_and_a_killed_one_costs_nothing(corpus: Path, tmp_path: Path) -> None:
    load = loader(tmp_path / "codec")
    tokenize([corpus], tmp_path / "whole", tokenizer=load())
    done = tokenize([corpus], tmp_path / "jobs", tokenizer=load(), jobs=2, load=load)
    assert done.missing == 0
    assert contents(tmp_path / "jobs") == contents(tmp_path / "whole")
    command = [sys.executable, "-m", "vocable.cli.main", "tokenize", str(save_codec(tmp_path / "codec")), str(corpus),
               "--out", str(tmp_path / "killed"), "--shard-hours", "0.003"]  # fmt: skip
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    while not (tmp_path / "killed").exists():
        time.sleep(0.02)
    processes[0].kill()
    for process in processes:
        process.wait()
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_a_process_that_dies_is_named_and_costs_nothing(corpus: Path, tmp_path: Path) -> None:
    load = loader(tmp_path / "codec")
    tokenize([corpus], tmp_path / "whole", tokenizer=load())
    with pytest.raises(VocableError, match=r"2 of 2 processes died \(exit code 3\); nothing is lost"):
        tokenize([corpus], tmp_path / "out", tokenizer=load(), jobs=2, load=_die)
    tokenize([corpus], tmp_path / "out", tokenizer=load())
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def _die() -> Any:
    os._exit(3)


def test_taste_tokens_need_a_text_and_rows_without_one_fail_by_name(tmp_path: Path) -> None:
    class NeedsText(_Small):
        def encode_batch(self, clips: Any, texts: Any = None) -> Any:
            if None in texts:
                raise VocableError("one has no text")
            return self.inner.encode_batch(clips, texts)

        def encode(self, audio: Audio, text: str | None = None) -> Any:
            if text is None:
                raise VocableError("this tokenizer needs the text; pass it")
            return self.inner.encode(audio, text)

    speechlike(3_000, 16_000).write(tmp_path / "a.wav")
    speechlike(4_000, 16_000).write(tmp_path / "b.wav")
    lines = [{"audio_path": "a.wav"}, {"audio_path": "b.wav", "text": "hello"}]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = tokenize([tmp_path / "m.jsonl"], tmp_path / "out", tokenizer=NeedsText(), shard_hours=1.0)
    assert (done.recordings, done.failed) == (1, 1)
    (failed,) = TokenCorpus.open(tmp_path / "out").failed()
    assert failed.reason == "this tokenizer needs the text; pass it"
