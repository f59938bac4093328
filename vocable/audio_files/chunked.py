"""Containers of chunks: WAV with its large kin, AIFF, AU and Core Audio."""

import re
from typing import Literal

from vocable.audio_files.parts import Bytes, Part, is_unknown_length

_TRAILING = frozenset({
    b"LIST", b"INFO", b"fact", b"cue ", b"smpl", b"inst", b"bext", b"iXML", b"axml", b"chna", b"ID3 ", b"id3 ", b"JUNK",
    b"PAD ", b"FLLR", b"PEAK", b"plst", b"note", b"labl", b"DISP", b"acid", b"afsp", b"minf", b"elm1", b"regn", b"umid",
    b"_PMX", b"cart", b"slnt", b"strc", b"LGWV", b"levl", b"wavl", b"MARK", b"COMT", b"INST", b"NAME", b"AUTH", b"ANNO",
    b"APPL", b"(c) ", b"MIDI", b"SAUR", b"CHAN", b"basc", b"trns", b"cate",
})  # fmt: skip
_BEGINNINGS = frozenset({b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"OggS", b"fLaC", b"caff"})  # of another file
_ID = re.compile(rb"[A-Za-z0-9_(][ -~]{3}")
_MAX_HEADER = 1 << 20
_MAX_CHUNKS = 1 << 14  # a file of tiny chunks alone would take long
_RIFF_MOST = (1 << 32) - 1


def walk_riff(data: Bytes, start: int) -> tuple[list[Part], int]:
    """Return the part of a WAV file: RIFF, RIFX, RF64 or BW64. A length that its writer did not know is mended."""
    form = data.at(start, 4)
    order: Literal["little", "big"] = "big" if form == b"RIFX" else "little"
    position, before = _find_chunk(data, start + 12, b"data", order)
    body = position + 8
    if position == data.size:  # no data: libsndfile says what is wrong
        return [Part(start, data.size)], data.size
    size = data.number(position + 4, 4, order)
    if b"ds64" in before and size == _RIFF_MOST:
        size = data.number(before[b"ds64"] + 16, 8)
    end = _end_of_chunks(data, body + size, order)
    is_sound = not is_unknown_length(size) or (size and end == data.size >= body + size)
    if form != b"BW64" and (is_sound or _is_empty(data, body, size, order)):
        return _one_part(data, start, end)
    stop = min(body + size, data.size) if is_sound else data.size
    header = data.at(start, body - start) if body - start <= _MAX_HEADER else b""
    mended = _mended(header, stop - body, order)
    return [Part(start, stop, mended, body if header else None)], min(data.size, max(stop, end))


def walk_aiff(data: Bytes, start: int) -> tuple[list[Part], int]:
    """Return the part of an AIFF or AIFF-C file."""
    position, _ = _find_chunk(data, start + 12, b"SSND", "big")
    size = data.number(position + 4, 4, "big")
    is_open = position == data.size or is_unknown_length(size)
    end = data.size if is_open else _end_of_chunks(data, position + 8 + size, "big")
    return _one_part(data, start, end)


def walk_au(data: Bytes, start: int) -> tuple[list[Part], int]:
    """Return the part of an AU file."""
    order = "big" if data.at(start, 1) == b"." else "little"
    offset, size = data.number(start + 4, 4, order), data.number(start + 8, 4, order)
    return _one_part(data, start, data.size if is_unknown_length(size) else start + offset + size)


def walk_w64(data: Bytes, start: int) -> tuple[list[Part], int]:
    """Return the part of a Sony Wave64 file."""
    size = data.number(start + 16, 8)
    return _one_part(data, start, data.size if is_unknown_length(size) else start + max(40, size))


def walk_caf(data: Bytes, start: int) -> tuple[list[Part], int]:
    """Return the part of a Core Audio file."""
    position = start + 8
    for _ in range(_MAX_CHUNKS):
        head = data.at(position, 12)
        if len(head) < 12 or not _ID.fullmatch(head[:4]) or head[:4] == b"caff":
            break
        size = int.from_bytes(head[4:], "big")
        if size >= 1 << 63:  # -1: the data go on to the end of the file
            position = data.size
            break
        position += 12 + size
    return _one_part(data, start, max(position, start + 8))


def _find_chunk(
    data: Bytes, position: int, name: bytes, order: Literal["little", "big"]
) -> tuple[int, dict[bytes, int]]:
    """Return the position of a chunk, or the file's size if there is none, and the positions of those before it."""
    before: dict[bytes, int] = {}
    for _ in range(_MAX_CHUNKS):
        head = data.at(position, 8)
        if len(head) < 8:
            break
        if head[:4] == name:
            return position, before
        before[head[:4]] = position
        size = int.from_bytes(head[4:], order)
        position += 8 + size + size % 2
    return data.size, before


def _one_part(data: Bytes, start: int, end: int) -> tuple[list[Part], int]:
    end = min(data.size, end)
    return [Part(start, end)], end


def _end_of_chunks(data: Bytes, position: int, order: Literal["little", "big"]) -> int:
    """Return the position after the chunks that follow the samples."""

    def chunk_size(at: int) -> int | None:
        head = data.at(at, 8)
        size = int.from_bytes(head[4:], order)
        if len(head) < 8 or not _ID.fullmatch(head[:4]) or head[:4] in _BEGINNINGS:
            return None
        return size if head[:4] in _TRAILING or at + 8 + size <= data.size else None

    for _ in range(_MAX_CHUNKS):
        for at in (position, position + 1):  # chunks are padded to an even length, but some writers leave that out
            if (size := chunk_size(at)) is not None:
                position = at + 8 + size
                break
        else:
            return position
    return position


def _is_empty(data: Bytes, body: int, size: int, order: Literal["little", "big"]) -> bool:
    """Return whether a length of 0 is meant: nothing follows, or other chunks do."""
    return size == 0 and _end_of_chunks(data, body, order) >= data.size


def _mended(header: bytes, size: int, order: Literal["little", "big"]) -> bytes:
    """Return the header of a WAV file, up to its samples, with the right lengths."""
    if not header:
        return header
    first, total = header[:4], len(header) + size - 8
    if first in (b"RF64", b"BW64"):
        at = header.index(b"ds64") + 8
        sizes = total.to_bytes(8, "little") + size.to_bytes(8, "little") + bytes(8)
        return b"RF64\xff\xff\xff\xff" + header[8:at] + sizes + header[at + 24 : -4] + b"\xff\xff\xff\xff"
    if total > _RIFF_MOST and order == "little":
        sizes = (total + 36).to_bytes(8, "little") + size.to_bytes(8, "little") + bytes(12)
        return b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0" + sizes + header[12:-4] + b"\xff\xff\xff\xff"
    return first + min(total, _RIFF_MOST).to_bytes(4, order) + header[8:-4] + min(size, _RIFF_MOST).to_bytes(4, order)
