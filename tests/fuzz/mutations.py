"""Seeded mutations of files: of bytes, of lines, of JSON values, and of values behind a checksum."""

import copy
import json
import math
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

Mutate = Callable[[bytes, random.Random], bytes]

DEEP = "[" * 5_000 + "]" * 5_000
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 255, 65_537, 1 << 31, 1 << 53, (1 << 63) - 1, 1 << 63, 10**30, 10**400,
    -(10**30), 0.5, -0.0, 1e-320, 1e308, math.nan, math.inf, -math.inf, "", " ", "a", "\0", "\ud800", "\udcff", "../..",
    "/dev/zero", "x" * 5_000, "</script>", "1", "nan", [], {}, [[]], [None], [0] * 1_000, {"": None},
    {"a": {"a": {"a": []}}}, [1, "a", None], "sha256:", "cpu", "{", "\u2028",
)  # fmt: skip
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def bytes_of(data: bytes, rng: random.Random) -> bytes:
    """Change a few bytes anywhere, cut, repeat, insert or overwrite."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(changed) + 1)
        if rng.random() < 0.4:
            at = min(at, rng.randrange(1, 129))  # headers decide most
        size = rng.choice((1, 1, 2, 4, 8, 100, 5_000))
        kind = rng.randrange(8)
        if kind < 2 and at < len(changed):
            changed[at] = changed[at] ^ 1 << rng.randrange(8) if kind else rng.randrange(256)
            continue
        with_what, end = {
            2: (b"", at + size), 3: (rng.randbytes(size), at), 4: (bytes(changed[at : at + size]), at),
            5: (b"", len(changed)), 6: (struct.pack(rng.choice("<>") + "I", rng.choice(EDGES)), at + 4),
            7: (bytes([rng.choice((0, 0x20, 0x30, 0xFF))]) * size, at + size),
        }.get(kind, (b"", at + 1))  # fmt: skip
        changed[at:end] = with_what
    return bytes(changed)


def json_of(data: bytes, rng: random.Random) -> bytes:
    """Change values, keys or the shape of a JSON document."""
    if rng.random() < 0.03:
        return rng.choice((DEEP, "", "nul", '{"a": 1, "a": 2}', "\ufeff{}", '"\\ud800"', "[1e999]", "{}{}")).encode()
    values = _change(json.loads(data), rng)
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        values = _change(values, rng)
    text = json.dumps(values, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.05 and '"' in text:  # a key that stands twice
        text = text[:-1] + (f", {text[1:]}" if text[0] == "{" and len(text) > 2 else text[-1:])
    if rng.random() < 0.02:
        text = text.replace("[", DEEP[:5_000], 1)
    return text.encode(errors="surrogatepass")


def lines_of(data: bytes, rng: random.Random) -> bytes:
    """Change one line of a file of JSON lines, or the order and number of lines."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    match rng.randrange(8):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, rng.choice(lines))
        case 2:
            rng.shuffle(lines)
        case 3:
            lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
        case _:
            full = [index for index, line in enumerate(lines) if line.startswith(b"{")]
            at = rng.choice(full)
            lines[at] = json_of(lines[at], rng)
    return b"\n".join(lines)


def words_of(data: bytes, rng: random.Random) -> bytes:
    """Change words, cells or lines of a text."""
    text = data.decode("utf-8", errors="replace")
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    value = rng.choice(HOSTILE)
    hostile = (
        value if isinstance(value, str) else str(value) if not isinstance(value, list | dict) else json.dumps(value)
    )
    for separator in rng.sample(([",", " ", "\t", "=", ": "]), 5):
        if separator in lines[at]:
            cells = lines[at].split(separator)
            cell = rng.randrange(len(cells))
            match rng.randrange(4):
                case 0:
                    del cells[cell]
                case 1:
                    cells.insert(cell, cells[cell])
                case _:
                    cells[cell] = hostile
            lines[at] = separator.join(cells)
            break
    else:
        lines[at] = rng.choice((hostile, "", lines[at] * 2))
    if rng.random() < 0.1:
        rng.shuffle(lines)
    return "\n".join(lines).encode(errors="surrogatepass")


