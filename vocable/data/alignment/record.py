"""Alignments: segments of speech, and the number of frames of each of them.

In a manifest an alignment is a key of the line, a list of symbol, start and end in seconds:

```text
{"audio_path": "a.flac", "alignment": [["SIL", 0, 0.31], ["HH", 0.31, 0.38], ["AY", 0.38, 0.62], ["SIL", 0.62, 0.9]]}
```
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pydantic import RootModel

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError
from vocable.schema import parse
from vocable.text.phonemes import SILENCE

SLACK = 0.05
"""Seconds by which the ends of an alignment and its audio may differ: aligners round to their own frames."""

_ROUNDING = 0.001  # seconds: smaller overlaps and gaps are rounding errors
_DIGITS = (4, 6, 8)  # decimals of written times, the first that keeps all segments
_MAX_SYMBOL = 200  # characters


@dataclass(frozen=True)
class Segment:
    """A symbol and its span of time.

    Attributes:
        symbol: Phone, word, or :data:`~vocable.text.phonemes.SILENCE`.
        start: Start in seconds.
        end: End in seconds, after the start.
    """

    symbol: str
    start: float
    end: float

    @property
    def duration(self) -> float:
        """Duration in seconds."""
        return self.end - self.start


@dataclass(frozen=True)
class Alignment:
    """Adjacent segments that start at 0 s; gaps between the given segments are silence.

    Attributes:
        segments: Segments in order of time. Gaps are filled, and adjacent silences are joined. Overlaps of less than a
            millisecond are rounded away.

    Raises:
        AlignmentError: If there are no segments, a time is negative or not finite, a segment ends before it starts, or
            segments overlap.

    Example:
        >>> alignment = Alignment((Segment("HH", 0.1, 0.22), Segment("AY", 0.22, 0.5)))
        >>> alignment.symbols
        ['SIL', 'HH', 'AY']
        >>> alignment.durations(frames=13, rate=25.0), alignment.durations(frames=50, rate=100.0)
        ([3, 3, 7], [10, 12, 28])
    """

    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(_joined(self.segments)))

    @property
    def symbols(self) -> list[str]:
        """Symbols of the segments, silences included."""
        return [segment.symbol for segment in self.segments]

    @property
    def end(self) -> float:
        """End of the last segment in seconds."""
        return self.segments[-1].end

    def fitted(self, seconds: float, *, whole: bool = False) -> "Alignment":
        """Return this alignment as long as its audio, with silence at the end.

        Args:
            seconds: Duration of the audio.
            whole: Whether the alignment covers all of the audio, silence included, and must therefore end where the
                audio does.

        Raises:
            AlignmentError: If it ends more than :data:`SLACK` after the audio or, if ``whole``, before its end.
        """
        if self.end > seconds + SLACK or (whole and self.end < seconds - SLACK):
            raise AlignmentError(
                f"the alignment ends at {self.end:.3f} s, its audio at {seconds:.3f} s; align it with this very file"
            )
        kept = [
            segment
            for segment in self.segments
            if segment.start < (seconds - _ROUNDING if segment.symbol == SILENCE else seconds)
        ]
        if not kept:
            raise AlignmentError(f"the audio lasts {seconds} s: nothing can be aligned with it")
        if kept[-1].end > seconds:
            kept[-1] = Segment(kept[-1].symbol, kept[-1].start, seconds)
        elif seconds - kept[-1].end > _ROUNDING:
            kept.append(Segment(SILENCE, kept[-1].end, seconds))
        return Alignment(tuple(kept))

    def durations(self, frames: int, rate: float) -> list[int]:
        """Return the number of frames of each segment.

        The *ends* are rounded, not the durations, so that errors do not accumulate. The last segment takes the
        remaining frames. A segment shorter than a frame may have none.

        Args:
            frames: Number of frames of the audio.
            rate: Frames per second.

        Returns:
            One number per segment; their sum is ``frames``.

        Raises:
            AlignmentError: If the durations of frames and alignment differ by more than a frame and :data:`SLACK`.
        """
        if not (frames > 0 and 0 < rate < math.inf):
            raise AlignmentError(f"{frames} frames at {rate} per second: both must be positive")
        if abs(self.end - frames / rate) > SLACK + 1 / rate:
            raise AlignmentError(
                f"the alignment lasts {self.end:.3f} s, {frames} frames at {rate:g} per second {frames / rate:.3f} s; "
                "align this very audio, or give its frames and rate"
            )
        ends = [min(frames, math.floor(segment.end * rate + 0.5)) for segment in self.segments[:-1]] + [frames]
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    def values(self) -> list[list[str | float]]:
        """Return the value of a manifest's key ``alignment``: lists of symbol, start and end in seconds.

        Times are rounded to 0.1 ms, unless a segment is shorter, which would then last no time.

        Example:
            >>> Alignment((Segment("SIL", 0.0, 0.0000227), Segment("AY", 0.0000227, 0.5))).values()
            [['SIL', 0.0, 2.3e-05], ['AY', 2.3e-05, 0.5]]
        """
        digits = next((digits for digits in _DIGITS if all(_lasts(one, digits) for one in self.segments)), None)
        return [
            [one.symbol, *(time if digits is None else round(time, digits) for time in (one.start, one.end))]
            for one in self.segments
        ]


@dataclass(frozen=True)
class ScoredAlignment:
    """Result of a phone aligner.

    Attributes:
        alignment: Alignment as long as the audio.
        score: Mean score of the frames that are not silent, at most 0, where every frame sounds most like its phone.
            The unit depends on the aligner: compare scores of one aligner only.
    """

    alignment: Alignment
    score: float


@runtime_checkable
class PhoneAligner(Protocol):
    """Aligner of known phones with speech.

    Attributes:
        name: Name in reports.
    """

    name: str

    def phones(self, clip: Audio, words: Sequence[Sequence[str]]) -> ScoredAlignment:
        """Align the phones of words; there may be silence before, between and after the words.

        Args:
            clip: Clip of any sample rate.
            words: ARPAbet phones of each word; stress is ignored.

        Raises:
            AlignmentError: If there are no phones, one is not ARPAbet, or phones and speech do not match.
        """


def alignment_of(utterance: Utterance, seconds: float | None = None) -> Alignment | None:
    """Return the alignment of an utterance, as long as its audio, or None if it has none.

    Args:
        utterance: Utterance whose line may have a key ``alignment``.
        seconds: Duration of the audio; the line's ``duration`` by default. If neither is known, the alignment is
            unchanged.

    Raises:
        AlignmentError: If the key is malformed, or the alignment ends more than :data:`SLACK` before or after the
            audio.

    Example:
        >>> line = Utterance(audio_path="a.wav", duration=0.5, extra={"alignment": [["AY", 0.125, 0.48]]})
        >>> alignment_of(line).values()
        [['SIL', 0.0, 0.125], ['AY', 0.125, 0.48], ['SIL', 0.48, 0.5]]
    """
    values = utterance.extra.get("alignment")
    if values is None:
        return None
    seconds = utterance.duration if seconds is None else seconds
    try:
        rows = parse(_Rows, values, "", AlignmentError).root
        alignment = Alignment(tuple(Segment(*row) for row in rows))
        return alignment if seconds is None else alignment.fitted(seconds, whole=True)
    except AlignmentError as error:
        raise AlignmentError(
            f"{utterance.audio_path}: {error} (the manifest's key 'alignment'; `vocable data align` writes it)"
        ) from error


class _Rows(RootModel[list[tuple[str, float, float]]]):
    """Value of a manifest's key ``alignment``: rows of symbol, start and end."""


