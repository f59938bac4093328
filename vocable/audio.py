"""Audio clips: reading, writing and resampling, which happen here and nowhere else.

Files are read and written by :mod:`vocable.audio_files`, and resampled by soxr in its "HQ" setting. A whole file and a
file read in blocks take the same path, and give the same samples.
"""

import math
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from jaxtyping import Float
from numpy import ndarray

from vocable.arguments import check_arguments, show
from vocable.audio_files import AUDIO_SUFFIXES, CONVERTIBLE_SUFFIXES, AudioFile, open_audio, write_audio
from vocable.audio_files.limits import current_limits
from vocable.audio_files.mark import SyntheticMark
from vocable.audio_files.reader import EMPTY
from vocable.errors import ArgumentError, AudioError
from vocable.file_search import find_rooted
from vocable.notebook import player_html

__all__ = [
    "AUDIO_SUFFIXES", "CONVERTIBLE_SUFFIXES", "Audio", "AudioLike", "as_audio", "check_audible", "count_samples",
    "decoded_seconds", "find_audio", "find_rooted_audio", "header_seconds", "read_blocks", "resampled_size",
    "write_blocks",
]  # fmt: skip

_BLOCK_SECONDS = 10
_MAX_PEAK = 8.0  # resampling and mixing may overshoot full scale; integers stored as floats are far larger
_SILENCE = -55.0  # dB of full scale; of the loudest tenth of a second of a voice


@dataclass(frozen=True, eq=False)
class Audio:
    """One clip of mono audio. Clips are equal where rate and samples are, and a notebook plays them.

    Attributes:
        samples: Samples of shape (T,), float32, nominally in [-1, 1]; T is at least 1, and all are finite.
        sample_rate: Sample rate in Hz.
        mark: Mark of synthetic speech, for the metadata of files; None for recordings, and for files that are read.

    Raises:
        AudioError: If there are no samples, they are no floats, one is not finite or far out of range, or the rate
            is no positive integer within the limits (see :mod:`vocable.audio_files.limits`).

    Example:
        >>> clip = Audio(np.zeros(8000, dtype=np.float32), 16_000)
        >>> clip.duration
        0.5
        >>> clip.resample(8_000).samples.shape
        (4000,)
    """

    samples: Float[ndarray, " T"]
    sample_rate: int
    mark: SyntheticMark | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sample_rate", current_limits().check_rate("", self.sample_rate))
        samples = _as_floats(self.samples)
        if samples.ndim != 1:
            raise AudioError(f"samples have shape {samples.shape}, expected (T,); average the channels first")
        if samples.size == 0:
            raise AudioError("the audio is empty: it has no samples")
        _check_values(samples, "the audio")
        object.__setattr__(self, "samples", samples)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples.size / self.sample_rate

    def __repr__(self) -> str:
        """Return one line: duration, rate and peak."""
        return f"Audio({self.duration:.2f} s, {self.sample_rate} Hz, peak {float(np.abs(self.samples).max()):.3f})"

    def _repr_html_(self) -> str:
        """Return a player, for notebooks."""
        return player_html(self.samples, self.sample_rate)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Audio):
            return NotImplemented
        return self.sample_rate == other.sample_rate and np.array_equal(self.samples, other.samples)

    def __hash__(self) -> int:
        return hash((self.sample_rate, (self.samples + 0.0).tobytes()))  # -0.0 equals 0.0

    @classmethod
    @check_arguments
    def read(cls, path: str | os.PathLike[str], sample_rate: int | None = None) -> "Audio":
        """Read an audio file of any sample rate and number of channels; channels are averaged.

        Args:
            path: Path of an audio file.
            sample_rate: Sample rate to resample to, in Hz; that of the file by default.

        Raises:
            AudioError: If the file is missing, no regular file, unreadable, empty, truncated or beyond a limit, or
                holds NaN, infinity or integers stored as floats.
        """
        file = open_audio(path)
        rate = file.sample_rate if sample_rate is None else sample_rate
        return cls(_join(_resampled_file(file, rate, 10.0), str(path)), rate)

    @check_arguments
    def resample(self, sample_rate: int) -> "Audio":
        """Return the clip at another sample rate; the clip itself if the rate is the same."""
        limits = current_limits()
        rate = limits.check_rate("", sample_rate)
        if rate == self.sample_rate:
            return self
        limits.check_samples("the resampled audio", resampled_size(self.samples.size, self.sample_rate, rate))
        blocks = _resampled(iter([self.samples]), self.sample_rate, rate, "")
        return Audio(_join(blocks, "the resampled audio"), sample_rate, mark=self.mark)

    @check_arguments
    def played(self, speed: float) -> "Audio":
        """Return the clip played faster or slower like a tape, so that pitch and formants change, too.

        Args:
            speed: Speed factor; it is rounded to 1 Hz of the sample rate.

        Raises:
            AudioError: If the speed is not positive, or beyond the limit of sample rates.

        Source:
            Ko et al., Audio Augmentation for Speech Recognition, Interspeech 2015.

        Example:
            >>> Audio(np.zeros(9_900, dtype=np.float32), 16_000).played(1.1).samples.shape
            (9000,)
        """
        if not (math.isfinite(speed) and speed > 0):
            raise AudioError(f"speed is {speed}: it must be positive")
        return Audio(self.samples, round(self.sample_rate * speed), mark=self.mark).resample(self.sample_rate)

    @check_arguments
    def write(self, path: str | os.PathLike[str], comment: str = "", *, kilobits: int | None = None) -> None:
        """Write 16-bit WAV or FLAC, OGG (Vorbis) or MP3, atomically. Samples beyond full scale are clipped.

        The comment of synthetic speech says so: :class:`~vocable.audio_files.mark.SyntheticMark`.

        Args:
            path: Path of the file; its suffix decides the format.
            comment: Comment in the file's metadata, in ASCII.
            kilobits: Constant bit rate of an MP3 in kbit/s (8 to 160 below 32 kHz, else 32 to 320). Default: it varies.

        Raises:
            OutputError: If the suffix is none of .wav, .flac, .ogg, .mp3, the format does not have the sample rate, the
                bit rate is out of range or not of an MP3, or the file cannot be written.
        """
        write_audio(path, [self.samples], self.sample_rate, comment, kilobits=kilobits, mark=self.mark)