def safetensors_of(data: bytes, rng: random.Random) -> bytes:
    """Change the header of a safetensors file: shapes, types, offsets, names, metadata; or its numbers."""
    size = struct.unpack("<Q", data[:8])[0]
    header, body = data[8 : 8 + size], data[8 + size :]
    if rng.random() < 0.3:
        spoiled = bytearray(body)
        for _ in range(rng.choice((1, 4))):
            at = rng.randrange(max(1, len(spoiled) // 4)) * 4
            spoiled[at : at + 4] = struct.pack("<f", rng.choice((math.nan, math.inf, -math.inf, 1e38, -0.0, 1e-40)))
        return data[: 8 + size] + bytes(spoiled[: len(body)])
    values = json.loads(header)
    names = [name for name in values if name != "__metadata__"]
    name = rng.choice(names)
    match rng.randrange(9):
        case 0:
            values[name]["dtype"] = rng.choice(
                ("F64", "I64", "U8", "BOOL", "F8_E4M3", "F4", "C64", "BF16", "F16", "x", 3)
            )
        case 1:
            shape = list(values[name]["shape"])
            values[name]["shape"] = rng.choice(
                (shape[::-1], [*shape, 1], [math.prod(shape)], [], [0], [1 << 62, 4], [-1])
            )
        case 2:
            values[name]["data_offsets"] = rng.choice(
                ([0, 0], [4, 0], [0, 1 << 62], [-4, 4], [0], [0, len(body)], None)
            )
        case 3:
            del values[name]
        case 4:
            values[rng.choice(("x", "", "\u202e", "a" * 5_000, "__metadata__"))] = values.pop(name)
        case 5:
            other = rng.choice(names)
            values[name], values[other] = values[other], values[name]
        case 6:
            values["__metadata__"] = rng.choice(({"format": "tf"}, {}, {"digest": "x"}, None, {"a": 1}, "x"))
        case _:
            values = _change(values, rng)
    text = json.dumps(values).encode()
    claimed = len(text) if rng.random() < 0.9 else rng.choice((0, 1, 1 << 40, (1 << 64) - 1, len(text) + 8))
    return struct.pack("<Q", claimed) + text + body


def tokens_of(data: bytes, rng: random.Random) -> bytes:
    """Change header, ids or voices of a token file, and correct its lengths and its checksum."""
    magic, version, size = struct.unpack("<8sHI", data[:14])
    header, payload = data[14 : 14 + size], data[14 + size : -4]
    kind = rng.randrange(4)
    if kind == 0:
        payload = bytes_of(payload, rng)
    elif kind == 1:
        payload = payload[: rng.randrange(len(payload) + 1)] if rng.random() < 0.5 else payload + rng.randbytes(4)
    else:
        header = json_of(header, rng)
    version = rng.choice((version, version, version, 1, 2, 3, 0, 65_535))
    size = rng.choice((len(header),) * 8 + (0, len(header) + 1, (1 << 32) - 1))
    body = struct.pack("<8sHI", magic, version, size) + header + payload
    return body + struct.pack("<I", zlib.crc32(body))


def shard_of(data: bytes, rng: random.Random) -> bytes:
    """Change head, table or blocks of a token shard, and correct its lengths and its checksums."""
    magic, version, zero, size, _ = struct.unpack("<8sHHII", data[:20])
    head, blocks = data[20 : 20 + size], data[20 + size : -20 - size]
    end = 4 + int.from_bytes(head[:4], "little")
    text, table = head[4:end], head[end:]
    kind = rng.randrange(5)
    if kind == 0:
        blocks = bytes_of(blocks, rng)
    elif kind == 1:
        table = bytes_of(table, rng)
    elif kind == 2:
        at = rng.randrange(len(table) // 8) * 8
        table = table[:at] + struct.pack("<II", rng.choice(EDGES), rng.choice(EDGES)) + table[at + 8 :]
    else:
        text = json_of(text, rng)
    if rng.random() < 0.5:
        try:
            values, place = json.loads(text), 0  # a mutation can be one that no reader of JSON takes
            for block in values["blocks"]:
                block["crc32"] = zlib.crc32(blocks[place : place + block["size"]])
                place += block["size"]
            text = json.dumps(values).encode()
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error):
            pass
    head = len(text).to_bytes(4, "little") + text + table
    version = rng.choice((version,) * 8 + (0, 2, 65_535))
    prefix = struct.pack("<8sHHII", magic, version, zero, len(head), zlib.crc32(head))
    return prefix + head + blocks + head + prefix


def _change(values: Any, rng: random.Random) -> Any:
    """Return JSON values with one place changed."""
    places = list(_places(values))
    if not places or rng.random() < 0.03:
        return _hostile(rng)
    holder, key = rng.choice(places)
    match rng.randrange(10):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[f"{key}_" if rng.random() < 0.5 else key.upper()] = holder.pop(key)
        case 2 if isinstance(holder, dict):
            holder[rng.choice(("", "x", "kind", "\ud800", "__class__"))] = _hostile(rng)
        case 2 | 3 if isinstance(holder, list):
            holder.insert(key, rng.choice((holder[key], _hostile(rng))))
        case 4 if type(holder[key]) in (int, float) and abs(holder[key]) < 1e300:
            holder[key] = rng.choice(
                (holder[key] + 1, holder[key] - 1, holder[key] * 1000, -holder[key], holder[key] / 3)
            )
        case 5:
            holder[key] = rng.choice(([holder[key]], {"a": holder[key]}, str(holder[key])))
        case 6:
            other, name = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[name])) if _has(other, name) else None
        case _:
            holder[key] = _hostile(rng)
    return values


def _hostile(rng: random.Random) -> Any:
    """Return a copy of a hostile value: one that is changed in place must not come again."""
    return copy.deepcopy(rng.choice(HOSTILE))


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _places(values: Any) -> Any:
    """Yield each holder with a key, at all depths."""
    for key in list(values) if isinstance(values, dict) else range(len(values)) if isinstance(values, list) else ():
        yield values, key
        yield from _places(values[key])
