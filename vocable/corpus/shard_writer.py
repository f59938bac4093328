"""Writing of token shards (layout: top of :mod:`vocable.corpus.shard_format`): the same rows give the same bytes."""

import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

from vocable.arguments import check_arguments
from vocable.bit_packing import bits_per_id, pack_ids
from vocable.corpus.shard_format import ROW, SUFFIX, BlockHeader, FailedRow, ShardHeader, ShardRow, pack_head
from vocable.errors import OutputError, SpecError
from vocable.files import json_line, write_whole
from vocable.interfaces import Tokenizer
from vocable.schema import to_json
from vocable.token_file import Setting
from vocable.tokens import BEAM, Tokens
from vocable.voices import pack_voices

_PART = 1 << 13  # frames that are packed at once
_BLOCK_BYTES, _BLOCK_ROWS = 1 << 16, 256  # a block is full with either; a reader unpacks one for each row it looks up


def shard_header(tokenizer: Tokenizer, settings: Mapping[str, Setting] | None = None) -> ShardHeader:
    """Return the header of shards of a tokenizer, without blocks.

    Args:
        tokenizer: Tokenizer that makes the tokens.
        settings: Settings of the encoding. ``levels``, if it is set, is the number of levels of the tokens.
    """
    spec, chosen = tokenizer.spec, dict(settings or {})
    levels = chosen.get("levels")
    form = getattr(tokenizer, "format", None)
    voice = {name: getattr(form, name) for name in ("voice_width", "voice_levels") if hasattr(form, name)}
    return ShardHeader(
        sample_rate=spec.sample_rate, hop=spec.hop, codebook_size=spec.codebook_size,
        num_codebooks=spec.num_codebooks if levels is None else int(levels), tokenizer=tokenizer.digest,
        model=getattr(tokenizer, "name", None), settings=chosen, **voice,
    )  # fmt: skip


def encoding_settings(tokenizer: Tokenizer, levels: int | None) -> dict[str, Setting]:
    """Return the settings that ids depend on beside the tokenizer's weights: levels and beam, if they are not usual."""
    beam = getattr(tokenizer, BEAM, 1)
    return ({} if levels is None else {"levels": levels}) | ({} if beam == 1 else {BEAM: beam})


@check_arguments
def write_shard(
    path: str | os.PathLike[str], rows: Iterable[tuple[ShardRow, Tokens]], header: ShardHeader,
    failed: Iterable[FailedRow] = (),
) -> None:  # fmt: skip
    """Write a shard, completely or not at all.

    Args:
        path: Path of the file, which ends in ``.shard``.
        rows: Metadata and tokens of each row; tokens of one clip.
        header: Header without blocks: tokenizer and specification that all rows share; see :func:`shard_header`.
        failed: Recordings that could not be encoded.

    Raises:
        OutputError: If the file cannot be written, or its name has another suffix.
        SpecError: If tokens are of another tokenizer or specification, or hold several clips.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from vocable.corpus.shard import TokenShard
        >>> header = ShardHeader(sample_rate=16_000, hop=320, codebook_size=4, num_codebooks=2, tokenizer="example")
        >>> failure = FailedRow(id="b.wav", kind="AudioError", reason="b.wav: it is empty")
        >>> with TemporaryDirectory() as folder:
        ...     write_shard(f"{folder}/a.shard", [], header, [failure])
        ...     TokenShard.open(f"{folder}/a.shard").failed[0].reason
        'b.wav: it is empty'
    """
    target = Path(path)
    if target.suffix != SUFFIX:
        raise OutputError(f"{target}: a token shard is a file that ends in {SUFFIX}; name it so")
    draft = _Draft(header)
    for row, tokens in rows:
        draft.add(row, tokens)
    draft.close_block(failed=False)
    for failure in failed:
        draft.add_failed(failure)
    draft.close_block(failed=True)
    content = draft.finish()
    write_whole(target, lambda temporary: temporary.write_bytes(content))


@dataclass
class _Draft:
    """Blocks that are finished, and the rows of the next one."""

    header: ShardHeader
    blocks: list[tuple[bytes, int, bool]] = field(default_factory=list)
    table: list[tuple[int, int, int]] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    voices: list[bytes] = field(default_factory=list)
    metadata: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, row: ShardRow, tokens: Tokens) -> None:
        """Add a row."""
        self._check(row, tokens)
        frames, spec = int(tokens.lengths[0]), self.header.spec
        ids = tokens.ids[0, :, :frames].T.cpu().numpy()
        parts = (ids[start : start + _PART] for start in range(0, frames, _PART))  # a copy of the whole may be large
        padding = np.zeros(-ids.size % 8, dtype=ids.dtype)
        self.ids.append(pack_ids(chain(parts, [padding]), bits_per_id(spec.codebook_size)))
        if tokens.voice is not None:
            self.voices.append(pack_voices(tokens.voice, tokens.voice_levels))
        self._add_metadata(row, frames, int(tokens.samples[0]))
        self.size += len(self.ids[-1])
        if self.size >= _BLOCK_BYTES or len(self.metadata) == _BLOCK_ROWS:
            self.close_block(failed=False)

    def add_failed(self, row: FailedRow) -> None:
        """Add a recording that failed."""
        self._add_metadata(row, 0, 0)
        if len(self.metadata) == _BLOCK_ROWS:
            self.close_block(failed=True)

    def close_block(self, *, failed: bool) -> None:
        """Make a block of the rows that were added since the last one."""
        if self.metadata:
            content = b"".join([*self.ids, *self.voices, *self.metadata])
            self.blocks.append((content, len(self.metadata), failed))
        self.ids, self.voices, self.metadata, self.size = [], [], [], 0

    def finish(self) -> bytes:
        """Return the bytes of the shard."""
        records = tuple(
            BlockHeader(size=len(content), rows=rows, crc32=zlib.crc32(content), failed=failed)
            for content, rows, failed in self.blocks
        )
        prefix, head = pack_head(replace(self.header, blocks=records), np.array(self.table, dtype=ROW))
        return b"".join([prefix, head, *(content for content, _, _ in self.blocks), head, prefix])

    def _add_metadata(self, row: ShardRow, frames: int, samples: int) -> None:
        text = json_line({name: value for name, value in to_json(row).items() if value not in (None, {})}).encode()
        self.metadata.append(text)
        self.table.append((frames, len(text), samples))

    def _check(self, row: ShardRow, tokens: Tokens) -> None:
        if len(tokens) != 1:
            raise SpecError(f"{row.id}: a row holds one clip, these tokens {len(tokens)}; add them clip by clip")
        if tokens.tokenizer != self.header.tokenizer or tokens.spec != self.header.spec:
            raise SpecError(
                f"{row.id}: the tokens are {tokens.spec} of tokenizer {tokens.tokenizer[:23]}, the shard has "
                f"{self.header.spec} of {self.header.tokenizer[:23]}; write them to another shard"
            )
        voice = (0, None) if tokens.voice is None else (tokens.voice.shape[1], tokens.voice_levels)
        if voice != (self.header.voice_width, self.header.voice_levels):
            (width, levels), header = voice, self.header
            raise SpecError(
                f"{row.id}: the voice has {width} numbers of {levels or 'float32'}, the shard {header.voice_width} of "
                f"{header.voice_levels or 'float32'}; write it to another shard"
            )