def read_blocks(
    path: str | os.PathLike[str], sample_rate: int, *, seconds: float = 10.0
) -> Iterator[Float[ndarray, " T"]]:
    """Read an audio file in blocks, in mono, at a sample rate: memory does not grow with the file.

    Args:
        path: Path of an audio file.
        sample_rate: Sample rate of the blocks in Hz.
        seconds: Length of a block in seconds; the joined samples do not depend on it.

    Yields:
        Samples of shape (T,), float32, never empty.

    Raises:
        AudioError: If the file cannot be used; see :meth:`Audio.read`.
    """
    if not (math.isfinite(seconds) and seconds >= 0):
        raise AudioError(f"{path}: seconds is {seconds}: the length of a block must be a positive number")
    yield from _resampled_file(open_audio(path), sample_rate, seconds)


def write_blocks(path: str | os.PathLike[str], blocks: Iterable[Float[ndarray, " T"]], sample_rate: int) -> None:
    """Write samples that come in blocks, as :meth:`Audio.write` writes them at once; memory does not grow with them.

    Args:
        path: Path of the file; its suffix decides the format.
        blocks: Samples in blocks of any size; empty ones are left out.
        sample_rate: Sample rate in Hz.

    Raises:
        AudioError: If there are no samples, or one is not finite or far out of range. No file is written then.
        OutputError: If the file cannot be written; see :meth:`Audio.write`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_blocks(f"{folder}/a.wav", (np.zeros(100, np.float32) for _ in range(8)), 16_000)
        ...     Audio.read(f"{folder}/a.wav").samples.size
        800
    """
    checked = _checked((block for block in blocks if block.size), "the audio")
    first = next(checked, None)
    if first is None:
        raise AudioError("the audio is empty: it has no samples")
    write_audio(path, chain([first], checked), current_limits().check_rate("", sample_rate))


