"""Forced alignment with the phone recognizer of the package hama, which needs no training and no download."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from vocable.audio import Audio
from vocable.data.alignment.record import Alignment, ScoredAlignment, Segment
from vocable.data.alignment.viterbi import viterbi
from vocable.data.alignment.words import arpabet_words
from vocable.errors import AlignmentError
from vocable.features.hama import FRAME_RATE, SAMPLE_RATE, HamaRecognizer
from vocable.text.phonemes import ARPABET, SILENCE

_BOUNDARY = 1  # class of the boundary of words in HamaRecognizer.arpabet_log_probs
_DELAY = 0.03  # seconds by which the network reports phones too late, of hand marks of EmoDB's split train
_QUIET = 25.0  # dB under the loud frames of a clip
_LOUD = 0.95  # quantile of the frames' levels that counts as loud
_PAUSE = 5  # frames: 100 ms, longer than almost any closure of a stop consonant
_LONGEST_EDGE = 15  # frames that the first or last phone may last away from its peak
_MIN_DURATION = 0.001  # seconds


class HamaAligner:
    """Forced aligner: the likeliest path of the phones through the output of a CTC network.

    The network reports each phone in one or two frames of 20 ms. Boundaries are put in the middle between two reports,
    and moved by the mean delay. Pauses are quiet stretches of at least 100 ms between words. Boundaries are less exact
    than those of pocketsphinx; ``benchmarks/alignment.py`` measures both.

    Attributes:
        name: Package and version.

    Raises:
        MissingDependencyError: If hama is not installed.

    Source:
        Package hama (Apache-2.0). Graves et al., Connectionist temporal classification, ICML 2006.
    """

    def __init__(self) -> None:
        self._recognizer = HamaRecognizer()
        self.name = self._recognizer.name

    def phones(self, clip: Audio, words: Sequence[Sequence[str]]) -> ScoredAlignment:
        """Align the phones of words; see :meth:`~vocable.data.alignment.record.PhoneAligner.phones`."""
        symbols: list[str | None] = [None]  # None: an optional boundary of words
        for word in arpabet_words(words):
            symbols += [*word, None]
        phones = sum(symbol is not None for symbol in symbols)
        if clip.duration * FRAME_RATE < phones:
            raise AlignmentError(f"{phones} phones do not fit into {clip.duration:.2f} s; compare them with the speech")
        classes = [_BOUNDARY if symbol is None else 2 + ARPABET.index(symbol) for symbol in symbols]
        log_probs = self._recognizer.arpabet_log_probs(clip)
        path, _ = viterbi(log_probs, classes, {place for place, symbol in enumerate(symbols) if symbol is None})
        peaks: dict[int, list[int]] = {}  # frames of each phone
        for frame, place in enumerate(path):
            if place >= 0 and symbols[place] is not None:
                peaks.setdefault(place, []).append(frame)
        score = float(
            np.mean([log_probs[frame, classes[place]] for place, frames in peaks.items() for frame in frames])
        )
        spans = _spans(peaks, _quiet_frames(clip, len(path)))
        segments: list[Segment] = []
        at = 0.0
        for place, (start, end) in spans.items():
            begin, stop = (max(0.0, (one - 0.5) / FRAME_RATE - _DELAY) for one in (start, end))
            begin = max(begin, at)
            stop = max(stop, begin + _MIN_DURATION)
            if begin - at > _MIN_DURATION:
                segments.append(Segment(SILENCE, at, begin))
            segments.append(Segment(str(symbols[place]), begin if begin - at > _MIN_DURATION else at, stop))
            at = stop
        return ScoredAlignment(Alignment(tuple(segments)).fitted(clip.duration), score)


def _spans(peaks: dict[int, list[int]], quiet: Bool[ndarray, " N"]) -> dict[int, tuple[float, float]]:
    """Return start and end of each phone in frames, given the frames in which it is reported."""
    places = list(peaks)
    first, last = peaks[places[0]][0], peaks[places[-1]][-1]
    start, end = first, last
    while start > 0 and not quiet[start - 1] and first - start < _LONGEST_EDGE:
        start -= 1
    while end + 1 < len(quiet) and not quiet[end + 1] and end - last < _LONGEST_EDGE:
        end += 1
    starts, ends = [float(start)], []
    for before, after in pairwise(places):
        left, right = peaks[before][-1] + 1, peaks[after][0]
        silent = [frame for frame in range(left, right) if quiet[frame]]
        if after - before == 2 and len(silent) >= _PAUSE:  # a boundary of words lies between the two
            ends.append(float(silent[0]))
            starts.append(float(silent[-1] + 1))
        else:
            ends.append((left + right) / 2)
            starts.append((left + right) / 2)
    return dict(zip(places, zip(starts, [*ends, end + 1.0], strict=True), strict=True))


def _quiet_frames(clip: Audio, frames: int) -> Bool[ndarray, " N"]:
    """Return which frames, centered on multiples of 20 ms, are much quieter than the loud ones."""
    hop = int(SAMPLE_RATE / FRAME_RATE)
    samples = clip.resample(SAMPLE_RATE).samples
    padded = np.zeros(frames * hop, dtype=np.float64)
    kept = samples[: len(padded) - hop // 2]
    padded[hop // 2 : hop // 2 + len(kept)] = kept
    levels: Float[ndarray, " N"] = 10 * np.log10(np.square(padded).reshape(frames, hop).mean(1) + 1e-12)
    return levels < np.quantile(levels, _LOUD) - _QUIET
