"""Packed sequences hold every document once, whatever reads them, and give the tokens back exactly."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from vocable.corpus.patterns import EMPTY, PATTERNS
from vocable.corpus.sequence_layout import BOS, EOS, FILL, PAD, Document, SequenceLayout
from vocable.corpus.sequences import IGNORED, PackedSequences
from vocable.corpus.shard_format import ShardHeader, ShardRow
from vocable.corpus.shard_writer import write_shard
from vocable.corpus.token_corpus import TokenCorpus
from vocable.errors import ConfigError, ShapeError
from vocable.schema import parse, to_json
from vocable.tokens import Tokens, TokenSpec

_SPEC = TokenSpec(sample_rate=16_000, hop=320, codebook_size=50, num_codebooks=3)
_HEADER = ShardHeader(sample_rate=16_000, hop=320, codebook_size=50, num_codebooks=3, tokenizer="sha256:" + "a" * 64)
_NAMES = st.sampled_from(sorted(PATTERNS))


def _ids(draw_seed: int, levels: int, frames: int, size: int) -> np.ndarray:
    return np.random.default_rng(draw_seed).integers(0, size, (levels, frames))


def _corpus(folder: Path, frames: Sequence[int] = (7, 1, 30, 12, 0, 5)) -> TokenCorpus:
    for shard, part in enumerate((frames[:2], frames[2:])):
        rows = []
        for number, count in enumerate(part):
            ids = torch.from_numpy(_ids(10 * shard + number, 3, count, 50))[None]
            tokens = Tokens(ids=ids, lengths=torch.tensor([count]), samples=torch.tensor([max(count, 1) * 320]),
                            spec=_SPEC, tokenizer=_HEADER.tokenizer)  # fmt: skip
            row = ShardRow(id=f"{shard}-{number}", text=f"héllo {number}" if number else None, speaker=f"s{number % 2}",
                           split="dev" if number == 1 else "train")  # fmt: skip
            rows.append((row, tokens))
        write_shard(folder / f"{shard}.shard", rows, _HEADER)
    return TokenCorpus.open(folder)


@given(_NAMES, st.integers(1, 9), st.integers(0, 40), st.integers(1, 2000), st.integers(0, 1 << 30))
def test_every_pattern_gives_the_ids_back(name: str, levels: int, frames: int, size: int, seed: int) -> None:
    pattern, ids = PATTERNS[name](levels, size), _ids(seed, levels, frames, size)
    codes = pattern.interleave(ids)
    assert codes.shape == (pattern.streams, pattern.length(np.array([frames]))[0])
    assert ((codes >= 0) & (codes < pattern.num_codes) | (codes == EMPTY)).all()
    np.testing.assert_array_equal(pattern.restore(codes), ids)


@pytest.mark.parametrize(
    ("name", "codes"),
    [("flatten", [[1, 2]]), ("flatten", [[1, 12, 3]]), ("flatten", [[12, 1]]), ("parallel", [[1], [EMPTY]]),
     ("delay", [[1, 2], [3, 4]]), ("delay", [[1], [EMPTY]]), ("delay", [[1, EMPTY, EMPTY], [EMPTY, 1, 1]]),
     ("parallel", [[1, 2]]), ("delay", [[99, EMPTY], [EMPTY, 0]])],
)  # fmt: skip
def test_codes_off_the_pattern_are_refused(name: str, codes: list[list[int]]) -> None:
    with pytest.raises(ShapeError):
        PATTERNS[name](2, 10).restore(np.array(codes))


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_ids_of_another_codebook_are_refused(name: str) -> None:
    for ids in (np.full((2, 3), 10), np.full((2, 3), -1), np.zeros((3, 3), dtype=np.int64)):
        with pytest.raises(ShapeError):
            PATTERNS[name](2, 10).interleave(ids)


@given(
    _NAMES, st.integers(1, 4), st.integers(0, 12), st.booleans(),
    st.lists(st.text(min_size=1, max_size=4), unique=True, max_size=3).map(tuple),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)  # fmt: skip
def test_a_document_is_what_was_encoded(
    name: str, levels: int, frames: int, text: bool, speakers: tuple[str, ...], said: str
) -> None:
    layout = SequenceLayout(codebook_size=20, levels=levels, pattern=name, text=text, speakers=speakers)  # type: ignore[arg-type]
    ids = _ids(frames, levels, frames, 20)
    for speaker in (*speakers, "nobody-knows", None):
        sequence = layout.encode(Document(ids, text=said, speaker=speaker))
        length = layout.lengths(np.array([frames]), np.array([layout.prefix_length(said)]))[0]
        assert sequence.shape == (layout.streams, length)
        assert 0 <= sequence.min() <= sequence.max() < layout.vocabulary_size
        assert (sequence[0, 0], sequence[0, -1]) == (BOS, EOS)
        assert (sequence[1:, [0, -1]] == FILL).all()
        found = layout.decode(sequence)
        np.testing.assert_array_equal(found.ids, ids)
        assert found.text == (said if text else None)
        assert found.speaker == (speaker if speaker in speakers else None)
        np.testing.assert_array_equal(layout.decode(sequence[:, :-1]).ids, ids)  # a sample without its EOS


def test_a_layout_is_plain_data() -> None:
    layout = SequenceLayout(codebook_size=20, levels=2, pattern="delay", text=True, speakers=("a", "b"))
    assert parse(SequenceLayout, to_json(layout), "layout.json") == layout
    with pytest.raises(ConfigError, match="'a' is listed twice"):
        SequenceLayout(codebook_size=20, speakers=("a", "b", "a"))


@pytest.mark.parametrize(
    "sequence", [[[]], [[PAD, 5, EOS]], [[BOS, 4, EOS]], [[BOS, 261, 400, EOS]], [[BOS, 261, PAD]]]
)
def test_other_sequences_are_no_documents(sequence: list[list[int]]) -> None:
    layout = SequenceLayout(codebook_size=20, text=True, speakers=("a",))
    with pytest.raises(ShapeError):
        layout.decode(np.array(sequence, dtype=np.int64))


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_ranks_together_have_every_step_once(pattern: str, world: int, tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    layout = SequenceLayout.of(corpus.spec, pattern=pattern, text=True, speakers=("s0",))  # type: ignore[arg-type]
    whole = PackedSequences(corpus, layout, 1 << 12, seed=3, drop_last=False)
    joined = whole[0]["input_ids"].reshape(layout.streams, -1)[:, : whole.steps]
    ranks = [
        PackedSequences(corpus, layout, 16, seed=3, rank=rank, world=world, drop_last=False) for rank in range(world)
    ]
    assert len({len(rank) for rank in ranks}) == 1
    items = [ranks[index % world][index // world] for index in range(world * len(ranks[0]))]
    parts = torch.cat([item["input_ids"].reshape(layout.streams, -1) for item in items], dim=1)
    assert torch.equal(parts[:, : whole.steps], joined)
    assert (parts[:, whole.steps :] == PAD).all()
    begins = torch.nonzero(joined[0] == BOS).flatten().tolist()
    documents = [
        layout.decode(joined[:, begin:end].numpy()) for begin, end in zip(begins, [*begins[1:], None], strict=True)
    ]
    written = [corpus.ids(index) for index in range(len(corpus)) if corpus.lengths[index]]
    assert sorted(document.ids.tobytes() for document in documents) == sorted(
        ids.astype(np.int64).tobytes() for ids in written
    )
    dropped = PackedSequences(corpus, layout, 16, seed=3, world=world)
    assert len(dropped) == whole.steps // (16 * world)


def test_labels_positions_and_documents_tell_padding_and_documents_apart(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    item = PackedSequences(corpus, SequenceLayout.of(corpus.spec, levels=1), 100, shuffle=False, drop_last=False)[0]
    ids, documents = item["input_ids"], item["document_ids"]
    sizes = [frames + 2 for frames in (7, 1, 30, 12, 5)]
    assert documents.tolist() == [*np.repeat(range(5), sizes), *[-1] * (100 - sum(sizes))]
    assert item["position_ids"][: sum(sizes)].tolist() == [step for size in sizes for step in range(size)]
    assert torch.equal(item["labels"], torch.where(documents >= 0, ids, IGNORED))
    assert (ids[sum(sizes) :] == PAD).all()


def test_rows_can_be_selected(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    layout = SequenceLayout.of(corpus.spec, levels=1)
    dev = PackedSequences(corpus, layout, 4, select=lambda row: row.split == "dev", drop_last=False)
    assert dev.steps == (1 + 2) + (12 + 2)


def test_seed_and_epoch_decide_the_order_and_nothing_else_does(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    layout = SequenceLayout.of(corpus.spec, levels=2)
    first = PackedSequences(corpus, layout, 8, seed=1)
    items = [item["input_ids"] for item in first]
    again = pickle.loads(pickle.dumps(PackedSequences(TokenCorpus.open(tmp_path), layout, 8, seed=1)))
    assert all(torch.equal(one["input_ids"], other) for one, other in zip(again, items, strict=True))
    for workers in (0, 2):
        loader = DataLoader(first, batch_size=None, sampler=range(2, len(first)), num_workers=workers)
        assert all(torch.equal(one["input_ids"], other) for one, other in zip(loader, items[2:], strict=True))
    for other in (first.with_epoch(1), PackedSequences(corpus, layout, 8, seed=2)):
        assert not all(torch.equal(one["input_ids"], ids) for one, ids in zip(other, items, strict=True))
    assert torch.equal(first.with_epoch(1).with_epoch(0)[0]["input_ids"], items[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [({"length": 0}, "length is 0"), ({"rank": 2, "world": 2}, "rank 2 of 2"), ({"length": 10_000}, "too few"),
     ({"select": lambda row: False}, "0 documents")],
)  # fmt: skip
def test_what_cannot_be_packed_is_named(options: dict[str, object], words: str, tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    with pytest.raises(ConfigError, match=words):
        PackedSequences(corpus, SequenceLayout.of(corpus.spec), **{"length": 8, **options})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="of 51"):
        PackedSequences(corpus, SequenceLayout(codebook_size=51), 8)
    with pytest.raises(ConfigError, match="levels is 4"):
        SequenceLayout.of(corpus.spec, levels=4)
