"""Tokens, their specification, and token files.

A token file holds one batch of tokens:

```text
bytes           contents
0 … 7           magic: 89 56 4F 43 54 4F 4B 0A
8 … 9           version, unsigned little-endian: 1
10 … 13         H, length of the header, unsigned little-endian
14 … 13 + H     header: UTF-8 JSON (see ``_Header``): spec, tokenizer digest, and each clip's frames, samples, text
                ids, bit-packed: clip after clip, frame after frame, level after level, each in
                ceil(log2 K) bits, least significant bit first; the last byte filled with zeros
                voices, if the header gives a voice width V: V little-endian float32 for each clip
last 4          CRC-32 of all bytes before, unsigned little-endian
```
"""

import os
import struct
import zlib
from dataclasses import asdict, dataclass, fields, replace
from math import log2
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from vocable.errors import ConfigError, SpecError, TokenFileError
from vocable.files import write_whole
from vocable.schema import config, parse, to_bytes

MAGIC = b"\x89VOCTOK\n"
VERSION = 1
_MAX_IDS = 1 << 28  # of a padded batch (2 GiB): a small file with one long clip and many empty ones may ask for more
_PREFIX = struct.Struct("<8sHI")


@dataclass(frozen=True, kw_only=True)
class TokenSpec:
    """Specification of tokens: the time that a frame covers, and the size and number of codebooks.

    Attributes:
        sample_rate: Sample rate of the speech in Hz.
        hop: Samples that a frame covers; None where frames have no fixed duration, as with one token for each subword.
        codebook_size: Number of entries K of each codebook.
        num_codebooks: Number of codebooks Q, which is the number of ids of a frame.

    Raises:
        SpecError: If a value is out of range, or a rate is asked of tokens without a fixed frame rate.

    Example:
        >>> spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=1024, num_codebooks=8)
        >>> spec.frame_rate, spec.token_rate, spec.bit_rate
        (50.0, 400.0, 4000.0)
    """

    sample_rate: int
    hop: int | None
    codebook_size: int
    num_codebooks: int = 1

    def __post_init__(self) -> None:
        limits = {"sample_rate": 768_000, "hop": 1 << 24, "codebook_size": 1 << 24, "num_codebooks": 1024}
        for name, most in limits.items():
            value = getattr(self, name)
            if not (1 <= value <= most if value is not None else name == "hop"):
                raise SpecError(f"{name} is {value}: it must be between 1 and {most}")

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        if self.hop is None:
            raise SpecError("frame_rate: these tokens do not follow the clock; count the frames instead")
        return self.sample_rate / self.hop

    @property
    def token_rate(self) -> float:
        """Tokens per second: frame rate times number of codebooks."""
        return self.frame_rate * self.num_codebooks

    @property
    def bits_per_frame(self) -> float:
        """Maximum information in one frame, in bits."""
        return self.num_codebooks * log2(self.codebook_size)

    @property
    def bit_rate(self) -> float:
        """Maximum bits per second."""
        return self.frame_rate * self.bits_per_frame


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """A batch of clips as ids.

    Attributes:
        ids: Ids of shape (B, Q, N), each in [0, K); 0 behind a clip's end.
        lengths: Number of frames of each clip, of shape (B,).
        samples: Number of samples of each clip at ``spec.sample_rate``, of shape (B,); decoding restores it.
        spec: Specification of the tokens; its ``num_codebooks`` is this batch's Q.
        tokenizer: Digest of the tokenizer that made the tokens; decoding with another one is an error.
        text: Transcript of each clip, None where there is none.
        voice: Voice vector of each clip, of shape (B, V), for tokenizers that keep one beside the tokens.

    Raises:
        SpecError: If shapes, ranges or counts contradict one another.

    Example:
        >>> spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=4, num_codebooks=2)
        >>> tokens = Tokens(
        ...     ids=torch.tensor([[[0, 1, 2], [3, 2, 1]]]), lengths=torch.tensor([3]),
        ...     samples=torch.tensor([900]), spec=spec, tokenizer="example",
        ... )
        >>> tokens.keep_levels(1).ids.tolist(), tokens.keep_levels(1).spec.bit_rate
        ([[[0, 1, 2]]], 100.0)
    """

    ids: Int[Tensor, "B Q N"]
    lengths: Int[Tensor, " B"]
    samples: Int[Tensor, " B"]
    spec: TokenSpec
    tokenizer: str
    text: tuple[str | None, ...] | None = None
    voice: Float[Tensor, "B V"] | None = None

    def __post_init__(self) -> None:
        if self.ids.ndim != 3 or self.ids.dtype != torch.int64:
            raise SpecError(
                f"ids are {self.ids.dtype} of shape {tuple(self.ids.shape)}, expected int64 of shape (B, Q, N)"
            )
        batch, levels, frames = self.ids.shape
        if levels != self.spec.num_codebooks:
            raise SpecError(f"ids have {levels} levels but the spec says {self.spec.num_codebooks}")
        for name, value in (("lengths", self.lengths), ("samples", self.samples)):
            if value.shape != (batch,):
                raise SpecError(f"{name} have shape {tuple(value.shape)}, expected ({batch},), one for each clip")
        if batch and (int(self.lengths.min()) < 0 or int(self.lengths.max()) > frames):
            raise SpecError(f"lengths {self.lengths.tolist()} do not fit the {frames} frames of the ids")
        if batch and int(self.samples.min()) < 0:
            raise SpecError(f"samples are {self.samples.tolist()}; counts cannot be negative")
        if self.ids.numel() and (int(self.ids.min()) < 0 or int(self.ids.max()) >= self.spec.codebook_size):
            raise SpecError(
                f"ids lie in [{int(self.ids.min())}, {int(self.ids.max())}] "
                f"but the codebook has entries 0 to {self.spec.codebook_size - 1}"
            )
        if self.text is not None and len(self.text) != batch:
            raise SpecError(f"there are {len(self.text)} texts for {batch} clips")
        if self.voice is not None and (self.voice.ndim != 2 or len(self.voice) != batch or not self.voice.shape[1]):
            raise SpecError(f"voice has shape {tuple(self.voice.shape)}, expected ({batch}, V) with V > 0")

    def __len__(self) -> int:
        """Return the number of clips in the batch."""
        return self.ids.shape[0]

    def keep_levels(self, count: int) -> "Tokens":
        """Return the tokens with the first ``count`` levels alone, for a lower bit rate.

        Raises:
            SpecError: If ``count`` is not in [1, Q].
        """
        if not 1 <= count <= self.spec.num_codebooks:
            raise SpecError(f"{count} levels were asked of tokens that have {self.spec.num_codebooks}")
        return replace(self, ids=self.ids[:, :count], spec=replace(self.spec, num_codebooks=count))

    def clip(self, index: int) -> "Tokens":
        """Return one clip as a batch of one, without padding; a negative index counts from the end."""
        index = range(len(self))[index]
        row = slice(index, index + 1)
        return replace(
            self, ids=self.ids[row, :, : int(self.lengths[index])], lengths=self.lengths[row],
            samples=self.samples[row], text=self.text and self.text[row],
            voice=None if self.voice is None else self.voice[row],
        )  # fmt: skip

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a token file, completely or not at all.

        Raises:
            OutputError: If the file cannot be written.
        """
        write_whole(Path(path), lambda temporary: temporary.write_bytes(pack(self)))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Tokens":
        """Read a token file.

        Raises:
            TokenFileError: If the file is missing, no token file, of another version, truncated or altered.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise TokenFileError(f"{path}: cannot be read ({error.strerror}); check the path and its rights") from error
        try:
            return unpack(data)
        except TokenFileError as error:
            raise TokenFileError(f"{path}: {error}") from error


