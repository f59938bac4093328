"""Rates are computed from the spec, and a token file says what was written or that it cannot."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_files import disk_with_room_for, listing
from vocable import tokens as module
from vocable.errors import OutputError, SpecError, TokenFileError
from vocable.tokens import MAGIC, Tokens, TokenSpec, pack, unpack

SPEC = TokenSpec(sample_rate=16_000, hop=320, codebook_size=5, num_codebooks=2)
SMALL = Tokens(
    ids=torch.tensor([[[0, 1, 2], [4, 3, 2]], [[4, 0, 0], [1, 0, 0]]]),
    lengths=torch.tensor([3, 1]),
    samples=torch.tensor([900, 1]),
    spec=SPEC,
    tokenizer="sha256:abc",
    text=("Grüße", None),
    voice=torch.tensor([[0.5, -1.0], [2.0, 3.0]]),
)


def same(one: Tokens, other: Tokens) -> bool:
    """Equal in everything, bit by bit."""

    def equal(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
        if a is None or b is None:
            return a is b
        return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()

    return (
        (one.spec, one.tokenizer, one.text) == (other.spec, other.tokenizer, other.text)
        and all(equal(getattr(one, name), getattr(other, name)) for name in ("ids", "lengths", "samples", "voice"))
    )  # fmt: skip


# Rates


@pytest.mark.parametrize(
    ("spec", "frame_rate", "token_rate", "bits_per_frame", "bit_rate"),
    [
        # VQ-CTAP: one id of 13 bits for 960 samples at 24 kHz
        (TokenSpec(sample_rate=24_000, hop=960, codebook_size=8192), 25, 25, 13, 325),
        # the units of CosyVoice's first tokenizer
        (TokenSpec(sample_rate=16_000, hop=320, codebook_size=4096), 50, 50, 12, 600),
        # the guided codec
        (TokenSpec(sample_rate=16_000, hop=320, codebook_size=1024, num_codebooks=8), 50, 400, 80, 4000),
        # not a power of two: log2 K bits of information, whatever the file spends
        (TokenSpec(sample_rate=16_000, hop=320, codebook_size=1000), 50, 50, 9.965784, 498.2892),
        (TokenSpec(sample_rate=16_000, hop=320, codebook_size=1), 50, 50, 0, 0),
        (TokenSpec(sample_rate=22_050, hop=256, codebook_size=2), 86.1328125, 86.1328125, 1, 86.1328125),
    ],
)
def test_rates_follow_from_the_spec(
    spec: TokenSpec, frame_rate: float, token_rate: float, bits_per_frame: float, bit_rate: float
) -> None:
    assert (spec.frame_rate, spec.token_rate) == (frame_rate, token_rate)
    assert (spec.bits_per_frame, spec.bit_rate) == (pytest.approx(bits_per_frame), pytest.approx(bit_rate))


@pytest.mark.parametrize(("cells", "token_rate", "bit_rate"), [(2, 1394, 11_150), (4, 349, 2_790)])
def test_a_grid_of_cells_is_a_frame_of_ids_a_column(cells: int, token_rate: float, bit_rate: float) -> None:
    """VQalAttent: an image of 64 × 88 mel values at a hop of 256, a cell for each 2 × 2 or 4 × 4 of them."""
    spec = TokenSpec(sample_rate=22_050, hop=256 * cells, codebook_size=256, num_codebooks=64 // cells)
    paper = 88 * 256 / 22_050 / 1.01  # it divides by the clip's 1.01 s, not by the 1.02 s that 88 columns cover
    assert spec.token_rate * paper == pytest.approx(token_rate, abs=1)
    assert spec.bit_rate * paper == pytest.approx(bit_rate, abs=5)


def test_tokens_that_follow_the_text_have_bits_but_no_rate() -> None:
    taste = TokenSpec(sample_rate=16_000, hop=None, codebook_size=512, num_codebooks=4)
    assert taste.bits_per_frame == 36  # three words a second: the paper's 108 bit/s
    for rate in ("frame_rate", "token_rate", "bit_rate"):
        with pytest.raises(SpecError, match="do not follow the clock; count the frames"):
            getattr(taste, rate)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_rate", 0),
        ("sample_rate", 1_000_000),
        ("hop", 0),
        ("hop", -1),
        ("codebook_size", 0),
        ("codebook_size", (1 << 24) + 1),
        ("num_codebooks", 0),
        ("num_codebooks", 1025),
    ],
)
def test_a_spec_out_of_range_is_refused(name: str, value: int) -> None:
    with pytest.raises(SpecError, match=rf"{name} is {value}: it must be between 1 and \d+"):
        TokenSpec(**{"sample_rate": 16_000, "hop": 320, "codebook_size": 4} | {name: value})


# The record


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": torch.zeros(2, 2, 3, dtype=torch.int32)}, "int64"),
        ({"ids": torch.zeros(2, 3, 3, dtype=torch.int64)}, "ids have 3 levels but the spec says 2"),
        ({"ids": torch.full((2, 2, 3), 5)}, r"ids lie in \[5, 5\] but the codebook has entries 0 to 4"),
        ({"ids": torch.full((2, 2, 3), -1)}, r"ids lie in \[-1, -1\]"),
        ({"lengths": torch.tensor([4, 1])}, r"lengths \[4, 1\] do not fit the 3 frames"),
        ({"lengths": torch.tensor([3, -1])}, r"lengths \[3, -1\]"),
        ({"samples": torch.tensor([900, -1])}, "cannot be negative"),
        ({"text": ("one",)}, "1 texts for 2 clips"),
    ],
)
def test_tokens_that_contradict_themselves_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Tokens(**{name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__} | changes)


def test_the_first_levels_are_tokens_of_a_smaller_rate() -> None:
    assert SMALL.keep_levels(1).ids.tolist() == [[[0, 1, 2]], [[4, 0, 0]]]
    assert SMALL.keep_levels(1).spec.bit_rate == SPEC.bit_rate / 2
    assert same(SMALL.keep_levels(2), SMALL)
    for count in (0, 3, -1):
        with pytest.raises(SpecError, match=f"{count} levels were asked of tokens that have 2"):
            SMALL.keep_levels(count)


def test_a_clip_is_a_batch_of_one_without_padding() -> None:
    assert len(SMALL) == 2
    clip = SMALL.clip(1)
    assert clip.ids.tolist() == [[[4], [1]]]
    assert (clip.lengths.tolist(), clip.samples.tolist(), clip.text) == ([1], [1], (None,))
    assert clip.voice is not None
    assert clip.voice.tolist() == [[2.0, 3.0]]
    assert same(SMALL.clip(-1), clip)
    with pytest.raises(IndexError):
        SMALL.clip(2)


# The file


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
    assert data[:10] == b"\x89VOCTOK\n\x01\x00"
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


# Files that are not what they were


def test_every_truncation_is_noticed() -> None:
    data = pack(SMALL)
    for size in range(len(data)):
        with pytest.raises(TokenFileError, match="truncated" if size else "this is not a token file"):
            unpack(data[:size])


def test_every_altered_byte_is_noticed() -> None:
    data = pack(SMALL)
    for at in range(len(data)):
        for mask in (*(1 << bit for bit in range(8)), 0xFF):
            with pytest.raises(TokenFileError):
                unpack(data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :])


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: MAGIC + b"\x01\x00" + data))
@settings(deadline=None, max_examples=200)
def test_any_other_bytes_are_no_token_file(data: bytes) -> None:
    with pytest.raises(TokenFileError):
        unpack(data)


HEADER: dict[str, Any] = {
    "sample_rate": 16_000, "hop": 320, "codebook_size": 256, "num_codebooks": 1, "tokenizer": "t", "voice_width": 0,
    "clips": [{"frames": 2, "samples": 500, "text": None}],
}  # fmt: skip


def sealed(header: bytes, payload: bytes = b"\x01\x02", *, version: int = 1, size: int | None = None) -> bytes:
    """A file with a checksum that fits, whatever it says."""
    body = struct.pack("<8sHI", MAGIC, version, len(header) if size is None else size) + header + payload
    return body + struct.pack("<I", zlib.crc32(body))


def crafted(payload: bytes = b"\x01\x02", **changes: Any) -> bytes:
    return sealed(json.dumps({**HEADER, **changes}).encode(), payload)


def clips(*frames: Any) -> list[dict[str, Any]]:
    return [{"frames": count, "samples": 0} for count in frames]


def test_the_crafted_file_is_sound_before_it_is_spoilt() -> None:
    assert unpack(crafted()).ids.tolist() == [[[1, 2]]]
    assert unpack(crafted(b"", clips=clips(0))).ids.shape == (1, 1, 0)
    assert unpack(crafted(b"", clips=[])).ids.shape == (0, 1, 0)
    assert unpack(crafted(b"", clips=[], voice_width=4)).ids.shape == (0, 1, 0)


BOMBS: dict[str, tuple[bytes, str]] = {
    "header longer than the file": (sealed(b"{}", size=0xFFFFFFFF), "promises 4294967295 bytes of itself"),
    "header one byte too long": (sealed(b"{}", b"", size=3), "promises 3 bytes of itself"),
    "no header": (sealed(b""), "header is not valid"),
    "header of another kind": (sealed(b"[1, 2]"), "header is not valid"),
    "header nested": (sealed(b"[" * 100_000), "header is not valid"),
    "header that is not UTF-8": (sealed(b'{"tokenizer": "\xff"}'), "header is not valid"),
    "key missing": (sealed(b'{"sample_rate": 16000}'), r"header is not valid \(hop Field required\)"),
    "key forbidden": (crafted(more=1), r"\(more Extra inputs are not permitted\)"),
    "key forbidden in a clip": (crafted(clips=[{"frames": 2, "samples": 0, "x": 0}]), r"\(clips\.0\.x Extra"),
    "future version": (sealed(json.dumps(HEADER).encode(), version=2), "of version 2, this vocable reads 1"),
    "negative frames": (crafted(clips=clips(-1)), r"clips\.0\.frames .*greater than or equal to 0"),
    "negative samples": (crafted(clips=[{"frames": 2, "samples": -1}]), r"clips\.0\.samples"),
    "huge frames": (crafted(clips=clips(1 << 39)), "promises 549755813888 bytes"),
    "far too many frames": (crafted(clips=clips(1 << 62)), r"clips\.0\.frames"),
    "frames of a thousand digits": (crafted(clips=clips(10**1000)), r"clips\.0\.frames"),
    "huge frames twice": (crafted(clips=clips(*[(1 << 40) - 1] * 2), num_codebooks=1024), "promises"),
    "frames as text": (crafted(clips=clips("2")), r"clips\.0\.frames"),
    "frames as a fraction": (crafted(clips=clips(2.5)), r"clips\.0\.frames"),
    "frames as a truth": (crafted(clips=clips(True)), r"clips\.0\.frames"),
    "too few bytes": (crafted(clips=clips(3)), "promises 3 bytes of ids and voices, 2 are there"),
    "too many bytes": (crafted(clips=clips(1)), "promises 1 bytes of ids and voices, 2 are there"),
    "bytes and no clips": (crafted(clips=[]), "promises 0 bytes"),
    "huge voice": (crafted(voice_width=(1 << 20) - 1), "promises 4194302 bytes"),
    "voice out of range": (crafted(voice_width=1 << 20), "voice_width"),
    "negative voice": (crafted(voice_width=-1), "voice_width"),
    "no codebook": (crafted(codebook_size=0), "codebook_size is 0"),
    "huge codebook": (crafted(codebook_size=1 << 60), "codebook_size is"),
    "huge number of codebooks": (crafted(num_codebooks=1 << 60), "num_codebooks is"),
    "hop of nothing": (crafted(hop=0), "hop is 0"),
    "ids outside the codebook": (crafted(b"\xff", codebook_size=3, clips=clips(4)), r"contradict .*: ids lie in"),
    "one long clip and many empty": (
        crafted(bytes(250_000), codebook_size=2, clips=clips(2_000_000, *[0] * 200)),
        "201 clips of up to 2000000 frames are too many",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message"), BOMBS.values(), ids=BOMBS)
def test_a_file_that_lies_with_a_checksum_that_fits_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.tokens").write_bytes(data)
    with pytest.raises(TokenFileError, match=message) as caught:
        Tokens.read(tmp_path / "a.tokens")
    assert str(caught.value).startswith(f"{tmp_path / 'a.tokens'}: ")
    assert "\n" not in str(caught.value)


def test_what_could_not_be_read_again_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST", 11)
    with pytest.raises(SpecError, match="12 ids are too many for one token file; write at most 11"):
        pack(SMALL)
    assert same(unpack(pack(SMALL.clip(0))), SMALL.clip(0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, r"cannot be read \(No such file or directory\); check the path"),
        (lambda path: path.mkdir(), r"cannot be read \(Is a directory\)"),
        (lambda path: path.write_bytes(b""), "this is not a token file: `vocable encode` makes them"),
        (lambda path: path.write_bytes(b"RIFF" + bytes(1000)), "this is not a token file"),
    ],
    ids=["missing", "folder", "empty", "audio"],
)
def test_a_path_without_tokens_is_named(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    make(tmp_path / "a.tokens")
    with pytest.raises(TokenFileError, match=rf"a\.tokens: {message}"):
        Tokens.read(tmp_path / "a.tokens")
