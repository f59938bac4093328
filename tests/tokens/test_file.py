"""A token file says what was written, at the price of its bit rate."""

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.disk import disk_with_room_for, listing
from tests.tokens.small import SMALL, same
from vocable import tokens as module
from vocable.errors import OutputError, SpecError
from vocable.tokens import Tokens, TokenSpec, pack, unpack

GOLDEN = Path(__file__).parents[1] / "golden"
QUANTIZED_VOICES = ("supervised-small", "taste-small")  # since 0.2


def as_version_1(data: bytes) -> bytes:
    """The bytes of a file without provenance as vocable 0.1 wrote them."""
    body = data[:8] + b"\x01\x00" + data[10:-4]
    return body + struct.pack("<I", zlib.crc32(body))


@given(
    spec=st.fixed_dictionaries({
        "sample_rate": st.integers(1, 768_000),
        "hop": st.none() | st.integers(1, 1 << 24),
        "codebook_size": st.sampled_from([1, 2, 3, 1024, 1025, 1 << 24]) | st.integers(1, 1 << 24),
        "num_codebooks": st.integers(1, 9),
    }),
    clips=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1 << 40), st.none() | st.text(max_size=8)), max_size=4),
    tokenizer=st.text(max_size=20),
    voice=st.none() | st.integers(1, 5),
    seed=st.integers(0, 1 << 32),
)  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_what_is_packed_comes_back(
    spec: dict[str, Any], clips: list[tuple[int, int, str | None]], tokenizer: str, voice: int | None, seed: int
) -> None:
    random = np.random.default_rng(seed)
    lengths = torch.tensor([frames for frames, _, _ in clips], dtype=torch.int64)
    frames = max(lengths.tolist(), default=0)
    ids = torch.from_numpy(random.integers(0, spec["codebook_size"], (len(clips), spec["num_codebooks"], frames)))
    texts = tuple(text for _, _, text in clips)
    tokens = Tokens(
        ids=ids * (torch.arange(frames) < lengths[:, None, None]),  # what stands behind the end is not kept
        lengths=lengths,
        samples=torch.tensor([samples for _, samples, _ in clips], dtype=torch.int64),
        spec=TokenSpec(**spec),
        tokenizer=tokenizer,
        text=texts if any(text is not None for text in texts) else None,
        voice=torch.from_numpy(random.standard_normal((len(clips), voice)).astype("f4")) if voice and clips else None,
    )
    data = pack(tokens)
    assert same(unpack(data), tokens)
    assert pack(unpack(data)) == data  # one batch, one file


def test_the_file_is_as_documented() -> None:
    data = pack(SMALL)
    assert data[:10] == b"\x89VOCTOK\n\x02\x00"
    end = 14 + int.from_bytes(data[10:14], "little")
    assert json.loads(data[14:end]) == {
        "sample_rate": 16_000, "hop": 320, "codebook_size": 5, "num_codebooks": 2, "tokenizer": "sha256:abc",
        "voice_width": 2,
        "clips": [{"frames": 3, "samples": 900, "text": "Grüße"}, {"frames": 1, "samples": 1, "text": None}],
    }  # fmt: skip
    stream = [0, 4, 1, 3, 2, 2, 4, 1]  # frame after frame, level after level; three bits hold the five entries
    number = sum(value << (3 * at) for at, value in enumerate(stream))
    assert data[end:-4] == number.to_bytes(3, "little") + struct.pack("<4f", 0.5, -1.0, 2.0, 3.0)
    assert data[-4:] == struct.pack("<I", zlib.crc32(data[:-4]))


def test_without_provenance_the_bytes_are_those_of_vocable_0_1_but_for_the_version() -> None:
    """Also where a text has quotes, control characters and letters outside ASCII, which JSON can write in many ways."""
    spec = TokenSpec(sample_rate=16_000, hop=None, codebook_size=7, num_codebooks=2)
    tokens = Tokens(
        ids=torch.tensor([[[0, 1, 2], [3, 4, 5]], [[6, 0, 0], [2, 3, 0]]]), lengths=torch.tensor([3, 2]),
        samples=torch.tensor([9, 8]), spec=spec, tokenizer='d"é', text=('a\x01\x7f\n\t"\\/ é😀', None),
        voice=torch.ones(2, 3),
    )  # fmt: skip
    digest = "9c891daa86dce428a7c92d0c0b166d9161b7a43e27c4464d85ee357c2aa9725e"
    assert hashlib.sha256(as_version_1(pack(tokens))).hexdigest() == digest


@pytest.mark.parametrize("file", sorted(GOLDEN.rglob("*.tokens")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_files_of_earlier_versions_are_read_to_the_last_bit(file: Path) -> None:
    data = file.read_bytes()
    version = 3 if file.parent == GOLDEN and file.stem.startswith(QUANTIZED_VOICES) else 1
    assert data[8:10] == version.to_bytes(2, "little")
    packed = pack(Tokens.read(file))
    assert (as_version_1(packed) if version == 1 else packed) == data


def test_the_ids_cost_what_the_bit_rate_says() -> None:
    minute = Tokens(
        ids=torch.randint(1024, (1, 8, 3000), generator=torch.Generator().manual_seed(0)),
        lengths=torch.tensor([3000]), samples=torch.tensor([960_000]),
        spec=TokenSpec(sample_rate=16_000, hop=320, codebook_size=1024, num_codebooks=8), tokenizer="t",
    )  # fmt: skip
    assert len(pack(minute)) - 60 * minute.spec.bit_rate / 8 < 200


def test_writing_and_reading_is_the_identity(tmp_path: Path) -> None:
    SMALL.write(tmp_path / "a.tokens")
    assert same(Tokens.read(str(tmp_path / "a.tokens")), SMALL)
    assert listing(tmp_path) == ["a.tokens"]


def test_voices_that_are_trained_or_in_half_precision_are_written(tmp_path: Path) -> None:
    for voice in (torch.ones(2, 3, requires_grad=True), torch.ones(2, 3, dtype=torch.bfloat16)):
        tokens = Tokens(**{name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__} | {"voice": voice})
        again = unpack(pack(tokens)).voice
        assert again is not None
        assert torch.equal(again, torch.ones(2, 3))


def test_a_full_disk_keeps_the_tokens_there_were(tmp_path: Path) -> None:
    SMALL.write(tmp_path / "a.tokens")
    with disk_with_room_for(50), pytest.raises(OutputError, match=r"a\.tokens: cannot be written"):
        SMALL.clip(0).write(tmp_path / "a.tokens")
    assert same(Tokens.read(tmp_path / "a.tokens"), SMALL)
    with pytest.raises(OutputError, match=r"nowhere/a\.tokens: cannot be written"):
        SMALL.write(tmp_path / "nowhere" / "a.tokens")
    assert listing(tmp_path) == ["a.tokens"]


def test_what_could_not_be_read_again_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_IDS", 11)
    with pytest.raises(SpecError, match="12 ids are too many for one token file; write at most 11"):
        pack(SMALL)
    assert same(unpack(pack(SMALL.clip(0))), SMALL.clip(0))
