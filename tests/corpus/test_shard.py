"""Token shards: what is written is read, by vocable and by the reader of the docs; damage is named."""

import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vocable.bit_packing import pack_ids, unpack_ids
from vocable.corpus.shard import TokenShard
from vocable.corpus.shard_format import MAGIC, FailedRow, ShardHeader, ShardRow
from vocable.corpus.shard_writer import write_shard
from vocable.corpus.token_corpus import TokenCorpus
from vocable.errors import ClipIndexError, InputError, OutputError, SpecError, TokenFileError
from vocable.tokens import Tokens, TokenSpec
from vocable.voices import round_voice

DOCS = Path(__file__).resolve().parents[2] / "docs" / "token-shards.md"
FAILED = [FailedRow(id="bad.wav", kind="AudioError", reason="bad.wav: it is empty", speaker="s1")]


def tokens_of(
    spec: TokenSpec, frames: int, voice_width: int = 0, seed: int = 0, voice_levels: int | None = None
) -> Tokens:
    rng = torch.Generator().manual_seed(seed)
    return Tokens(
        ids=torch.randint(spec.codebook_size, (1, spec.num_codebooks, frames), generator=rng),
        lengths=torch.tensor([frames]), samples=torch.tensor([frames * 320 - 7 * (frames > 0)]), spec=spec,
        tokenizer="sha256:ab", voice_levels=voice_levels,
        voice=round_voice(torch.randn(1, voice_width, generator=rng), voice_levels) if voice_width else None,
    )  # fmt: skip


def write(
    path: Path, frames: list[int], entries: int = 1024, levels: int = 8, voice: int = 0, voice_levels: int | None = None
) -> list[Any]:
    spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=entries, num_codebooks=levels)
    header = ShardHeader(
        sample_rate=16_000, hop=320, codebook_size=entries, num_codebooks=levels, tokenizer="sha256:ab", model="toy",
        settings={"levels": levels}, voice_width=voice, voice_levels=voice_levels,
    )  # fmt: skip
    rows = [
        (
            ShardRow(id=f"{number}.wav", audio=f"{number:064x}", text="Grüße" if number % 2 else None, split="train",
                     speaker=f"s{number % 3}", extra={"digit": number}),
            tokens_of(spec, count, voice, number, voice_levels),
        )
        for number, count in enumerate(frames)
    ]  # fmt: skip
    write_shard(path, rows, header, FAILED)
    return rows


def check_equal(shard: TokenShard, rows: list[Any]) -> None:
    assert len(shard) == len(rows)
    for number, (row, tokens) in enumerate(rows):
        assert shard.row(number) == row
        assert np.array_equal(shard.ids(number), tokens.ids[0].numpy())
        again = shard.tokens(number)
        assert (again.provenance.source, again.provenance.model) == (row.audio, "toy")
        assert torch.equal(again.ids, tokens.ids)
        assert torch.equal(again.samples, tokens.samples)
        assert (again.voice is None) == (tokens.voice is None)
        if tokens.voice is not None:
            assert torch.equal(again.voice, tokens.voice)
            assert again.voice_levels == tokens.voice_levels
    frames = [tokens.ids[0].T.numpy() for _, tokens in rows]
    assert np.array_equal(shard.all_ids(), np.concatenate(frames) if frames else shard.all_ids()[:0])
    assert list(shard.failed) == FAILED


@pytest.mark.parametrize("entries", [2, 5, 256, 1000, 1024, 1 << 24])
@pytest.mark.parametrize("levels", [1, 3, 8])
def test_what_is_written_is_read(entries: int, levels: int, tmp_path: Path) -> None:
    rows = write(tmp_path / "a.shard", [1, 9, 250, 3, 0, 17], entries, levels, voice=5)
    check_equal(TokenShard.open(tmp_path / "a.shard"), rows)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.shard", [40, 2, 700])
    assert (tmp_path / "a.shard").read_bytes() == (tmp_path / "b.shard").read_bytes()


