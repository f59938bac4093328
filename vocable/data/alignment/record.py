"""What is said when: segments of speech, and how many frames each of them lasts.

In a manifest an alignment is a key of the line, a list of symbol, start and end in seconds:

```text
{"audio_path": "a.flac", "alignment": [["SIL", 0, 0.31], ["HH", 0.31, 0.38], ["AY", 0.38, 0.62], ["SIL", 0.62, 0.9]]}
```
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AlignmentError
from vocable.text.phonemes import SILENCE

SLACK = 0.05
"""Seconds by which an alignment may end before or behind its audio: aligners round to frames of their own."""

_TOUCH = 0.001  # seconds of overlap or gap that are rounding, not meant
_MOST_SEGMENTS = 1_000_000  # of one alignment: 28 hours of speech at 10 phones a second
_LONGEST_SYMBOL = 200  # characters


@dataclass(frozen=True)
class Segment:
    """One symbol and where it lies.

    Attributes:
        symbol: A phone, a word, or :data:`~vocable.text.phonemes.SILENCE`.
        start: Seconds.
        end: Seconds, behind the start.
    """

    symbol: str
    start: float
    end: float

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass(frozen=True)
class Alignment:
    """Segments from 0 to their end, one behind the other, with no gap: what no segment covers is silence.

    Attributes:
        segments: In order of time. Gaps are filled, neighbouring silences become one, and overlaps of less than a
            millisecond are taken for rounding.

    Raises:
        AlignmentError: No segments, times that are not finite, negative, or end before they start, or segments that
            overlap.

    Example:
        >>> alignment = Alignment((Segment("HH", 0.1, 0.22), Segment("AY", 0.22, 0.5)))
        >>> alignment.symbols
        ['SIL', 'HH', 'AY']
        >>> alignment.durations(frames=13, rate=25.0), alignment.durations(frames=50, rate=100.0)
        ([3, 3, 7], [10, 12, 28])
        >>> alignment.labels(frames=5, rate=10.0)
        ['SIL', 'HH', 'AY', 'AY', 'AY']
    """

    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(_joined(self.segments)))

    @property
    def symbols(self) -> list[str]:
        """What is said, silences included."""
        return [segment.symbol for segment in self.segments]

    @property
    def end(self) -> float:
        """Seconds."""
        return self.segments[-1].end

    def fitted(self, seconds: float, *, whole: bool = False) -> "Alignment":
        """This alignment as long as its audio: the end of the audio that no segment covers is silence.

        Args:
            seconds: Of the audio.
            whole: It was made of all the audio, silence included, and must end where the audio does.

        Raises:
            AlignmentError: It ends more than :data:`SLACK` behind the audio, or, if whole, before its end.
        """
        if self.end > seconds + SLACK or (whole and self.end < seconds - SLACK):
            raise AlignmentError(
                f"the alignment ends at {self.end:.3f} s, its audio at {seconds:.3f} s; align it with this very file"
            )
        kept = [segment for segment in self.segments if segment.start < seconds - _TOUCH]
        if not kept:
            raise AlignmentError(f"the audio has {seconds} s: nothing can be aligned with it")
        if kept[-1].end > seconds:
            kept[-1] = Segment(kept[-1].symbol, kept[-1].start, seconds)
        elif seconds - kept[-1].end > _TOUCH:
            kept.append(Segment(SILENCE, kept[-1].end, seconds))
        return Alignment(tuple(kept))

    def durations(self, frames: int, rate: float) -> list[int]:
        """How many frames each segment lasts.

        The *ends* are rounded, not the durations, so that errors do not add up; the last segment takes what is left.
        A segment shorter than a frame may have none.

        Args:
            frames: Of the audio.
            rate: Frames a second.

        Returns:
            One number a segment; their sum is ``frames``, exactly.

        Raises:
            AlignmentError: The frames last longer or shorter than the alignment, by more than a frame and
                :data:`SLACK`.
        """
        if not (frames > 0 and 0 < rate < math.inf):
            raise AlignmentError(f"{frames} frames at {rate} a second: both must be positive")
        if abs(self.end - frames / rate) > SLACK + 1 / rate:
            raise AlignmentError(
                f"the alignment lasts {self.end:.3f} s, {frames} frames at {rate:g} a second {frames / rate:.3f} s; "
                "align this very audio, or give the frames and the rate of it"
            )
        ends = [min(frames, math.floor(segment.end * rate + 0.5)) for segment in self.segments[:-1]] + [frames]
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]

    def labels(self, frames: int, rate: float) -> list[str]:
        """The symbol of each frame; arguments and errors of :meth:`durations`."""
        lengths = self.durations(frames, rate)
        return [symbol for symbol, length in zip(self.symbols, lengths, strict=True) for _ in range(length)]

    def values(self) -> list[list[str | float]]:
        """For a manifest's key ``alignment``: lists of symbol, start and end, rounded to 0.1 ms."""
        return [[one.symbol, round(one.start, 4), round(one.end, 4)] for one in self.segments]