@config
class _Clip:
    frames: Annotated[int, Field(ge=0, lt=1 << 40)]
    samples: Annotated[int, Field(ge=0, lt=1 << 50)]
    text: str | None = None


@config
class _Header:
    """JSON header of a token file. Every key is required, except that ``text`` may be missing."""

    sample_rate: int
    hop: int | None
    codebook_size: int
    num_codebooks: int
    tokenizer: str
    voice_width: Annotated[int, Field(ge=0, lt=1 << 20)]
    clips: tuple[_Clip, ...]


def pack(tokens: Tokens) -> bytes:
    """Return tokens as the bytes of a token file.

    Raises:
        SpecError: If the batch is too large for one file.
    """
    spec = tokens.spec
    if tokens.ids.numel() > _MAX_IDS:
        raise SpecError(f"{tokens.ids.numel()} ids are too many for one token file; write at most {_MAX_IDS}")
    texts = tokens.text or (None,) * len(tokens)
    clips = zip(tokens.lengths.tolist(), tokens.samples.tolist(), texts, strict=True)
    header = to_bytes(_Header(
        **asdict(spec), tokenizer=tokens.tokenizer, voice_width=0 if tokens.voice is None else tokens.voice.shape[1],
        clips=tuple(_Clip(frames=frames, samples=samples, text=text) for frames, samples, text in clips),
    ))  # fmt: skip
    rows = [tokens.ids[row, :, :frames].T.reshape(-1) for row, frames in enumerate(tokens.lengths.tolist())]
    ids = torch.cat(rows).cpu().numpy() if rows else np.zeros(0, dtype=np.int64)
    voice = b"" if tokens.voice is None else tokens.voice.detach().float().cpu().numpy().astype("<f4").tobytes()
    body = _PREFIX.pack(MAGIC, VERSION, len(header)) + header + _pack_bits(ids, _id_bits(spec)) + voice
    return body + struct.pack("<I", zlib.crc32(body))


