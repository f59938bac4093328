"""Containers of frames and pages: MP3, Ogg and FLAC."""

import zlib
from functools import cache
from typing import NamedTuple

from vocable.audio_files.parts import Bytes, Part, id3_size, skip_tags
from vocable.errors import AudioError

_FLAC_START = b"fLaC"
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_MAX_PADDING = 2 * 4095 + 1105  # samples that a decoder leaves out at both ends of a stream, at most
_MAX_TAG = 1 << 20  # bytes of a tag between two FLAC streams
_MAX_LEADING = 1 << 16  # bytes before the first frame of an MP3: a tag that is longer than it says
_BITRATES = {  # kbit/s, by (is MPEG-1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


class _Frame(NamedTuple):
    """Size in bytes of an MP3 frame, its samples, and what stays the same in a stream: version, layer and rate."""

    size: int
    samples: int
    stream: tuple[int, int, int]


def walk_flac(data: Bytes, start: int) -> tuple[list[Part], int]:
    """Return the FLAC streams of a file. Each begins with a marker and a header of 34 bytes, and tags may follow it."""
    marks = [start]
    position = start + 8
    while (position := data.find(_FLAC_START, position)) >= 0:
        head = data.at(position, 8)
        if len(head) == 8 and head[4] & 0x7F == 0 and head[5:] == b"\0\0\x22":
            marks.append(position)
        position += 4
    ends = [*marks[1:], data.size]
    return [Part(mark, _before_tags(data, mark, end)) for mark, end in zip(marks, ends, strict=True)], data.size


def _before_tags(data: Bytes, start: int, end: int) -> int:
    """Return the position where tags begin that end at a position. The frames before them do not say their length."""
    at = data.find(b"ID3", max(start, end - _MAX_TAG))
    while 0 <= at < end:
        size = id3_size(data.at(at, 10))  # coded sound may hold these letters, too
        if size and at + size <= end and skip_tags(data, at) == end:
            end = at
            break
        at = data.find(b"ID3", at + 1)
    if data.at(max(start, end - 128), 3) == b"TAG":
        end -= 128
    footer = data.at(max(start, end - 32), 32)
    if footer.startswith(b"APETAGEX"):
        size = int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 0x80 else 0)
        end = max(start, end - size)
    return end


def walk_ogg(data: Bytes, start: int) -> tuple[list[Part], int]:
    """Return the links of an Ogg chain.

    Raises:
        AudioError: If a page is damaged or missing. libogg leaves such pages out without a word.
    """
    position = link = start
    parts: list[Part] = []
    pages: dict[int, int] = {}
    has_content = False
    while (head := data.at(position, 27)).startswith(b"OggS"):
        lacing = data.at(position + 27, head[26]) if len(head) == 27 else b""
        size = 27 + len(lacing) + sum(lacing)
        if len(head) < 27 or len(lacing) < head[26] or position + size > data.size:  # libsndfile says where
            position = data.size
            break
        serial, number = int.from_bytes(head[14:18], "little"), int.from_bytes(head[18:22], "little")
        if head[5] & 2:
            if has_content:
                parts.append(Part(link, position))
                link, pages, has_content = position, {}, False
        else:
            has_content = True
        if serial in pages and number != pages[serial] + 1:
            raise AudioError(f"{data.name}: pages {pages[serial] + 1} to {number - 1} of the Ogg stream are missing; "
                             "copy or export it again")  # fmt: skip
        pages[serial] = number
        if _ogg_checksum(data.at(position, size)) != int.from_bytes(head[22:26], "little"):
            raise AudioError(f"{data.name}: the Ogg page at byte {position} is damaged; copy or export it again")
        position += size
    return [*parts, Part(link, position)], position