def header_seconds(path: str | os.PathLike[str]) -> float:
    """Return the length of a file in seconds by its headers. Nothing is decoded: a truncated file may be shorter.

    Raises:
        AudioError: If the file is missing or unreadable, or its header has no length or the length 0.
    """
    file = open_audio(path)
    if file.frames is None:
        raise AudioError(f"{path}: the header has no length; export it again")
    if file.frames == 0:
        raise AudioError(f"{path}: {EMPTY}")
    return file.frames / file.sample_rate


def decoded_seconds(path: str | os.PathLike[str]) -> float:
    """Return the length of a file in seconds by decoding it in blocks; see :func:`count_samples`."""
    file = open_audio(path)
    return count_samples(file) / file.sample_rate


def count_samples(file: AudioFile) -> int:
    """Return the number of samples of a file by decoding it in blocks: memory does not grow with the file."""
    return sum(block.size for block in _checked(file.blocks(_BLOCK_SECONDS * file.sample_rate), str(file.path)))


def resampled_size(size: int, old: int, new: int) -> int:
    """Return the number of samples that ``size`` samples at an old rate have at a new one: rounded up."""
    return -(-size * new // old)


AudioLike = Audio | str | os.PathLike[str] | tuple[Any, int]
"""A recording: audio, the path of a file, or samples of shape (T,) and their sample rate; see :func:`as_audio`."""


@check_arguments
def find_audio(inputs: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the audio files that files, folders and glob patterns stand for; see :func:`find_rooted_audio`.

    Example:
        >>> [str(path) for path in find_audio(["some.wav"])]
        ['some.wav']
    """
    return [path for path, _ in find_rooted_audio(inputs)]


@check_arguments
def find_rooted_audio(
    inputs: Sequence[str | os.PathLike[str]], archives: Collection[str] = ()
) -> list[tuple[Path, Path]]:
    """Return the audio files that inputs stand for, each with its root; see :func:`vocable.files.find_rooted`.

    Recordings that PyAV alone reads are among them, so that reading them says so where it is not installed. They are
    left out where a file of the same name in another format lies beside them. ``archives`` are suffixes of other files
    to find, in lower case.

    Raises:
        InputError: If a folder or a pattern has no audio.
    """
    found = find_rooted(inputs, {*AUDIO_SUFFIXES, *CONVERTIBLE_SUFFIXES, *archives}, "audio")
    convertible = {path for path, _ in found if path.suffix.lower() in CONVERTIBLE_SUFFIXES}
    if not convertible:
        return found
    readable = {path.with_suffix("") for path, _ in found if path not in convertible}
    return [(path, root) for path, root in found if path not in convertible or path.with_suffix("") not in readable]


def _resampled_file(file: AudioFile, sample_rate: int, seconds: float) -> Iterator[Float[ndarray, " T"]]:
    blocks = _checked(file.blocks(max(1, int(min(seconds, 3600.0) * file.sample_rate))), str(file.path))
    return _resampled(blocks, file.sample_rate, sample_rate, str(file.path))


def _resampled(
    blocks: Iterator[Float[ndarray, " T"]], old: int, new: int, where: str
) -> Iterator[Float[ndarray, " T"]]:
    """Yield blocks at another sample rate; T samples become ceil(T · new / old), for any block sizes."""
    new = current_limits().check_rate(where, new)
    if old == new:
        yield from blocks
        return
    stream = soxr.ResampleStream(old, new, 1, dtype="float32", quality="HQ")
    consumed = produced = 0
    for block in blocks:
        consumed += block.size
        out = stream.resample_chunk(block)
        produced += out.size
        if out.size:
            yield out
    last = stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
    missing = resampled_size(consumed, old, new) - produced
    last = np.pad(last[:missing], (0, max(0, missing - last.size)))
    if last.size:
        yield last


def _checked(blocks: Iterator[Float[ndarray, " T"]], where: str) -> Iterator[Float[ndarray, " T"]]:
    count = 0
    for block in blocks:
        _check_values(block, where, count)
        count += block.size
        yield block


def _join(blocks: Iterable[Float[ndarray, " T"]], where: str) -> Float[ndarray, " T"]:
    """Return blocks as one array, if it is not too large for memory."""
    limits, count, found = current_limits(), 0, []
    try:
        for block in blocks:
            count += block.size
            limits.check_samples(where, count)
            found.append(block)
        return np.concatenate(found)
    except MemoryError as error:
        raise AudioError(f"{where}: {count} samples do not fit into memory; cut it into shorter clips") from error


def as_audio(value: object, name: str = "audio") -> Audio:
    """Return a recording that is given as audio, as the path of a file, or as samples with their rate.

    Args:
        value: :class:`Audio`, a path, or a pair of samples of shape (T,) and their sample rate in Hz.
        name: Name of the value in messages.

    Raises:
        ArgumentError: If it is anything else.
        AudioError: If the file or the samples cannot be used.

    Example:
        >>> as_audio((np.zeros(8, dtype=np.float32), 8_000)).duration
        0.001
    """
    if isinstance(value, Audio):
        return value
    if isinstance(value, str | os.PathLike):
        return Audio.read(value)
    if isinstance(value, tuple | list) and len(value) == 2:
        samples, rate = value
        if np.ndim(rate) == 0 and isinstance(rate, int | np.integer) and not isinstance(rate, bool):
            return Audio(_as_floats(samples), int(rate))
        raise ArgumentError(f"{name}: the sample rate is {show(rate)}; pass (samples, sample_rate), in this order")
    raise ArgumentError(
        f"{name} is {show(value)} ({type(value).__name__}); pass Audio, the path of an audio file, or (samples, "
        "sample_rate)"
    )


def check_audible(audio: Audio, name: str) -> None:
    """Raise an AudioError if no tenth of a second of a recording is louder than -55 dB of full scale.

    Example:
        >>> check_audible(Audio(np.zeros(8_000, dtype=np.float32), 8_000), "the voice")
        Traceback (most recent call last):
        vocable.errors.AudioError: the voice is silent: no part of it is louder than -55 dB; give a recording of speech
    """
    size = max(1, audio.sample_rate // 10)
    powers = np.square(audio.samples, dtype=np.float64)
    loudest = max(float(powers[at : at + size].mean()) for at in range(0, powers.size, size))
    if loudest < 10 ** (_SILENCE / 10):
        raise AudioError(
            f"{name} is silent: no part of it is louder than {_SILENCE:.0f} dB; give a recording of speech"
        )


def _as_floats(values: object) -> Float[ndarray, "..."]:
    """Return samples as a plain, writable float32 array in order of memory; only floating-point numbers are samples."""
    if isinstance(values, str | bytes | os.PathLike):
        raise AudioError(f"samples are {values!r:.80}: pass an array, or read a file with Audio.read")
    try:
        if isinstance(values, np.ma.MaskedArray):
            raise TypeError("values of a masked array are missing")
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # a ragged list, a tensor that needs a gradient
        raise AudioError(f"samples cannot be made an array ({str(error)[:200]}); pass floats of shape (T,)") from error
    if array.dtype.kind in "iu" and array.size:
        peak = max(abs(int(array.min())), abs(int(array.max())))
        raise AudioError(
            f"samples are {array.dtype}, the peak is {peak} but full scale is 1.0; divide 16-bit integers by 32768"
        )
    if array.dtype.kind != "f" and array.size:
        raise AudioError(f"samples are {array.dtype}: they must be floats in [-1, 1]")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        return np.require(array, np.float32, ["C", "A", "W", "E"])


def _check_values(samples: Float[ndarray, " T"], where: str, first: int = 0) -> None:
    if not np.isfinite(samples).all():
        at = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise AudioError(f"{where}: sample {first + at} is {samples[at]}; repair or remove the recording")
    peak = float(np.abs(samples).max())
    if peak > _MAX_PEAK:
        raise AudioError(f"{where}: the peak is {peak:g} but full scale is 1.0; divide 16-bit integers by 32768")
