"""Targets of the clips of a corpus, computed when a batch first needs them.

A run begins while features are still being made: with `vocable data features` in other processes, or with none at all.
What a batch holds does not depend on what is there. A clip that a teacher refuses by its length is left out before the
first step. One that it refuses by its content is found when it is drawn, and another one is drawn in its place.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache as once
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vocable.audio import Audio
from vocable.data.targets import TargetCache
from vocable.errors import AudioError

_UNKNOWN, _READY, _REFUSED = range(3)
_MAX_DRAWS = 1_000  # of clips that a teacher refuses, one after the other
Drawn = tuple[int, np.random.Generator]
"""Clip of a row, and the generator that the rest of the row is drawn with."""


class ClipTargets:
    """Targets of several teachers of the clips of a corpus.

    Args:
        caches: Cache of each teacher.
        size: Number of clips.
        file_of: Function from a cache and a clip to the file of the clip's targets.
        read: Function that decodes a clip; it is resampled for each teacher.
        error_of: Function from a clip and a reason to the error that names the clip.
        problems: List that the errors of refused clips are added to.
    """

    def __init__(
        self, caches: Sequence[TargetCache], size: int, *, file_of: Callable[[TargetCache, int], Path],
        read: Callable[[int], Audio], error_of: Callable[[int, str], AudioError], problems: list[Any],
    ) -> None:  # fmt: skip
        self._caches, self._file_of, self._read, self._error_of = caches, file_of, read, error_of
        self._problems, self._num_reported = problems, len(problems)
        self._states = np.zeros(size, dtype=np.uint8)

    def draw(
        self, generators: Callable[[], Sequence[np.random.Generator]], pick: Callable[[np.random.Generator], int]
    ) -> list[Drawn]:
        """Draw the clips of a batch and compute their missing targets.

        A clip that a teacher has refused is drawn again.

        Args:
            generators: Function that returns a new generator for each row of the batch.
            pick: Function that draws a clip with a generator.

        Raises:
            AudioError: If very many draws of a row are refused, or a clip cannot be read.
        """
        while True:
            rows = [(self._pick(pick, random), random) for random in generators()]
            unknown = dict.fromkeys(clip for clip, _ in rows if self._states[clip] == _UNKNOWN)
            if not unknown:
                return rows
            self._complete([*unknown])

    def _pick(self, pick: Callable[[np.random.Generator], int], random: np.random.Generator) -> int:
        for _ in range(_MAX_DRAWS):
            clip = pick(random)
            if self._states[clip] != _REFUSED:
                return clip
        raise self._error_of(clip, "this recording and all others that could be drawn are refused by a teacher")

    def news(self) -> list[AudioError]:
        """Return the errors of the clips that were refused since the last call."""
        news = self._problems[self._num_reported :]
        self._num_reported = len(self._problems)
        return news

    def usable(self, clips: Iterable[int]) -> list[int]:
        """Compute the missing targets of some clips; return those that no teacher refuses."""
        clips = list(clips)
        self._complete([clip for clip in clips if self._states[clip] == _UNKNOWN])
        return [clip for clip in clips if self._states[clip] == _READY]

    def _complete(self, clips: Sequence[int]) -> None:
        """Compute what is missing of some clips, and find out which ones are refused."""
        most = max((cache.group_size for cache in self._caches), default=1)
        for start in range(0, len(clips), most):  # what is decoded at a time
            group = clips[start : start + most]
            audio = {clip: once(partial(self._read, clip)) for clip in group}
            for cache in self._caches:
                cache.complete({self._file_of(cache, clip): partial(_resampled, audio[clip], cache) for clip in group})
            for clip in group:
                reasons = [cache.refusal(self._file_of(cache, clip)) for cache in self._caches]
                reason = next((one for one in reasons if one is not None), None)
                self._states[clip] = _READY if reason is None else _REFUSED
                if reason is not None:
                    self._problems.append(self._error_of(clip, reason))


def _resampled(read: Callable[[], Audio], cache: TargetCache) -> Audio:
    return read().resample(cache.extractor.sample_rate)
