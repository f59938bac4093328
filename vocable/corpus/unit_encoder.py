"""Encoding of one unit of a corpus plan: audio is read ahead in a thread while the networks run."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vocable.audio import Audio, read_blocks
from vocable.audio_files.reader import open_audio
from vocable.corpus.archive_sample import ArchiveSample, audio_file
from vocable.corpus.archives import read_span
from vocable.corpus.read_ahead import read_ahead
from vocable.corpus.shard_format import FailedRow, ShardRow
from vocable.corpus.sources import printable_values
from vocable.corpus.work_plan import Unit
from vocable.errors import AudioError, InputError, VocableError, is_out_of_memory, name_failure
from vocable.files import sha256
from vocable.interfaces import Streaming, Tokenizer
from vocable.tokens import Tokens

LONG_SECONDS = 120.0  # a longer recording is encoded block by block, where the tokenizer can do that
_GROUP_SECONDS, _GROUP_CLIPS = 60.0, 64  # of clips that are encoded together
Row = tuple[ShardRow, Tokens] | FailedRow
"""Result of one recording."""


@dataclass
class _Clip:
    """A recording that is ready to be encoded.

    Attributes:
        row: Metadata.
        audio: Samples at the tokenizer's rate; None where the file is to be read block by block.
        path: Path of the file; None where there is none.
        seconds: Duration.
        error: Reason why it cannot be encoded.
        held: What keeps the file in being until it is closed.
    """

    row: ShardRow
    audio: Audio | None = None
    path: Path | None = None
    seconds: float = 0.0
    error: VocableError | None = None
    held: ExitStack = field(default_factory=ExitStack)


class UnitEncoder:
    """Encoder of units: groups of short recordings together, long ones block by block.

    Where a group cannot be encoded, its halves are tried, down to single recordings. So a recording that fails costs
    no other one, and neither does a lack of memory. After the latter, groups stay small.

    Args:
        tokenizer: Tokenizer to encode with.
        levels: Number of levels to keep, counted from the first; all by default.
        watch: Function that gets the seconds of each recording that is done, or None if it failed.
        group_seconds: Speech that is encoded together at most.
    """

    def __init__(
        self, tokenizer: Tokenizer, levels: int | None = None, *,
        watch: Callable[[float | None], None] = lambda seconds: None, group_seconds: float = _GROUP_SECONDS,
    ) -> None:  # fmt: skip
        self._tokenizer, self._levels, self._watch = tokenizer, levels, watch
        self._group_seconds, self._group_clips = group_seconds, _GROUP_CLIPS

    def encode(self, unit: Unit, skip: Callable[[str], Row | None] = lambda row_id: None) -> Iterator[Row]:
        """Yield the result of each recording of a unit, in order.

        Args:
            unit: Unit to encode.
            skip: Function from the id of a recording to its result, if it need not be encoded again.
        """
        group: list[_Clip] = []
        clips = read_ahead(self._read(unit, skip), 2 * self._group_seconds, _seconds)
        try:
            for clip in clips:
                if not isinstance(clip, _Clip):
                    yield from self._encode_group(group)
                    group = []
                    yield clip
                    continue
                group.append(clip)
                is_full = sum(one.seconds for one in group) >= self._group_seconds or len(group) >= self._group_clips
                if is_full or clip.audio is None:
                    yield from self._encode_group(group)
                    group = []
            yield from self._encode_group(group)
        finally:
            clips.close()
            for clip in group:
                clip.held.close()

    def _read(self, unit: Unit, skip: Callable[[str], Row | None]) -> Iterator[_Clip | Row]:
        for row, problem, opened in _recordings(unit):
            done = skip(row.id)
            yield done if done is not None else self._read_clip(row, problem, opened)

    def _read_clip(self, row: ShardRow, problem: str, opened: Any) -> _Clip:
        """Read a recording, or only its header where it is long; what is wrong with it becomes its error."""
        clip = _Clip(row)
        if problem:
            clip.error = InputError(problem)
            return clip
        rate = self._tokenizer.spec.sample_rate
        try:
            with name_failure(row.id), ExitStack() as held:
                clip.path = path = held.enter_context(opened)
                file = open_audio(path)
                frames = file.frames
                clip.seconds = 0.0 if frames is None else frames / file.sample_rate
                clip.row = _with_hash(row, path)
                is_short = frames is not None and clip.seconds <= LONG_SECONDS
                if is_short or not isinstance(self._tokenizer, Streaming):
                    clip.audio = Audio.read(path, rate)
                    clip.seconds = clip.audio.duration
                else:
                    clip.held = held.pop_all()
        except VocableError as error:
            clip.error = error
        return clip

    def _encode_group(self, group: list[_Clip]) -> Iterator[Row]:
        good = [clip for clip in group if clip.error is None]
        found = iter(self._encode_clips(good))
        for clip in group:
            clip.held.close()
            result = clip.error or next(found)
            if isinstance(result, VocableError):
                self._watch(None)
                yield _failed(clip, result)
            else:
                self._watch(int(result.samples[0]) / result.spec.sample_rate)
                yield clip.row, result if self._levels is None else result.keep_levels(self._levels)

    def _encode_clips(self, clips: list[_Clip]) -> list[Tokens | VocableError]:
        """Return the tokens or the error of each recording."""
        if not clips:
            return []
        try:
            with name_failure(clips[0].row.id):
                return list(self._encode_together(clips))
        except VocableError as error:
            if len(clips) == 1:
                return [error]
            if is_out_of_memory(error):
                self._group_seconds, self._group_clips = self._group_seconds / 2, max(1, len(clips) // 2)
        half = len(clips) // 2
        return self._encode_clips(clips[:half]) + self._encode_clips(clips[half:])

    def _encode_together(self, clips: list[_Clip]) -> Iterable[Tokens]:
        audios = [clip.audio for clip in clips if clip.audio is not None]
        if len(clips) > 1 and len(audios) == len(clips):
            return self._tokenizer.encode_batch(audios, [clip.row.text for clip in clips])
        return [self._encode_one(clip) for clip in clips]

    def _encode_one(self, clip: _Clip) -> Tokens:
        if clip.audio is not None:
            return self._tokenizer.encode(clip.audio, clip.row.text)
        assert isinstance(self._tokenizer, Streaming)
        assert clip.path is not None
        blocks = read_ahead(read_blocks(clip.path, self._tokenizer.spec.sample_rate), room=2.0)
        try:
            return self._tokenizer.encode_blocks(blocks)
        finally:
            blocks.close()


def _seconds(clip: _Clip | Row) -> float:
    """Return the room that a recording takes among those that are read ahead."""
    return 1.0 + (clip.seconds if isinstance(clip, _Clip) and clip.audio is not None else 0.0)


def _recordings(unit: Unit) -> Iterator[tuple[ShardRow, str, Any]]:
    """Yield the metadata of each recording, its problem, and a context manager of its file."""
    for source in unit.sources:
        row = ShardRow(id=source.id, text=source.text, speaker=source.speaker, split=source.split, extra=source.extra)
        yield row, source.problem, _given(Path(source.path))
    span = unit.span
    if span is None:
        return
    count = 0
    try:
        for sample in read_span(span):
            yield _sample_row(span.id, sample), sample.problem, audio_file(sample.data or b"", sample.suffix)
            count += 1
    except InputError as error:  # the archive was altered since it was planned
        for number in range(count, span.count):
            yield ShardRow(id=f"{span.id}/#{span.first + number}"), str(error), _given(Path())


def _sample_row(archive: str, sample: ArchiveSample) -> ShardRow:
    return ShardRow(
        id=f"{archive}/{sample.key}", text=sample.text, speaker=sample.speaker, split=sample.split, extra=sample.extra
    )


@contextmanager
def _given(path: Path) -> Iterator[Path]:
    yield path


def _with_hash(row: ShardRow, path: Path) -> ShardRow:
    try:
        digest = sha256(path)
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror}); check its rights") from error
    return replace(row, audio=digest)


def _failed(clip: _Clip, error: VocableError) -> FailedRow:
    """Return the row of a recording that failed; its reason names no path, which may be one of memory."""
    row, reason = clip.row, str(error)
    for name in (row.id,) if clip.path is None else (str(clip.path), row.id):
        reason = reason.removeprefix(f"{name}: ").replace(name, row.id)
    return FailedRow(**vars(row), kind=type(error).__name__, reason=printable_values(reason)[:1_000])