@pytest.mark.parametrize(
    ("width", "voice_levels", "size"), [(64, 16, 32), (5, 16, 3), (7, 3, 2), (1, 2, 1), (3, 257, 4)]
)
def test_quantized_voices_take_their_bits_alone(width: int, voice_levels: int, size: int, tmp_path: Path) -> None:
    frames = [1, 9, 250, 3, *[2] * 600]
    rows = write(tmp_path / "a.shard", frames, voice=width, voice_levels=voice_levels)
    shard = TokenShard.open(tmp_path / "a.shard")
    check_equal(shard, rows)
    assert shard.path.read_bytes()[8] == 2
    one = write(tmp_path / "b.shard", frames, voice=width)
    assert TokenShard.open(tmp_path / "b.shard").path.read_bytes()[8] == 1
    sizes = [sum(block.size for block in TokenShard.open(tmp_path / name).blocks) for name in ("a.shard", "b.shard")]
    assert sizes[1] - sizes[0] == (4 * width - size) * len(one)


def test_voices_of_other_levels_are_refused_by_name(tmp_path: Path) -> None:
    spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=8)
    header = ShardHeader(sample_rate=16_000, hop=320, codebook_size=8, num_codebooks=1, tokenizer="sha256:ab",
                         voice_width=4, voice_levels=16)  # fmt: skip
    for levels in (None, 8):
        with pytest.raises(
            SpecError, match=r"a: the voice has 4 numbers of .*, the shard 4 of 16; write it to another"
        ):
            write_shard(tmp_path / "a.shard", [(ShardRow(id="a"), tokens_of(spec, 3, 4, 0, levels))], header)
    for number, levels in enumerate((8, 16)):
        rows = [(ShardRow(id="a"), tokens_of(spec, 3, 4, 0, levels))]
        write_shard(tmp_path / f"{number}.shard", rows, replace(header, voice_levels=levels))
    with pytest.raises(SpecError, match=r"its voice_levels is 16, that of .*0\.shard is 8"):
        list(TokenCorpus.open(tmp_path).shards())


@pytest.mark.parametrize(("levels", "voice", "voice_levels"), [(8, 0, None), (1, 4, None), (1, 5, 16)])
def test_the_reader_of_the_docs_reads_every_row(
    levels: int, voice: int, voice_levels: int | None, tmp_path: Path
) -> None:
    rows = write(tmp_path / "a.shard", [3, 3000, 7, *[2] * 600], 1000, levels, voice, voice_levels)
    code = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), re.M | re.S)[-1]
    assert len(code.splitlines()) <= 30
    names: dict[str, Any] = {}
    exec(code, names)
    found = list(names["read_shard"](tmp_path / "a.shard"))
    assert len(found) == len(rows) + len(FAILED)
    for (metadata, ids), (row, tokens) in zip(found, rows, strict=False):
        assert (metadata["id"], metadata["extra"]) == (row.id, row.extra)
        assert np.array_equal(ids, tokens.ids[0].T.numpy())
    assert found[-1][0]["reason"] == FAILED[0].reason


def test_a_flipped_byte_costs_its_block_alone_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.shard"
    rows = write(path, [4] * 600)
    data = path.read_bytes()
    shard = TokenShard.open(path)
    expected = [shard.ids(number).tolist() for number in range(len(rows))]
    assert len(shard.blocks) == 4
    rng = np.random.default_rng(0)
    lost_somewhere = 0
    for at in [0, 9, 13, 17, 25, len(data) - 1, len(data) - 40, *rng.integers(0, len(data), 60).tolist()]:
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        spoiled = TokenShard.open(path)
        damages = spoiled.damages()
        assert len(damages) == 1
        lost = {number for damage in damages for number in damage.rows if not spoiled.blocks[damage.block or 0].failed}
        assert len(lost) <= 256
        lost_somewhere += bool(lost)
        for damage in damages:
            assert str(path) in damage.reason
            assert damage.block is None or f"block {damage.block}" in damage.reason
        for number in range(len(rows)):
            if number in lost:
                with pytest.raises(TokenFileError, match="block"):
                    spoiled.ids(number)
            elif number % 37 == 0:
                assert spoiled.ids(number).tolist() == expected[number]
    assert lost_somewhere > 10


