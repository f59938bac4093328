"""Interleaving patterns: ids of several levels as one or more streams of codes for a language model, and back.

Each pattern is exact: ``restore(interleave(ids)) == ids`` for all ids. A code is an integer from 0 up; a place where a
stream has no code holds :data:`EMPTY`.

Source:
    Copet et al., MusicGen, arXiv:2306.05284, section 2.2.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from vocable.errors import ShapeError

EMPTY = -1
"""Code of a place without a token."""

PatternName = Literal["flatten", "parallel", "delay"]


@dataclass(frozen=True)
class Pattern(ABC):
    """An interleaving pattern of Q levels with K entries each.

    Attributes:
        levels: Number of levels Q.
        codebook_size: Number of entries K of a level.
    """

    levels: int
    codebook_size: int

    @property
    def streams(self) -> int:
        """Number of streams S."""
        return self.levels

    @property
    def num_codes(self) -> int:
        """Number of different codes in a stream."""
        return self.codebook_size

    @abstractmethod
    def length(self, frames: Int[ndarray, " R"]) -> Int[ndarray, " R"]:
        """Return the number of steps L of clips of so many frames N."""

    def interleave(self, ids: Int[ndarray, "Q N"]) -> Int[ndarray, "S L"]:
        """Return the codes of a clip's ids.

        Raises:
            ShapeError: If there is another number of levels, or an id outside of [0, K).
        """
        if ids.ndim != 2 or ids.shape[0] != self.levels:
            raise ShapeError(f"ids have shape {ids.shape}: expected ({self.levels}, N), a row for each level")
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < self.codebook_size:
            raise ShapeError(
                f"ids lie in [{int(ids.min())}, {int(ids.max())}] but codebook_size is {self.codebook_size}; pass the "
                "K they were made with"
            )
        return self._interleave(ids)

    def restore(self, codes: Int[ndarray, "S L"]) -> Int[ndarray, "Q N"]:
        """Return the ids of a clip's codes.

        Raises:
            ShapeError: If no ids have these codes, such as where a language model left the pattern.
        """
        if codes.ndim != 2 or codes.shape[0] != self.streams:
            raise ShapeError(f"codes have shape {codes.shape}: expected ({self.streams}, L), a row for each stream")
        ids = self._restore(codes)
        wrong = (ids < 0) | (ids >= self.codebook_size)
        if wrong.any():
            level, frame = (int(axis) for axis in np.argwhere(wrong)[0])
            raise ShapeError(f"frame {frame} has no id of level {level + 1}; the codes do not follow the pattern")
        return ids

    @abstractmethod
    def _interleave(self, ids: Int[ndarray, "Q N"]) -> Int[ndarray, "S L"]: ...

    @abstractmethod
    def _restore(self, codes: Int[ndarray, "S L"]) -> Int[ndarray, "Q N"]: ...


class Flatten(Pattern):
    """One stream: all levels of a frame, then those of the next. Level q has the codes q · K to (q + 1) · K − 1.

    Example:
        >>> pattern = Flatten(levels=2, codebook_size=10)
        >>> pattern.interleave(np.array([[1, 2, 3], [4, 5, 6]])).tolist()
        [[1, 14, 2, 15, 3, 16]]
    """

    @property
    def streams(self) -> int:
        """Number of streams: 1."""
        return 1

    @property
    def num_codes(self) -> int:
        """Number of different codes: Q · K."""
        return self.levels * self.codebook_size

    def length(self, frames: Int[ndarray, " R"]) -> Int[ndarray, " R"]:
        """Return the number of steps L = N · Q."""
        return frames * self.levels

    def _interleave(self, ids: Int[ndarray, "Q N"]) -> Int[ndarray, "1 L"]:
        return (ids + self._offsets).T.reshape(1, -1)

    def _restore(self, codes: Int[ndarray, "1 L"]) -> Int[ndarray, "Q N"]:
        if codes.shape[1] % self.levels:
            raise ShapeError(f"{codes.shape[1]} codes are no whole frames of {self.levels} levels; cut the last frame")
        return codes.reshape(-1, self.levels).T - self._offsets

    @property
    def _offsets(self) -> Int[ndarray, "Q 1"]:
        return self.codebook_size * np.arange(self.levels)[:, None]


class Parallel(Pattern):
    """One stream for each level: all ids of a frame in one step.

    Example:
        >>> Parallel(levels=2, codebook_size=10).interleave(np.array([[1, 2, 3], [4, 5, 6]])).tolist()
        [[1, 2, 3], [4, 5, 6]]
    """

    def length(self, frames: Int[ndarray, " R"]) -> Int[ndarray, " R"]:
        """Return the number of steps L = N."""
        return frames

    def _interleave(self, ids: Int[ndarray, "Q N"]) -> Int[ndarray, "Q N"]:
        return ids

    def _restore(self, codes: Int[ndarray, "Q N"]) -> Int[ndarray, "Q N"]:
        return codes


class Delay(Pattern):
    """One stream for each level, each one step behind the level before it, so that a level is predicted from those.

    Example:
        >>> Delay(levels=2, codebook_size=10).interleave(np.array([[1, 2, 3], [4, 5, 6]])).tolist()
        [[1, 2, 3, -1], [-1, 4, 5, 6]]
    """

    def length(self, frames: Int[ndarray, " R"]) -> Int[ndarray, " R"]:
        """Return the number of steps L = N + Q − 1; 0 without frames."""
        return np.where(frames > 0, frames + self.levels - 1, 0)

    def _interleave(self, ids: Int[ndarray, "Q N"]) -> Int[ndarray, "Q L"]:
        frames = ids.shape[1]
        codes = np.full((self.levels, frames + self.levels - 1 if frames else 0), EMPTY, dtype=ids.dtype)
        for level in range(self.levels if frames else 0):
            codes[level, level : level + frames] = ids[level]
        return codes

    def _restore(self, codes: Int[ndarray, "Q L"]) -> Int[ndarray, "Q N"]:
        steps = codes.shape[1]
        frames = steps - self.levels + 1 if steps else 0
        if steps and frames < 1:
            raise ShapeError(f"{steps} steps are too few for {self.levels} levels, each a step behind the one before")
        places = np.arange(self.levels)[:, None] + np.arange(frames)
        outside = codes.copy()
        np.put_along_axis(outside, places, EMPTY, axis=1)
        if (outside != EMPTY).any():
            raise ShapeError("a code lies outside of the delayed levels; take the steps of whole clips")
        return np.take_along_axis(codes, places, axis=1)


PATTERNS: Mapping[str, Callable[[int, int], Pattern]] = MappingProxyType(
    {"flatten": Flatten, "parallel": Parallel, "delay": Delay}
)
"""Class of each pattern, by its name."""