@dataclass(frozen=True)
class Aligned:
    """Phones found in speech.

    Attributes:
        alignment: As long as the audio.
        score: How well the phones go with the speech, a frame of them on average: 0 where each sounds most like the
            phone it should be, below 0 else. In units of the aligner's own; compare its scores with its scores.
    """

    alignment: Alignment
    score: float


@runtime_checkable
class PhoneAligner(Protocol):
    """Finds known phones in speech.

    Attributes:
        name: In reports.
    """

    name: str

    def phones(self, clip: Audio, words: Sequence[Sequence[str]]) -> Aligned:
        """The phones of words, and the silences before, between and behind the words.

        Args:
            clip: Of any rate.
            words: ARPAbet phones of each word; their stress does not count.

        Raises:
            AlignmentError: There are no phones, one is no ARPAbet phone, or phones and speech do not go together.
        """
        ...


def alignment_of(utterance: Utterance, seconds: float | None = None) -> Alignment | None:
    """The alignment in a manifest's line, as long as the audio; None where the line has none.

    Args:
        utterance: With a key ``alignment``.
        seconds: Of the audio; the line's ``duration`` by default. Where neither is known the alignment stays as it is.

    Raises:
        AlignmentError: The key holds no alignment, or one that ends more than :data:`SLACK` before or behind the audio.

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
        alignment = Alignment(tuple(_segments(values)))
        return alignment if seconds is None else alignment.fitted(seconds, whole=True)
    except AlignmentError as error:
        raise AlignmentError(
            f"{utterance.audio_path}: {error} (the manifest's key 'alignment'; `vocable data align` writes it)"
        ) from error


def _segments(values: object) -> Iterable[Segment]:
    """What a JSON list of lists says, whatever it is."""
    if not isinstance(values, list) or len(values) > _MOST_SEGMENTS:
        raise AlignmentError("'alignment' is no list of [symbol, start, end]")
    for number, value in enumerate(values, start=1):
        match value:
            case [str(symbol), int() | float() as start, int() | float() as end]:
                yield Segment(symbol, *(_seconds(at, number) for at in (start, end)))
            case _:
                raise AlignmentError(f"segment {number} is {str(value)[:60]!r}, not [symbol, start, end]")


def _seconds(value: int | float, number: int) -> float:
    """A number of JSON as seconds: true is a number to Python, and integers have any size."""
    if isinstance(value, bool) or abs(value) > 1e9:
        raise AlignmentError(f"segment {number}: {str(value)[:20]} is no time in seconds")
    return float(value)


def _joined(segments: Sequence[Segment]) -> list[Segment]:
    """Segments one behind the other, from 0 on, without a gap."""
    if not segments:
        raise AlignmentError("the alignment has no segments; leave the recording out, or align it")
    joined: list[Segment] = []
    at = 0.0
    for number, one in enumerate(segments, start=1):
        where = f"segment {number} of {len(segments)}, {one.symbol[:20]!r} from {one.start} to {one.end} s,"
        if not one.symbol or one.symbol.split() != [one.symbol] or len(one.symbol) > _LONGEST_SYMBOL:
            raise AlignmentError(f"{where} has no symbol; it is a text without white space")
        if not (0 <= one.start < one.end < math.inf):
            raise AlignmentError(f"{where} is no stretch of time; it wants 0 <= start < end")
        if one.start < at - _TOUCH or one.end <= at:
            raise AlignmentError(f"{where} begins before the one before it ends, at {at} s; segments do not overlap")
        if one.start > at + _TOUCH:
            _put(joined, Segment(SILENCE, at, one.start))
            at = one.start
        _put(joined, Segment(one.symbol, at, one.end))
        at = one.end
    return joined


def _put(joined: list[Segment], one: Segment) -> None:
    """Append a segment; silence behind silence makes that one longer."""
    if joined and joined[-1].symbol == one.symbol == SILENCE:
        joined[-1] = Segment(SILENCE, joined[-1].start, one.end)
    else:
        joined.append(one)
