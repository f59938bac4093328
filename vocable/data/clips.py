"""Clips that batches are drawn from: the usable utterances of a corpus, and their samples on disk."""

from array import array
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray

from vocable.audio import Audio
from vocable.data.clip_files import NO_MEMORY, ClipFiles
from vocable.data.manifest import Utterance, recordings_of
from vocable.errors import AlignmentError, AudioError, ManifestError

Info = TypeVar("Info")


class Clip:
    """One recording of a corpus while it is inspected.

    Args:
        files: Recordings.
        index: Index of this one.

    Attributes:
        size: Number of samples.
    """

    def __init__(self, files: ClipFiles, index: int) -> None:
        self._files, self._index, self.size = files, index, int(files.sizes[index])

    @property
    def key(self) -> str:
        """SHA-256 of the file in hexadecimal digits."""
        return self._files.key(self._index)

    def audio(self) -> Audio:
        """Decode the recording at the sample rate of the store, without rounding to 16 bits."""
        return self._files.whole(self._index)


def describe_corpus(sizes: Int64[ndarray, " M"], rate: float | int) -> dict[str, Any]:
    """Return number and hours of clips, and the SHA-256 of their lengths, as JSON values.

    Args:
        sizes: Length of each clip, in order.
        rate: Units of the lengths in a second.
    """
    digest = sha256(sizes.astype("<i8").tobytes()).hexdigest()
    return {"clips": len(sizes), "hours": round(int(sizes.sum()) / rate / 3600, 4), "sha256": digest}


class ClipStore(Generic[Info]):
    """Clips on disk, read where a batch needs them. What memory it takes does not grow with their length.

    Args:
        utterances: Utterances. One that is listed twice counts twice.
        sample_rate: Sample rate in Hz; recordings of another rate are resampled.
        inspect: Function from an utterance and its recording to what the kind of batch needs to know of it; None if
            that is its length alone. It is called in order. If it raises an AudioError or AlignmentError, the
            utterance is left out.
        check: Whether damaged recordings are found here; see :class:`vocable.data.batches.BatchConfig`.
        cache: Folder of lengths and decoded recordings; see :mod:`vocable.data.clip_files`.

    Attributes:
        kept: Indices of the usable utterances, in order.
        infos: Result of ``inspect`` for each of them; empty without it.
        sizes: Number of samples of each of them.
        problems: Errors of the others; each names its line and its file.
        corpus: Number and hours of the clips, and SHA-256 of their lengths: what the draws of a run depend on.

    Raises:
        ManifestError: If no utterance can be used.
        OutputError: If the cache cannot be written.
    """

    def __init__(
        self, utterances: Sequence[Utterance], sample_rate: int, inspect: Callable[[Utterance, Clip], Info] | None, *,
        check: bool = True, cache: Path | None = None,
    ) -> None:  # fmt: skip
        paths, files = recordings_of(utterances)
        self._files = ClipFiles(paths, sample_rate, folder=cache, check=check)
        kept, errors = array("q"), self._files.errors
        problems: dict[tuple[int, int], AudioError | AlignmentError] = {}  # by recording, then by utterance
        self.infos: list[Info] = []
        for index, file in enumerate(files.tolist()):
            try:
                if file in errors:
                    if (file, -1) not in problems:
                        problems[file, -1] = utterances[index].locate_error(errors[file])
                    continue
                if inspect is not None:
                    utterance = utterances[index]
                    self.infos.append(inspect(utterance, Clip(self._files, file)))
                kept.append(index)
            except (AudioError, AlignmentError) as error:  # its message may not name the file
                problems[file, index] = utterance.locate_error(error)
            except MemoryError:
                problems[file, index] = utterance.locate_error(AudioError(NO_MEMORY))
        self._files.forget()
        self.problems = [problems[at] for at in sorted(problems)]
        if not kept:
            first = f"; the first: {self.problems[0]}" if self.problems else ""
            raise ManifestError(f"none of {len(files)} recordings can be used{first}")
        self.kept: Int64[ndarray, " M"] = np.array(kept, dtype=np.int64)
        self._numbers = files[self.kept]
        self.sizes: Int64[ndarray, " M"] = self._files.sizes[self._numbers]
        self.corpus = describe_corpus(self.sizes, sample_rate)

    def __len__(self) -> int:
        return len(self._numbers)

    def path(self, index: int) -> str:
        """Return the path of a clip's recording."""
        return self._files.path(int(self._numbers[index]))

    def error(self, index: int, reason: str) -> AudioError:
        """Return an error that names a clip's recording."""
        return AudioError(f"{self.path(index)}: {reason}")

    def key(self, index: int) -> str:
        """Return the SHA-256 of a clip's file; see :meth:`vocable.data.clip_files.ClipFiles.key`."""
        return self._files.key(int(self._numbers[index]))

    def audio(self, index: int) -> Audio:
        """Decode a clip as a whole, without rounding to 16 bits; see :meth:`samples`."""
        try:
            return self._files.whole(int(self._numbers[index]))
        finally:
            self._files.forget()

    def samples(self, index: int, start: int = 0, stop: int | None = None) -> Float[ndarray, " T"]:
        """Read the samples of a clip from ``start`` up to ``stop``, or to its end.

        Raises:
            AudioError: If the recording is missing, damaged, or has changed since the store was made.
        """
        return self._files.read(int(self._numbers[index]), start, stop)
