"""Statistics of a token corpus are the figures of its rows."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from vocable.cli.main import app
from vocable.corpus.shard_format import FailedRow, ShardHeader, ShardRow
from vocable.corpus.shard_writer import write_shard
from vocable.corpus.statistics import corpus_statistics
from vocable.corpus.token_corpus import TokenCorpus
from vocable.metrics.codebook import codebook_usage
from vocable.tokens import Tokens, TokenSpec

_SPEC = TokenSpec(sample_rate=16_000, hop=320, codebook_size=20, num_codebooks=3)
_HEADER = ShardHeader(
    sample_rate=16_000, hop=320, codebook_size=20, num_codebooks=3, tokenizer="sha256:" + "a" * 64, model="test",
    settings={"levels": 3}, voice_width=2,
)  # fmt: skip


def _tokens(ids: np.ndarray) -> Tokens:
    frames = ids.shape[1]
    return Tokens(ids=torch.from_numpy(ids)[None], lengths=torch.tensor([frames]), samples=torch.tensor([frames * 320]),
                  spec=_SPEC, tokenizer=_HEADER.tokenizer, voice=torch.zeros(1, 2))  # fmt: skip


def write_corpus(folder: Path) -> list[np.ndarray]:
    """Write two shards of five rows, one recording twice, and three failures; return the ids."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    rows = [random.integers(0, 10 if index else 20, (3, 25 * (index + 1))) for index in range(5)]
    records = [
        ShardRow(id=f"{index}.wav", audio=f"{0 if index == 4 else index:064x}", split="train" if index < 3 else None,
                 speaker=f"s{index % 2}", text="hello" if index else None)
        for index in range(5)
    ]  # fmt: skip
    failed = [FailedRow(id=f"{name}.wav", kind=kind, reason=f"<b>{name}</b> is bad")
              for name, kind in (("x", "AudioError"), ("y", "TextError"), ("z", "AudioError"))]  # fmt: skip
    pairs = list(zip(records, map(_tokens, rows), strict=True))
    write_shard(folder / "a.shard", pairs[:2], _HEADER, failed[:1])
    write_shard(folder / "b.shard", pairs[2:], _HEADER, failed[1:])
    return rows


def test_figures_are_those_of_the_rows(tmp_path: Path) -> None:
    rows = write_corpus(tmp_path)
    found = corpus_statistics(TokenCorpus.open(tmp_path))
    joined = np.concatenate(rows, axis=1)
    assert (found.rows, found.shards, found.frames, found.tokens) == (5, 2, 375, 1125)
    assert found.hours == pytest.approx(375 * 0.02 / 3600)
    assert found.levels == codebook_usage(torch.from_numpy(joined)[None], torch.tensor([375]), 20)
    assert found.nominal_bits == pytest.approx(1125 * math.log2(20))
    assert found.coded_bits == pytest.approx(375 * sum(level.entropy for level in found.levels))
    assert found.voice_bits == 5 * 2 * 32
    assert found.bit_rate == pytest.approx((found.nominal_bits + 320) / 7.5)
    assert found.seconds["0.5"] == pytest.approx(1.5)
    assert list(found.histogram.items())[:5] == [("0", 0), ("0.5", 1), ("1", 2), ("2", 2), ("4", 0)]
    assert sum(found.histogram.values()) == 5
    assert {name: (part.rows, part.speakers, part.with_text) for name, part in found.splits.items()} == {
        "(unknown)": (2, 2, 2), "train": (3, 2, 2)}  # fmt: skip
    assert (found.recordings, found.duplicates, found.duplicate_examples) == (4, 1, ("4.wav: as 0.wav",))
    assert {kind: (one.count, one.examples) for kind, one in found.failures.items()} == {
        "AudioError": (2, ("<b>x</b> is bad", "<b>z</b> is bad")), "TextError": (1, ("<b>y</b> is bad",))}  # fmt: skip
    assert found.size == sum(path.stat().st_size for path in tmp_path.glob("*.shard"))


def test_a_corpus_of_failures_alone_has_statistics(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.shard", [], _HEADER, [FailedRow(id="x", kind="AudioError", reason="x is empty")])
    found = corpus_statistics(TokenCorpus.open(tmp_path))
    assert (found.rows, found.hours, found.coded_bits, found.seconds) == (0, 0.0, 0.0, {})
    assert math.isnan(found.bit_rate)
    result = CliRunner().invoke(app, ["corpus", "stats", str(tmp_path), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "No recording has tokens." in (tmp_path / "out" / "statistics.html").read_text()


def test_rows_without_a_hash_are_no_duplicates(tmp_path: Path) -> None:
    ids = np.zeros((3, 4), dtype=np.int64)
    write_shard(tmp_path / "a.shard", [(ShardRow(id=name), _tokens(ids)) for name in "ab"], _HEADER)
    assert corpus_statistics(TokenCorpus.open(tmp_path)).duplicates == 0


def test_the_command_prints_and_writes_them(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus")
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["corpus", "stats", str(tmp_path / "corpus"), "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert "2 × AudioError, 1 × TextError" in result.output
    values = json.loads((out / "statistics.json").read_text())
    assert values["tokens"] == 1125
    assert values["levels"][0]["perplexity"] == pytest.approx(2 ** values["levels"][0]["entropy"])
    page = (out / "statistics.html").read_text()
    assert "&lt;b&gt;x&lt;/b&gt; is bad" in page
    assert "<b>x</b>" not in page
    again = CliRunner().invoke(app, ["corpus", "stats", str(tmp_path / "corpus"), "-o", str(out)])
    assert again.exit_code == 0