def _lasts(segment: Segment, digits: int) -> bool:
    """Return True if a segment lasts some time when its times are rounded."""
    return round(segment.start, digits) < round(segment.end, digits)


def _joined(segments: Sequence[Segment]) -> list[Segment]:
    """Return adjacent segments from 0 on."""
    if not segments:
        raise AlignmentError("the alignment has no segments; leave the recording out, or align it")
    joined: list[Segment] = []
    at = 0.0
    for number, one in enumerate(segments, start=1):
        where = f"segment {number} of {len(segments)}, {one.symbol[:20]!r} from {one.start} to {one.end} s,"
        if not one.symbol or one.symbol.split() != [one.symbol] or len(one.symbol) > _MAX_SYMBOL:
            raise AlignmentError(f"{where} has no symbol; a symbol is a text without white space")
        if not (0 <= one.start < one.end < math.inf):
            raise AlignmentError(f"{where} is no span of time; it needs 0 <= start < end")
        if one.start < at - _ROUNDING or one.end <= at:
            raise AlignmentError(f"{where} begins before the previous one ends, at {at} s; segments must not overlap")
        if one.start > at + _ROUNDING:
            _append(joined, Segment(SILENCE, at, one.start))
            at = one.start
        _append(joined, Segment(one.symbol, at, one.end))
        at = one.end
    return joined


def _append(joined: list[Segment], one: Segment) -> None:
    """Append a segment; silence after silence extends the last segment."""
    if joined and joined[-1].symbol == one.symbol == SILENCE:
        joined[-1] = Segment(SILENCE, joined[-1].start, one.end)
    else:
        joined.append(one)
