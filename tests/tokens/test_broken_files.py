"""Token files that are not what they were, or that lie: each is refused with its reason."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokens.small import SMALL
from vocable.errors import TokenFileError
from vocable.token_file import MAGIC
from vocable.tokens import Tokens, pack, unpack


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


def sealed(header: bytes, payload: bytes = b"\x01\x02", *, version: int = 2, size: int | None = None) -> bytes:
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
    "key missing": (sealed(b'{"sample_rate": 16000}'), r"header is not valid \(hop: Field required"),
    "key forbidden": (crafted(more=1), r"\(more: Unexpected keyword argument\)"),
    "key forbidden in a clip": (crafted(clips=[{"frames": 2, "samples": 0, "x": 0}]), r"\(clips\.0\.x: Unexpected"),
    "future version": (sealed(json.dumps(HEADER).encode(), version=4), "of version 4, this vocable reads 1 to 3;"),
    "provenance: setting that is infinite": (
        sealed(json.dumps({**HEADER, "provenance": {"settings": {"a": 7.5}}}).replace("7.5", "1e999").encode()),
        r"\(provenance\.settings",
    ),
    "no version": (sealed(json.dumps(HEADER).encode(), version=0), "of version 0, this vocable reads 1 to 3;"),
    "key of version 2 in version 1": (
        sealed(json.dumps({**HEADER, "provenance": {}}).encode(), version=1), r"\(provenance: Unexpected keyword",
    ),
    **{
        f"provenance: {name}": (crafted(provenance=value), rf"\(provenance{place}")
        for name, value, place in [
            ("of another kind", "guided-small", " is"),
            ("null", None, " is"),
            ("unknown key", {"path": "a.wav"}, r"\.path: Unexpected"),
            ("model that is a path", {"model": "../../etc"}, r"\.model is '\.\./"),
            ("model that is a folder", {"model": "a/b"}, r"\.model"),
            ("model with a control character", {"model": "a\x1b[2J"}, r"\.model"),
            ("model with a mark that turns the text", {"model": "a\u202eb"}, r"\.model"),
            ("model of two lines", {"model": "a\nb"}, r"\.model"),
            ("model that ends with a line", {"model": "a\n"}, r"\.model"),
            ("model without a name", {"model": ""}, r"\.model"),
            ("long model", {"model": "a" * 101}, r"\.model"),
            ("model that is a number", {"model": 1}, r"\.model is 1"),
            ("source that is no digest", {"source": "abc"}, r"\.source"),
            ("source in capitals", {"source": "A" * 64}, r"\.source"),
            ("settings that are a list", {"settings": [1]}, r"\.settings"),
            ("setting that is a list", {"settings": {"levels": [1]}}, r"\.settings"),
            ("setting that is nested", {"settings": {"a": {"b": 1}}}, r"\.settings"),
            ("setting that is long", {"settings": {"a": "b" * 1_001}}, r"\.settings"),
            ("name of a setting that is no word", {"settings": {"a b": 1}}, r"\.settings"),
            ("too many settings", {"settings": {f"s{number}": 1 for number in range(33)}}, r"\.settings"),
        ]
    },
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