def test_every_truncation_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.shard"
    write(path, [3, 5])
    data = path.read_bytes()
    for size in range(0, len(data), 7):
        path.write_bytes(data[:size])
        with pytest.raises(TokenFileError, match=re.escape(str(path))):
            TokenShard.open(path)


def test_a_newer_format_and_other_files_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.shard"
    write(path, [3])
    data = bytearray(path.read_bytes())
    data[8] = data[-12] = 3
    path.write_bytes(data)
    with pytest.raises(TokenFileError, match="of version 3, this vocable reads 1 and 2"):
        TokenShard.open(path)
    path.write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(TokenFileError, match="no token shard"):
        TokenShard.open(path)
    with pytest.raises(TokenFileError, match="cannot be read"):
        TokenShard.open(tmp_path)
    assert MAGIC == b"\x89VOCSHD\n"


def test_rows_of_others_are_refused(tmp_path: Path) -> None:
    spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=8)
    header = ShardHeader(sample_rate=16_000, hop=320, codebook_size=4, num_codebooks=1, tokenizer="sha256:ab")
    with pytest.raises(SpecError, match=r"a\.wav: the tokens are"):
        write_shard(tmp_path / "a.shard", [(ShardRow(id="a.wav"), tokens_of(spec, 3))], header)
    with pytest.raises(OutputError, match=r"ends in \.shard"):
        write_shard(tmp_path / "a.tokens", [], header)
    assert not list(tmp_path.iterdir())


def test_a_row_that_is_not_there_is_named(tmp_path: Path) -> None:
    rows = write(tmp_path / "a.shard", [3, 4])
    shard = TokenShard.open(tmp_path / "a.shard")
    assert np.array_equal(shard.ids(-1), rows[1][1].ids[0].numpy())
    with pytest.raises(ClipIndexError, match="row 2 was asked of 2"):
        shard.ids(2)


def test_a_corpus_has_the_rows_of_all_shards_in_order(tmp_path: Path) -> None:
    first = write(tmp_path / "a.shard", [3, 4])
    (tmp_path / ".b.1234.shard").write_bytes(b"of a process that was killed")
    corpus = TokenCorpus.open(tmp_path)
    assert len(corpus) == 2
    second = write(tmp_path / "b.shard", [5])
    corpus = pickle.loads(pickle.dumps(TokenCorpus.open(tmp_path)))
    assert corpus.lengths.tolist() == [3, 4, 5]
    assert [row.id for row in corpus.rows()] == [row.id for row, _ in [*first, *second]]
    assert np.array_equal(corpus.ids(2), second[0][1].ids[0].numpy())
    assert np.array_equal(corpus.ids(-2), first[1][1].ids[0].numpy())
    assert len(list(corpus.failed())) == 2
    write(tmp_path / "c.shard", [5], entries=16)
    with pytest.raises(SpecError, match=r"c\.shard: its codebook_size is 16"):
        TokenCorpus.open(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no token shard in here"):
        TokenCorpus.open(tmp_path / "empty")


@given(st.integers(1, 24), st.lists(st.integers(0, (1 << 24) - 1), max_size=70), st.integers(0, 5))
@settings(deadline=None, max_examples=200)
def test_ids_of_any_number_of_bits_are_packed_and_unpacked(bits: int, values: list[int], more: int) -> None:
    ids = np.array([value % (1 << bits) for value in values], dtype=np.int64)
    packed = pack_ids([ids[:more], ids[more:]], bits)
    assert len(packed) == -(-ids.size * bits // 8)
    assert unpack_ids(packed + bytes(more), ids.size, bits).tolist() == ids.tolist()