def unpack(data: bytes) -> Tokens:
    """Return the tokens in the bytes of a token file.

    Raises:
        TokenFileError: If the bytes are no token file, of another version, truncated or altered.
    """
    header, spec, payload = _open(data)
    clips, bits = header.clips, _id_bits(spec)
    counts = [clip.frames * spec.num_codebooks for clip in clips]
    id_bytes = -(-sum(counts) * bits // 8)
    expected = id_bytes + 4 * header.voice_width * len(clips)
    if len(payload) != expected:
        raise TokenFileError(
            f"the header promises {expected} bytes of ids and voices, {len(payload)} are there; make the file again"
        )
    longest = max((clip.frames for clip in clips), default=0)
    if len(clips) * spec.num_codebooks * longest > _MAX_IDS:
        raise TokenFileError(f"{len(clips)} clips of up to {longest} frames are too many for one file; split them")
    flat = torch.from_numpy(_unpack_bits(payload[:id_bytes], sum(counts), bits))
    voice = np.frombuffer(payload[id_bytes:], dtype="<f4").reshape(-1, max(1, header.voice_width))
    texts = tuple(clip.text for clip in clips)
    ids = torch.zeros(len(clips), spec.num_codebooks, longest, dtype=torch.int64)
    for row, (clip, part) in enumerate(zip(clips, flat.split(counts), strict=True)):
        ids[row, :, : clip.frames] = part.reshape(clip.frames, spec.num_codebooks).T
    try:
        return Tokens(
            ids=ids, spec=spec, tokenizer=header.tokenizer,
            lengths=torch.tensor([clip.frames for clip in clips], dtype=torch.int64),
            samples=torch.tensor([clip.samples for clip in clips], dtype=torch.int64),
            text=texts if any(text is not None for text in texts) else None,
            voice=torch.from_numpy(voice.astype(np.float32)) if header.voice_width else None,
        )  # fmt: skip
    except SpecError as error:
        raise TokenFileError(f"the contents contradict one another: {error}; make the file again") from error


def _open(data: bytes) -> tuple[_Header, TokenSpec, bytes]:
    """Return the header, its spec, and the packed ids and voices."""
    if len(data) < _PREFIX.size + 4 or not data.startswith(MAGIC):
        if data and MAGIC.startswith(data[: len(MAGIC)]):
            raise TokenFileError("the token file is truncated; copy or make it again")
        raise TokenFileError("this is not a token file: `vocable encode` makes them")
    _, version, header_size = _PREFIX.unpack_from(data)
    if version != VERSION:
        raise TokenFileError(
            f"the token file is of version {version}, this vocable reads {VERSION}; install another version of vocable"
        )
    body, (checksum,) = data[:-4], struct.unpack("<I", data[-4:])
    if zlib.crc32(body) != checksum:
        raise TokenFileError("the token file is truncated or altered (wrong checksum); copy or make it again")
    start = _PREFIX.size + header_size
    if start > len(body):
        raise TokenFileError(f"the header promises {header_size} bytes of itself; make the file again")
    try:
        header = parse(_Header, body[_PREFIX.size : start], "")
        spec = TokenSpec(**{field.name: getattr(header, field.name) for field in fields(TokenSpec)})
    except (ConfigError, SpecError) as error:
        raise TokenFileError(f"the header is not valid ({error}); make the file again") from error
    return header, spec, body[start:]


def _id_bits(spec: TokenSpec) -> int:
    return max(1, (spec.codebook_size - 1).bit_length())


def _pack_bits(ids: np.ndarray, bits: int) -> bytes:
    spread = np.empty((ids.size, bits), dtype=np.uint8)
    for bit in range(bits):  # one expression would take ten times the memory
        spread[:, bit] = (ids >> bit) & 1
    return np.packbits(spread, bitorder="little").tobytes()


def _unpack_bits(data: bytes, count: int, bits: int) -> np.ndarray:
    spread = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=count * bits, bitorder="little")
    ids = np.zeros(count, dtype=np.int64)
    for bit, plane in enumerate(spread.reshape(count, bits).T):
        ids |= plane.astype(np.int64) << bit
    return ids