def _ogg_checksum(page: bytes) -> int:
    """Return Ogg's CRC-32 of a page. It takes the bits in the other order than zlib's, and inverts nothing."""
    content = page[:22] + bytes(4) + page[26:]
    value = zlib.crc32(content.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(value.to_bytes(4, "little").translate(_REVERSED), "big")


def mp3_frame(head: bytes) -> _Frame | None:
    """Return what the first four bytes of an MP3 frame say, or None if they are none."""
    return _frame(head[1], head[2], head[3] >> 6) if len(head) == 4 and head[0] == 0xFF else None


def walk_mp3(data: Bytes, start: int) -> tuple[list[Part], int]:
    """Return the streams of an MP3 file: each begins with a Xing or VBRI header, or with another sample rate.

    Raises:
        AudioError: If no frame is whole, bytes between frames are no tag, or a stream is shorter than its header says.
    """
    position = _first_frame(data, start)
    if position is None:
        return [Part(start, data.size)], data.size  # libsndfile says what is wrong
    parts: list[Part] = []
    stream: _Stream | None = None
    seconds = 0.0
    while position < data.size:
        head = data.at(position, 48)
        frame = mp3_frame(head[:4])
        if frame is None:
            following = skip_tags(data, position)
            if following == position:
                break
            position = following
            continue
        if position + frame.size > data.size:
            break
        header = _read_xing(data, position, head)
        if stream is None or header is not None or frame.stream != stream.kind:
            if stream is not None:
                parts.append(stream.part(data, seconds))
            stream = _Stream(position, frame, header)
        stream.stop = position = position + frame.size
        if header is None:
            stream.frames += 1
            seconds += frame.samples / frame.stream[2]
        else:
            stream.body = position
    if stream is None:  # what looked like a first frame goes past the end
        raise AudioError(f"{data.name}: the file is truncated in its first MP3 frame; copy or export it again")
    _check_end(data, position, seconds, stream)
    return [*parts, stream.part(data, seconds)], position


def _check_end(data: Bytes, position: int, seconds: float, stream: "_Stream") -> None:
    """Raise an AudioError if bytes are left that no frame holds, unless the header names no more frames than found."""
    if position == data.size or (stream.is_complete and _next_frame(data, position) is None):
        return
    if mp3_frame(data.at(position, 4)) is not None:
        raise AudioError(f"{data.name}: the file is truncated after {seconds:.2f} s; copy or export it again")
    stream.part(data, seconds)  # raises the error that says how much is missing
    raise AudioError(
        f"{data.name}: the bytes from {position} on are no MP3 frame, after {seconds:.2f} s; copy the file again, "
        "or convert it with ffmpeg -i FILE OUT.wav"
    )


class _Stream:
    """One stream of an MP3 file while its frames are counted.

    Args:
        start: Position of its first frame.
        frame: Its first frame.
        promised: Number of frames that its Xing header names; 0 if it names none, None if there is no header.
    """

    def __init__(self, start: int, frame: _Frame, promised: int | None) -> None:
        self.start = self.body = self.stop = start
        self.kind, self.samples, self.promised = frame.stream, frame.samples, promised
        self.frames = 0

    @property
    def is_complete(self) -> bool:
        """True if all frames that its header names have been found."""
        return bool(self.promised) and self.frames >= int(self.promised or 0)

    def part(self, data: Bytes, seconds: float) -> Part:
        """Return the stream as a part. It gets a header where none names its number of frames, or a wrong one.

        Without a header, libsndfile takes the first frame for the size of all, and cuts a stream of other bit rates.

        Args:
            data: File.
            seconds: Time at which the stream ends, for messages.

        Raises:
            AudioError: If the stream has fewer frames than its header says.
        """
        promised = self.promised or self.frames
        if promised > self.frames + 1:  # some writers count the header itself
            missing = (promised - self.frames) * self.samples / self.kind[2]
            raise AudioError(
                f"{data.name}: the file is truncated after {seconds:.2f} s; its header promises {missing:.2f} s more; "
                "copy or export it again"
            )
        least = max(0, (self.frames - 1) * self.samples - _MAX_PADDING)
        if self.promised and promised >= self.frames:
            return Part(self.start, self.stop, least=least, is_counted=True)
        header = _xing_frame(data.at(self.body, 4), self.frames)
        return Part(self.start, self.stop, header, self.body, least)


def _xing_frame(head: bytes, frames: int) -> bytes:
    """Return a header that names a number of frames, given the beginning of a frame; empty if it is not layer III."""
    if head[1] >> 1 & 3 != 1:
        return b""
    is_first_version, is_mono = head[1] & 0x18 == 0x18, head[3] >> 6 == 3
    side = (17 if is_mono else 32) if is_first_version else (9 if is_mono else 17)
    for bitrate in range(1, 15):
        start = bytes((0xFF, head[1] | 1, bitrate << 4 | head[2] & 0x0C, head[3]))
        content = start + bytes(side) + b"Xing\0\0\0\x01" + frames.to_bytes(4, "big")
        frame = mp3_frame(start)
        if frame is not None and frame.size >= len(content):
            return content.ljust(frame.size, b"\0")
    return b""


def _first_frame(data: Bytes, start: int) -> int | None:
    position = skip_tags(data, start)
    if mp3_frame(data.at(position, 4)) is not None:
        return position
    return _next_frame(data, position, min(data.size, position + _MAX_LEADING))


def _next_frame(data: Bytes, position: int, stop: int | None = None) -> int | None:
    """Return the next position where two frames of one kind stand one after the other, or None."""
    stop = data.size if stop is None else stop
    while 0 <= (position := data.find(b"\xff", position)) < stop:
        frame = mp3_frame(data.at(position, 4))
        if frame is not None:
            second = mp3_frame(data.at(position + frame.size, 4))
            if second is not None and second.stream == frame.stream:
                return position
        position += 1
    return None


@cache
def _frame(second: int, third: int, mode: int) -> _Frame | None:
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    rate_index, bitrate_index = third >> 2 & 3, third >> 4
    if second < 0xE0 or version == 1 or layer == 4 or rate_index == 3 or bitrate_index in (0, 15):
        return None
    rate = _RATES[version][rate_index]
    bits = _BITRATES[version == 3, layer][bitrate_index - 1] * 1000
    padding = third >> 1 & 1
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    size = (12 * bits // rate + padding) * 4 if layer == 1 else samples // 8 * bits // rate + padding
    return _Frame(size, samples, (version * 4 + layer, int(mode == 3), rate))


def _read_xing(data: Bytes, position: int, head: bytes) -> int | None:
    """Return the number of frames in the header of a stream, 0 if it has none; None if the frame is no header."""
    is_first_version, is_mono = head[1] & 0x18 == 0x18, head[3] >> 6 == 3
    side = (17 if is_mono else 32) if is_first_version else (9 if is_mono else 17)
    for at in (4 + side, 6 + side):  # with a checksum, or without
        if head[at : at + 4] in (b"Xing", b"Info"):
            flags = data.number(position + at + 4, 4, "big")
            return data.number(position + at + 8, 4, "big") if flags & 1 else 0
    return data.number(position + 50, 4, "big") if head[36:40] == b"VBRI" else None
