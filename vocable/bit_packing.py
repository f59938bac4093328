"""Bit packing: ids of a fixed number of bits side by side, least significant bit first, in token files and shards."""

from collections.abc import Iterable, Iterator
from math import gcd
from typing import Any

import numpy as np
from jaxtyping import Int32, Integer
from numpy import ndarray

_CHUNK = 1 << 13  # ids that are packed at once: hours of speech take little memory beside their ids
_UNPACKED = 1 << 15  # ids that are unpacked at once: their arrays stay in the processor's cache


def bits_per_id(codebook_size: int) -> int:
    """Return the number of bits that an id takes.

    Example:
        >>> bits_per_id(1024), bits_per_id(1025), bits_per_id(1)
        (10, 11, 1)
    """
    return max(1, (codebook_size - 1).bit_length())


def pack_ids(parts: Iterable[Integer[ndarray, "..."]], bits: int) -> bytes:
    """Return ids as bytes; the last byte is filled with zeros.

    Args:
        parts: Arrays of ids, which are joined in C order.
        bits: Number of bits of an id.

    Example:
        >>> pack_ids([np.array([1, 2]), np.array([3])], 10).hex()
        '01083000'
    """
    packed = []
    for part in _even_parts(parts):
        spread = np.empty((part.size, bits), dtype=np.uint8)
        for bit in range(bits):  # one expression would take ten times the memory
            spread[:, bit] = (part >> bit) & 1
        packed.append(np.packbits(spread, bitorder="little").tobytes())
    return b"".join(packed)


def unpack_ids(data: Any, count: int, bits: int) -> Int32[ndarray, " M"]:
    """Return the first ids of packed bytes; see :func:`pack_ids`.

    The bytes repeat their alignment every few ids. So each of these ids is read from all places at once: as 4 bytes
    that begin where the id begins, shifted and masked.

    Args:
        data: Bytes, or another buffer, of at least ``ceil(count · bits / 8)`` bytes.
        count: Number of ids M.
        bits: Number of bits of an id, at most 24.

    Example:
        >>> unpack_ids(bytes.fromhex("01083000"), 3, 10).tolist()
        [1, 2, 3]
    """
    period = 8 // gcd(bits, 8)  # ids after which one begins at a whole byte again
    step = period * bits // 8
    rows = -(-count // period)
    content = np.frombuffer(data, dtype=np.uint8)
    whole = max(0, min(rows, (content.size - 3) // step))  # 4 bytes are read from each place, which the end lacks
    ids = np.empty((rows, period), dtype=np.int32)
    for start in range(0, whole, _UNPACKED // period):
        stop = min(whole, start + _UNPACKED // period)
        _unpack_runs(content, start, ids[start:stop], bits, step)
    if whole < rows:
        end = np.zeros((rows - whole) * step + 4, dtype=np.uint8)
        rest = content[whole * step : rows * step]
        end[: rest.size] = rest
        _unpack_runs(end, 0, ids[whole:], bits, step)
    return ids.reshape(-1)[:count]


def _unpack_runs(
    content: Integer[ndarray, " bytes"], first: int, ids: Int32[ndarray, "R P"], bits: int, step: int
) -> None:
    """Unpack runs of P ids, each of which begins at a whole byte, into an array, from run number ``first`` on."""
    for place in range(ids.shape[1]):
        byte, shift = divmod(place * bits, 8)
        words = ndarray((len(ids),), "<u4", content, first * step + byte, (step,))
        ids[:, place] = (words >> np.uint32(shift)) & np.uint32((1 << bits) - 1)


def _even_parts(parts: Iterable[Integer[ndarray, "..."]]) -> Iterator[Integer[ndarray, " M"]]:
    """Yield ids in small parts, whose bits end on whole bytes, except in the last part."""
    rest = np.zeros(0, dtype=np.int64)
    for part in parts:
        flat = part.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            joined = np.concatenate([rest, flat[start : start + _CHUNK]])
            full = joined.size - joined.size % 8
            rest = joined[full:]
            yield joined[:full]
    yield rest
